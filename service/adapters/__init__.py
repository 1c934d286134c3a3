"""Vendors' shapes ↔ ours. Translate only: no rule, no I/O."""

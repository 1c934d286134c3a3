"""Frozen data: identifiers, evidence, policy, profiles, changes. No I/O, no clock, no decisions."""

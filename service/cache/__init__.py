"""Leased cache of resolved views on Redis. Nothing outside this folder knows that it is Redis.

Reading order: `keys` (what is stored), `leases` (why nothing old comes back), `lane` (one connection), `upkeep`
(which server is the current one, and is it up), `reads` (many gets, one round trip), `profiles` (what the rest uses).
"""

"""The audit chain: each entry holds the digest of the one before, in the one order of all writes.

Digests are keyed: whoever can write to the graph and has not the key can't make an entry that fits, so that the first
one that was touched is known, and not only that something was.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785

from service.model.times import rfc3339


@dataclass(frozen=True, slots=True)
class ChainLink:
    """Where the chain ends: the last entry's sequence number and digest."""

    seq: int
    hash: str


class Chain:
    """Extends and checks the chain: HMAC-SHA-256 over the digest before and the RFC 8785 form of an entry."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, b"audit chain", hashlib.sha256)

    def extend(
        self, end: ChainLink, bodies: Sequence[dict[str, Any]], at_ms: int
    ) -> tuple[ChainLink, list[dict[str, Any]]]:
        """The new end, and the rows to store."""
        rows = []
        seq, previous = end.seq, end.hash
        for body in bodies:
            seq += 1
            entry = {**body, "seq": seq, "at": rfc3339(at_ms)}
            digest = self.digest_of(entry, previous)
            rows.append({**entry, "prev_hash": previous, "hash": digest})
            previous = digest
        return ChainLink(seq, previous), rows

    def digest_of(self, entry: dict[str, Any], previous: str) -> str:
        """In hexadecimal; null fields do not count."""
        stored = {name: value for name, value in entry.items() if value is not None}
        return hmac.digest(self._key, previous.encode() + b"\n" + rfc8785.dumps(stored), hashlib.sha256).hex()

    def first_bad(self, rows: Sequence[dict[str, Any]], end: ChainLink) -> tuple[ChainLink, int | None]:
        """Check entries that follow `end`, in order of their sequence numbers: the new end, and the first bad number.

        A changed entry, a missing one, one put in between or two exchanged: each breaks a digest or the count.
        """
        for row in rows:
            body = {name: value for name, value in row.items() if name not in ("hash", "prev_hash")}
            if row["seq"] != end.seq + 1:
                return end, end.seq + 1
            if row["prev_hash"] != end.hash or row["hash"] != self.digest_of(body, end.hash):
                return end, row["seq"]
            end = ChainLink(row["seq"], row["hash"])
        return end, None

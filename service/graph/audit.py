"""The audit chain: each entry holds the digest of the one before, in the one order of all writes."""

from __future__ import annotations

import hashlib
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
    """Extends and checks the chain. Digests are SHA-256 over the RFC 8785 form of an entry and the digest before it."""

    def extend(
        self, end: ChainLink, bodies: Sequence[dict[str, Any]], at_ms: int
    ) -> tuple[ChainLink, list[dict[str, Any]]]:
        """The new end, and the rows to store."""
        rows = []
        seq, previous = end.seq, end.hash
        for body in bodies:
            seq += 1
            entry = {**body, "seq": seq, "at": rfc3339(at_ms)}
            digest = digest_of(entry, previous)
            rows.append({**entry, "prev_hash": previous, "hash": digest})
            previous = digest
        return ChainLink(seq, previous), rows


def digest_of(entry: dict[str, Any], previous: str) -> str:
    """SHA-256 in hexadecimal over the previous digest and the canonical entry; null fields do not count."""
    stored = {name: value for name, value in entry.items() if value is not None}
    return hashlib.sha256(previous.encode() + b"\n" + rfc8785.dumps(stored)).hexdigest()


def first_bad(rows: Sequence[dict[str, Any]], end: ChainLink) -> tuple[ChainLink, int | None]:
    """Check entries that follow `end`, in order of their sequence numbers: the new end, and the first bad number.

    A changed entry, a missing one, one put in between or two exchanged: each breaks a digest or the count.
    """
    for row in rows:
        body = {name: value for name, value in row.items() if name not in ("hash", "prev_hash")}
        if row["seq"] != end.seq + 1:
            return end, end.seq + 1
        if row["prev_hash"] != end.hash or row["hash"] != digest_of(body, end.hash):
            return end, row["seq"]
        end = ChainLink(row["seq"], row["hash"])
    return end, None

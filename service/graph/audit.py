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

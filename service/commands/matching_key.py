"""The key under which records are encoded. It lives outside the stores; the graph knows its version and fingerprint."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Protocol


class KeyPrints(Protocol):
    """Where the fingerprint of the key in force is kept."""

    async def key_print(self) -> str:
        """`version:fingerprint`, or '' before the first."""

    async def set_key_print(self, kept: str, was: str) -> str:
        """Put a key in force in the place of `was`; what is in force then."""


@dataclass(frozen=True, slots=True)
class EncodingKey:
    """A secret of at least 16 bytes, and its version: a new one is put in force by a higher version."""

    secret: bytes
    version: int

    @property
    def fingerprint(self) -> str:
        """What the graph keeps of it: HMAC-SHA-256 of a fixed text, 128 bits of it."""
        return hmac.new(self.secret, b"identity-fabric encoding key", hashlib.sha256).hexdigest()[:32]


def derived(identity_key: bytes) -> bytes:
    """The encoding key of whoever sets none: derived from the identity key."""
    return hmac.new(identity_key, b"identity-fabric matching", hashlib.sha256).digest()


async def put_in_force(prints: KeyPrints, key: EncodingKey) -> bool:
    """Whether records may be encoded under the key and compared: it is the one in force, or takes its place by now."""
    mine = f"{key.version}:{key.fingerprint}"
    kept = await prints.key_print()
    if kept == mine:
        return True
    if kept and int(kept.partition(":")[0]) >= key.version:
        return False
    return await prints.set_key_print(mine, kept) == mine

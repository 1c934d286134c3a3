"""Names of tombstones: keyed, so that nobody who lacks the key can tell who lies under one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from service.model.identifiers import IdentifierKey

Tombstones = Callable[[IdentifierKey], str]


def tombstones_under(secret: bytes) -> Tombstones:
    """Identifier → name of its tombstone: HMAC-SHA-256 (RFC 2104), all 256 bits of it in hexadecimal."""

    def tombstone(key: IdentifierKey) -> str:
        return "tmb_" + hmac.new(secret, f"tombstone\0{key}".encode(), hashlib.sha256).hexdigest()

    return tombstone

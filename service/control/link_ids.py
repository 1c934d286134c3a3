"""Ids of links: derived, so that a link that is sent again is the same link."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

from service.model.identifiers import IdentifierKey, LinkId, pair_of

LinkIds = Callable[[str, str, str, IdentifierKey, IdentifierKey], LinkId]


def link_ids_under(secret: bytes) -> LinkIds:
    """`(source, rule, method, end, end)` → id, keyed by `secret`; the rule's version and which end comes first do not
    matter. HMAC-SHA-256 (RFC 2104), 120 bits of it in base 32.
    """

    def link_id(source: str, rule: str, method: str, a: IdentifierKey, b: IdentifierKey) -> LinkId:
        told = "\0".join(("link", source, rule, method, *pair_of(a, b)))
        digest = hmac.new(secret, told.encode(), hashlib.sha256).digest()
        return LinkId("lnk_" + base64.b32encode(digest[:15]).decode().lower())

    return link_id

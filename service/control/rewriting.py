"""Texts that name an identifier, without it. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Final

import orjson

from service.model.identifiers import IdentifierKey, parse_key

_TOKEN: Final = re.compile(r"[^\s\"'<>,;{}\[\]]{3,512}")
_DIGEST_LENGTH: Final = 64


def view_without(view: str, key: IdentifierKey) -> str | None:
    """A stored view without one of its members or households; None where nobody is left."""
    row: dict[str, Any] = orjson.loads(view)
    members = row["m"]
    kept = [index for index, member in enumerate(members) if member[0] != key]
    if not kept:
        return None
    place = {index: i for i, index in enumerate(kept)}
    row["m"] = [members[index] for index in kept]
    row["e"] = [[place[a], place[b], c] for a, b, c in row["e"] if a in place and b in place]
    households = [household for household in row.pop("h", ()) if household != key]
    if households:
        row["h"] = households
    return orjson.dumps(row).decode()


def events_without(items: Sequence[str], key: IdentifierKey) -> list[str]:
    """What one change told the feed and the history, without listing the identifier, nor why it was done where that was
    about it.
    """
    value = parse_key(key).value
    events: list[dict[str, Any]] = [orjson.loads(item) for item in items]
    listed = any(key in event.get("identifiers", ()) for event in events)
    for event in events:
        if "identifiers" in event:
            event["identifiers"] = [other for other in event["identifiers"] if other != key]
        cause = event.get("cause")
        if isinstance(cause, dict) and (listed or value in str(cause.get("reason", ""))):
            cause["reason"] = ""
    return [orjson.dumps(event).decode() for event in events]


def mentions(body: bytes, key: IdentifierKey) -> bool:
    """Whether a text may name the identifier: by its value, or by a plain one of which that is the digest."""
    value = parse_key(key).value
    text = body.decode("utf-8", "replace")
    if value.casefold() in text.casefold() or orjson.dumps(value).decode()[1:-1] in text:
        return True
    if len(value) != _DIGEST_LENGTH:
        return False
    return any(
        hashlib.sha256(form.encode()).hexdigest() == value for token in _TOKEN.findall(text) for form in _forms(token)
    )


def _forms(token: str) -> set[str]:
    """A token as its sender may have meant it, and as namespaces normalise it."""
    bare = re.sub(r"[\s().\-/]", "", token)
    return {token, token.casefold(), bare, bare.casefold()}

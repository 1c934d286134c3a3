"""Whom a stored answer names, so that it can be blanked when the person is erased."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

from service.model.identifiers import Identifier, IdentifierKey, ProfileId

_PROFILE: Final = re.compile(rb'"(prf_[a-z2-7]{24})"')


def _identifiers(found: Any) -> Iterator[IdentifierKey]:
    if isinstance(found, dict):
        namespace, value = found.get("namespace"), found.get("value")
        if isinstance(namespace, str) and isinstance(value, str):
            yield Identifier(namespace, value).key
        for child in found.values():
            yield from _identifiers(child)
    elif isinstance(found, list):
        for child in found:
            yield from _identifiers(child)


def named_in(body: bytes) -> tuple[tuple[IdentifierKey, ...], tuple[ProfileId, ...]]:
    """The identifiers and the ids of profiles that an answer (JSON) shows, each once."""
    profiles = tuple(dict.fromkeys(ProfileId(found.decode()) for found in _PROFILE.findall(body)))
    if b'"namespace"' not in body:
        return (), profiles
    return tuple(dict.fromkeys(_identifiers(orjson.loads(body)))), profiles

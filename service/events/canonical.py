"""The canonical form of an event: one JSON text for the record, and the keyed digest of its content."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from service.model.events import CanonicalEvent, EventConsent
from service.model.identifiers import IdentifierKey

Keyed = Callable[[bytes], str]
_HEX = 32


def keyed_under(secret: bytes, use: str) -> Keyed:
    """Digests that nobody can make who lacks the key: BLAKE2b, 128 bits in hexadecimal. `use` keeps them apart."""
    key = hmac.new(secret, f"event {use}".encode(), hashlib.sha256).digest()

    def digest(content: bytes) -> str:
        return hashlib.blake2b(content, digest_size=_HEX // 2, key=key).hexdigest()

    return digest


def content_of(kind: object, schema: object, occurred_at: int, data: object) -> bytes:
    """What makes an event the same event: not the order of keys, not how its time is written, no other attribute."""
    return orjson.dumps([kind, schema, occurred_at, data], option=orjson.OPT_SORT_KEYS)


def body_of(event: CanonicalEvent) -> str:
    """The event as JSON text; times in ms. Sequence number and time of recording are kept beside it."""
    properties, traits = orjson.Fragment(event.properties), orjson.Fragment(event.traits)
    signals, extensions = orjson.Fragment(event.signals), orjson.Fragment(event.extensions)
    return orjson.dumps(
        {
            "source": event.source,
            "id": event.event_id,
            "type": event.type,
            "schema_version": event.schema_version,
            "occurred_at": event.occurred_at,
            "received_at": event.received_at,
            "identifiers": event.identifiers,
            "consent": {
                "states": dict(event.consent.states),
                "regulation": event.consent.regulation or None,
                "basis": event.consent.basis,
            },
            "purposes": event.purposes,
            "granularity": event.granularity,
            "retention": event.retention,
            "flags": event.flags,
            "properties": properties,
            "traits": traits,
            "signals": signals,
            "extensions": extensions,
            "digest": event.digest,
        }
    ).decode()


def _text(found: Any) -> str:
    return orjson.dumps(found).decode()


def event_of(body: str | bytes, *, seq: int | None = None, recorded_at: int | None = None) -> CanonicalEvent:
    """The inverse of `body_of`."""
    row = orjson.loads(body)
    consent = row["consent"]
    return CanonicalEvent(
        row["source"],
        row["id"],
        row["type"],
        row["schema_version"],
        row["occurred_at"],
        row["received_at"],
        tuple(IdentifierKey(key) for key in row["identifiers"]),
        row["digest"],
        EventConsent(tuple(consent["states"].items()), consent["regulation"] or "", consent["basis"]),
        tuple(row["purposes"]),
        row["granularity"],
        row["retention"],
        tuple(row["flags"]),
        _text(row["properties"]),
        _text(row["traits"]),
        _text(row["signals"]),
        _text(row["extensions"]),
        recorded_at,
        seq,
    )


def flagged(event: CanonicalEvent, *flags: Any) -> CanonicalEvent:
    """The event with more flags, each once."""
    return replace(event, flags=tuple(dict.fromkeys((*event.flags, *flags))))

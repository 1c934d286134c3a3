"""A recorded event, read once more: under the policy and the schemas of today, about what happened then. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from service.events.canonical import body_of
from service.events.compatibility import SchemaVersion
from service.events.reading import Item, Reading, read_event
from service.events.upcasting import forward
from service.model.events import CanonicalEvent, RecordEvent
from service.model.times import rfc3339

Documents = Mapping[SchemaVersion, Mapping[str, Any]]


def as_sent(event: CanonicalEvent, documents: Documents) -> dict[str, Any]:
    """The CloudEvent that says what a recorded one says, in the newest version of its schema that it can be brought to.

    `documents`: every version of its type.
    """
    data: dict[str, Any] = {
        "identifiers": [dict(zip(("namespace", "value"), key.split(":", 1), strict=True)) for key in event.identifiers],
        "properties": orjson.loads(event.properties),
        "traits": orjson.loads(event.traits),
        "consent": dict(event.consent.states),
        "regulation": event.consent.regulation or None,
        "basis": event.consent.basis,
        "retention": event.retention,
    }
    if not event.consent.states:
        del data["consent"]
    data = {name: value for name, value in data.items() if value is not None}
    version, data = forward(documents, event.schema_version, data)
    return {
        "specversion": "1.0",
        "id": event.event_id,
        "source": event.source,
        "type": event.type,
        "time": rfc3339(event.occurred_at),
        "dataschema": f"{event.type}/{version}",
        "data": data,
    }


def read_again(event: CanonicalEvent, documents: Documents, reading: Reading, replay: str) -> Item:
    """The change that applies a recorded event once more, or what today's rules have against it.

    The event keeps what it is known by: digest, version, times, properties as they were said.
    """
    item = read_event(as_sent(event, documents), replace(reading, received_at=event.received_at), replay=replay)
    if not isinstance(item, RecordEvent):
        return item
    again = replace(
        item.event,
        schema_version=event.schema_version,
        occurred_at=event.occurred_at,
        digest=event.digest,
        flags=event.flags,
        properties=event.properties,
        signals=event.signals,
        extensions=event.extensions,
    )
    if event.granularity in ("aggregate", "none"):
        again = replace(again, granularity=event.granularity)
    return replace(item, event=again, body=body_of(again), mark=None)

"""Events as a preview is given them: whole, or by source and id."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from service.api.context import Services
from service.api.decision_schemas import EventRefIn
from service.api.reading import identifier_of, read_as
from service.api.schemas import Asked, IdentifierIn, Label, Time
from service.commands.intents import Happened
from service.errors import Invalid, Unknown

_IDENTIFIERS = TypeAdapter(list[IdentifierIn])


class _Event(Asked):
    source: Label
    id: Label
    type: Label
    time: Time


async def event_of(sent: dict[str, Any], services: Services) -> Happened:
    """The event meant. Raises Invalid with pointers, Unknown."""
    if set(sent) == {"source", "id"}:
        ref = read_as(EventRefIn, sent)
        found = await services.delivery.events.find(ref.source, ref.id)
        if found is None:
            raise Unknown("This event is not known, or its content is not kept any more.")
        return found
    head = read_as(_Event, {name: sent[name] for name in ("source", "id", "type", "time") if name in sent})
    data = sent.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("identifiers"), list):
        raise Invalid.at("/event/data/identifiers", "is needed")
    try:
        identifiers = _IDENTIFIERS.validate_python(data["identifiers"])
    except ValueError:
        raise Invalid.at("/event/data/identifiers", "must be a list of identifiers") from None
    policy = services.policy()
    keys = tuple(
        identifier_of(one, policy, f"/event/data/identifiers/{index}").key for index, one in enumerate(identifiers)
    )
    properties = data.get("properties", {})
    if not isinstance(properties, dict):
        raise Invalid.at("/event/data/properties", "must be an object")
    return Happened(head.source, head.id, head.type, head.time, keys, properties)

"""Which changes are events that may be delivered. Pure."""

from __future__ import annotations

import orjson

from service.commands.intents import Happened
from service.errors import FabricError
from service.model.changes import Change, Receipt
from service.model.events import CanonicalEvent, EventReceipt, QuarantineEvent, RecordEvent


def happened_of(change: Change, outcome: Receipt | FabricError) -> Happened | None:
    """The event of a change that took one in for the first time, with its person; None for any other.

    An event of which only the aggregate may be kept goes nowhere.
    """
    if not isinstance(change, RecordEvent) or not isinstance(outcome, EventReceipt):
        return None
    if outcome.status != "accepted" or outcome.replayed or outcome.reduced:
        return None
    return happened(change.event)


def happened(event: CanonicalEvent) -> Happened:
    """An event as deliveries see it."""
    properties = orjson.loads(event.properties)
    return Happened(event.source, event.event_id, event.type, event.occurred_at, event.identifiers, properties)


def intake_of(change: Change, outcome: Receipt | FabricError) -> str | None:
    """What became of an event that came in: its status, `lost` for an error; None where no event came in."""
    if not isinstance(change, RecordEvent | QuarantineEvent) or (isinstance(change, RecordEvent) and change.replay):
        return None
    return outcome.status if isinstance(outcome, EventReceipt) else "lost"

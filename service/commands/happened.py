"""Which changes are events that may be delivered. Pure."""

from __future__ import annotations

from service.commands.intents import Happened
from service.errors import FabricError
from service.model.changes import Change, Receipt


def happened_of(change: Change, outcome: Receipt | FabricError) -> Happened | None:
    """The event of a change that took one in for the first time; None for any other."""
    return None

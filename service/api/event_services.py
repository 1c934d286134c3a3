"""What the routes of events are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from service.commands.schema_book import SchemaBook
from service.control.link_ids import LinkIds
from service.events.canonical import Keyed
from service.events.reading import Reading
from service.model.events import Quarantined
from service.model.policy import Policy


class EventReader(Protocol):
    """What is kept of events. Raises StoreUnavailable."""

    async def quarantined(self, quarantine_id: str) -> Quarantined | None:
        """One event that could not be taken."""

    async def quarantine(
        self, before: int, limit: int, status: str | None = None, source: str | None = None
    ) -> list[Quarantined]:
        """Events that could not be taken, newest first, with sequence numbers below `before`."""


@dataclass(frozen=True, slots=True)
class EventServices:
    """One set for one application."""

    schemas: SchemaBook
    reader: EventReader
    link_ids: LinkIds
    digest: Keyed
    address: Keyed

    def reading(self, policy: Policy, received_at: int) -> Reading:
        """Under what events that came at `received_at` (ms) are read."""
        return Reading(policy, self.schemas.known, received_at, self.link_ids, self.digest, self.address)

"""What the routes of events are given."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from service.commands.schema_book import SchemaBook
from service.control.link_ids import LinkIds
from service.events.canonical import Keyed
from service.events.reading import Reading
from service.model.events import Quarantined, SenderState
from service.model.lineage import Lineage
from service.model.policy import Policy


class EventReader(Protocol):
    """What is kept of events. Raises StoreUnavailable."""

    async def quarantined(self, quarantine_id: str) -> Quarantined | None:
        """One event that could not be taken."""

    async def quarantine(
        self, before: int, limit: int, status: str | None = None, source: str | None = None
    ) -> list[Quarantined]:
        """Events that could not be taken, newest first, with sequence numbers below `before`."""

    async def senders(self, after: str, limit: int) -> list[SenderState]:
        """Senders by name, after one."""

    async def senders_of(self, sources: Collection[str]) -> list[SenderState]:
        """What came of these sources, as far as nothing but the source tells who sent."""


class LineageStore(Protocol):
    """Where things come from and what became of them; None for what is not known. Raises StoreUnavailable."""

    async def of_event(self, key: str) -> Lineage | None:
        """From one event on."""

    async def of_link(self, link_id: str) -> Lineage | None:
        """The events that speak for a link, and what became of them."""

    async def of_profile(self, profile_id: str) -> Lineage | None:
        """The events of everybody in a profile of today."""

    async def of_decision(self, decision_id: str) -> Lineage | None:
        """What a decision rests on today."""


@dataclass(frozen=True, slots=True)
class EventServices:
    """One set for one application."""

    schemas: SchemaBook
    reader: EventReader
    lineage: LineageStore
    link_ids: LinkIds
    digest: Keyed
    address: Keyed

    def reading(self, policy: Policy, received_at: int) -> Reading:
        """Under what events that came at `received_at` (ms) are read."""
        return Reading(policy, self.schemas.known, received_at, self.link_ids, self.digest, self.address)

"""What deliveries need of the graph and of the outside. The docstrings are the contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.model.delivery import Comparison, CutoverStep, Delivery, DestinationState, Explanation
from service.model.identifiers import IdentifierKey


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """What deliveries are asked for; None: whatever it is. `event`: `SOURCE/ID`. `since`, `until`: of intent, ms."""

    subject: IdentifierKey | None = None
    destination: str | None = None
    event: str | None = None
    outcome: str | None = None
    since: int | None = None
    until: int | None = None


class Deliveries(Protocol):
    """Deliveries as they are kept. Raises StoreUnavailable."""

    async def due(self, destination: str, now: int, limit: int) -> tuple[list[Delivery], int]:
        """Deliveries that may be tried now (ms), the longest due first, of each lane at most one; and how many requests
        to the destination failed in a row. None where it is closed.
        """

    async def next_due(self, destination: str) -> int | None:
        """When the next delivery may be tried (ms)."""

    async def states(self) -> dict[str, DestinationState]:
        """How destinations are doing; one that is not there is well."""

    async def delivery(self, delivery_id: str) -> Delivery | None:
        """One delivery."""

    async def search(self, asked: DeliveryFilter, before: int, limit: int) -> list[Delivery]:
        """Deliveries that match, newest first, below a place in the order."""

    async def counts(self, names: Sequence[str]) -> dict[str, dict[str, int]]:
        """Destination → outcome → how many sends."""

    async def pending(self, names: Sequence[str]) -> dict[str, tuple[int, int | None]]:
        """Destination → how many are pending, and since when (ms) the oldest is."""

    async def outcomes(self, since: int | None, until: int | None) -> dict[str, int]:
        """Outcome → how many sends of the new path, by time of intent (ms)."""

    async def compared(self, destination: str, since: int | None, until: int | None) -> tuple[int, list[Comparison]]:
        """How many comparisons agree, and all others; by when they were begun (ms)."""

    async def explanations(self, destination: str) -> list[Explanation]:
        """Known differences, the oldest first."""

    async def steps(self, destination: str) -> list[CutoverStep]:
        """Steps of a cutover, the oldest first."""

    async def rollbacks(self, since: int | None, until: int | None) -> list[CutoverStep]:
        """All roll-backs, the oldest first."""

    async def attempted(self, since: int | None, until: int | None, limit: int) -> list[Delivery]:
        """Some sends on which an attempt was made."""

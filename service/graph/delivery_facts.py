"""What deliveries ask of other parts of the graph: events that were taken in, counted; intents in the audit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, LiteralString

from neo4j import AsyncDriver

from service.commands.happened import happened
from service.commands.intents import Happened
from service.events.canonical import event_of
from service.graph import delivery_queries as q
from service.graph.driver import rows_of
from service.model.events import CanonicalEvent, event_key

Recorded = Callable[[str, str, int], CanonicalEvent | None]


class _Reads:
    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)


class GraphIntended(_Reads):
    """See `service.commands.proof.Ledger`. Raises StoreUnavailable."""

    async def intended(self, since: str, until: str) -> int:
        """How many intents of the new path the audit has (RFC 3339)."""
        (row,) = await self._rows(q.INTENDED_SINCE, since=since, until=until)
        return int(row["n"])


class GraphEvents(_Reads):
    """See `service.commands.delivery_parts.Events`. Raises StoreUnavailable.

    `recorded` reads an event from the record by its sequence number, where the graph has handed it over.
    """

    def __init__(self, driver: AsyncDriver, database: str, recorded: Recorded) -> None:
        super().__init__(driver, database)
        self._recorded = recorded

    async def find(self, source: str, event_id: str) -> Happened | None:
        """One event, None where it is not known or not kept any more."""
        rows = await self._rows(q.READ_EVENT, key=event_key(source, event_id))
        if not rows:
            return None
        body, seq = rows[0]["body"], rows[0]["seq"]
        event = event_of(body) if body else await asyncio.to_thread(self._recorded, source, event_id, seq)
        return None if event is None else happened(event)


class GraphEventCounts(_Reads):
    """See `service.commands.proof.EventCounts`. Raises StoreUnavailable."""

    async def counts(self, since: int | None, until: int | None) -> dict[str, int]:
        """What came in, by when (ms)."""
        (row,) = await self._rows(q.COUNT_INTAKE, since=since or 0, until=until or 1 << 62)
        known = {name: int(row[name]) for name in ("accepted", "duplicate", "quarantined")}
        return {"received": sum(known.values()) + int(row["lost"]), **known}

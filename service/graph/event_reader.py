"""Reads of what is kept of events, on the leader. Raises StoreUnavailable."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, LiteralString

from neo4j import AsyncDriver

from service.graph.driver import rows_of
from service.graph.events import quarantined_of, sender_of
from service.model.events import Quarantined, SenderState

_QUARANTINED: LiteralString = "MATCH (q:Quarantined {id: $id}) RETURN properties(q) AS kept"
_SCHEMAS: LiteralString = """
UNWIND $names AS name MATCH (s:EventSchema {name: name}) RETURN s.name AS name, s.document AS document
"""
_NAMES: LiteralString = "MATCH (s:EventSchema) RETURN s.name AS name ORDER BY name"
_VERSIONS: LiteralString = """
MATCH (s:EventSchema) WHERE s.name STARTS WITH $prefix RETURN s.name AS name, s.document AS document
"""
_QUARANTINE: LiteralString = """
MATCH (q:Quarantined) WHERE q.seq < $before AND ($status IS NULL OR q.status = $status)
  AND ($source IS NULL OR q.source = $source)
RETURN properties(q) AS kept ORDER BY q.seq DESC LIMIT $limit
"""

_SENDER: LiteralString = """
RETURN s.source AS source, s.sender AS sender, s.highest AS highest, s.seen_at AS seen_at, s.missing AS missing,
       s.lost AS lost
"""
_SENDERS: LiteralString = "MATCH (s:Sender) WHERE s.name > $after WITH s ORDER BY s.name LIMIT $limit " + _SENDER
_SENDERS_OF: LiteralString = "UNWIND $sources AS source MATCH (s:Sender {name: source + '\\n'}) " + _SENDER


class GraphEvents:
    """See `service.commands.schema_book.SchemaStore` and `service.commands.quarantine.QuarantineStore`."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def schemas(self, names: Collection[str]) -> dict[str, str]:
        """Name → document, of those names that there are."""
        return {row["name"]: row["document"] for row in await self._rows(_SCHEMAS, names=list(names))}

    async def schema_names(self) -> list[str]:
        """Every name that was published here."""
        return [row["name"] for row in await self._rows(_NAMES)]

    async def versions_of(self, kind: str) -> dict[str, str]:
        """Name → document, of every version of one type."""
        return {row["name"]: row["document"] for row in await self._rows(_VERSIONS, prefix=f"{kind}/")}

    async def quarantined(self, quarantine_id: str) -> Quarantined | None:
        """One event that could not be taken."""
        rows = await self._rows(_QUARANTINED, id=quarantine_id)
        return quarantined_of(rows[0]["kept"]) if rows else None

    async def quarantine(
        self, before: int, limit: int, status: str | None = None, source: str | None = None
    ) -> list[Quarantined]:
        """Events that could not be taken, newest first, with sequence numbers below `before`."""
        found = await self._rows(_QUARANTINE, before=before, limit=limit, status=status, source=source)
        return [quarantined_of(row["kept"]) for row in found]

    async def senders(self, after: str, limit: int) -> list[SenderState]:
        """Senders by name, after one."""
        return [sender_of(*row.values()) for row in await self._rows(_SENDERS, after=after, limit=limit)]

    async def senders_of(self, sources: Collection[str]) -> list[SenderState]:
        """What came of these sources, as far as nothing but the source tells who sent."""
        return [sender_of(*row.values()) for row in await self._rows(_SENDERS_OF, sources=list(sources))]

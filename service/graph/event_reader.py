"""Reads of what is kept of events, on the leader. Raises StoreUnavailable."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, LiteralString

from neo4j import AsyncDriver

from service.graph.driver import rows_of
from service.graph.events import LOAD_QUARANTINED, LOAD_SCHEMAS, quarantined_of
from service.model.events import Quarantined

_NAMES: LiteralString = "MATCH (s:EventSchema) RETURN s.name AS name ORDER BY name"
_VERSIONS: LiteralString = """
MATCH (s:EventSchema) WHERE s.name STARTS WITH $prefix RETURN s.name AS name, s.document AS document
"""
_QUARANTINE: LiteralString = """
MATCH (q:Quarantined) WHERE q.seq < $before AND ($status IS NULL OR q.status = $status)
  AND ($source IS NULL OR q.source = $source)
RETURN properties(q) AS kept ORDER BY q.seq DESC LIMIT $limit
"""


class GraphEvents:
    """See `service.commands.schema_book.SchemaStore` and `service.commands.quarantine.QuarantineStore`."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def schemas(self, names: Collection[str]) -> dict[str, str]:
        """Name → document, of those names that there are."""
        return {row["name"]: row["document"] for row in await self._rows(LOAD_SCHEMAS, names=list(names))}

    async def schema_names(self) -> list[str]:
        """Every name that was published here."""
        return [row["name"] for row in await self._rows(_NAMES)]

    async def versions_of(self, kind: str) -> dict[str, str]:
        """Name → document, of every version of one type."""
        return {row["name"]: row["document"] for row in await self._rows(_VERSIONS, prefix=f"{kind}/")}

    async def quarantined(self, quarantine_id: str) -> Quarantined | None:
        """One event that could not be taken."""
        rows = await self._rows(LOAD_QUARANTINED, ids=[quarantine_id])
        return quarantined_of(rows[0]["kept"]) if rows else None

    async def quarantine(
        self, before: int, limit: int, status: str | None = None, source: str | None = None
    ) -> list[Quarantined]:
        """Events that could not be taken, newest first, with sequence numbers below `before`."""
        found = await self._rows(_QUARANTINE, before=before, limit=limit, status=status, source=source)
        return [quarantined_of(row["kept"]) for row in found]

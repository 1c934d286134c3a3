"""Counts of events by stream and hour: `(:Quality)`, one node for each."""

from __future__ import annotations

from collections import Counter
from typing import Any, LiteralString

import orjson
from neo4j import AsyncDriver

from service.commands.quality import Hours
from service.graph.driver import rows_of
from service.graph.events import sender_of
from service.model.events import SenderState
from service.model.quality import NUMBERS, Stream, Tally

# Each instance has a node of its own for a stream and hour, and writes it whole; whoever reads adds them up.
KEEP: LiteralString = """
UNWIND $rows AS row MERGE (q:Quality {name: row.name}) SET q = row
"""
FORGET: LiteralString = "MATCH (q:Quality) WHERE q.hour < $before WITH q LIMIT 10000 DELETE q"
BETWEEN: LiteralString = "MATCH (q:Quality) WHERE q.hour >= $since AND q.hour < $until RETURN properties(q) AS kept"
GAPS: LiteralString = """
MATCH (s:Sender) WHERE s.name > '' AND (s.missing <> '[]' OR s.lost > 0)
RETURN s.source AS source, s.sender AS sender, s.highest AS highest, s.seen_at AS seen_at, s.missing AS missing,
       s.lost AS lost ORDER BY s.name LIMIT $limit
"""


class GraphQuality:
    """See `service.commands.quality.QualityStore`. Raises StoreUnavailable."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def keep(self, instance: str, hours: Hours) -> None:
        """Keep what an instance counted, in the place of what it counted before."""
        rows = [_row(instance, stream, hour, tally) for (stream, hour), tally in hours.items()]
        await self._rows(KEEP, rows=rows)

    async def forget(self, before: int) -> None:
        """Delete what is older than a time (ms)."""
        await self._rows(FORGET, before=before)

    async def between(self, since: int, until: int) -> dict[Stream, Tally]:
        """What came of each stream in the hours from `since` until before `until` (ms)."""
        found: dict[Stream, Tally] = {}
        for row in await self._rows(BETWEEN, since=since, until=until):
            kept = row["kept"]
            found.setdefault(Stream(kept["source"], kept["type"]), Tally()).add(_tally(kept))
        return found

    async def gaps(self, limit: int) -> list[SenderState]:
        """Senders whose numbers have gaps."""
        return [sender_of(*row.values()) for row in await self._rows(GAPS, limit=limit)]


def _row(instance: str, stream: Stream, hour: int, tally: Tally) -> dict[str, Any]:
    return {
        "name": "\n".join((instance, *stream, str(hour))),
        "source": stream.source,
        "type": stream.type,
        "hour": hour,
        "lag_ms_max": tally.lag_ms_max,
        "fields": orjson.dumps(tally.fields).decode(),
        "violations": orjson.dumps(tally.violations).decode(),
        **{name: getattr(tally, name) for name in NUMBERS},
    }


def _tally(row: dict[str, Any]) -> Tally:
    return Tally(
        **{name: row[name] for name in NUMBERS},
        lag_ms_max=row["lag_ms_max"],
        fields=Counter(orjson.loads(row["fields"])),
        violations=Counter(orjson.loads(row["violations"])),
    )

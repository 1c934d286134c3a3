"""What is old, read from the graph and deleted from it once it is kept elsewhere."""

from __future__ import annotations

from typing import Any, Final, LiteralString

from neo4j import AsyncDriver

from service.commands.sealing import Bounds, Kind, SealedStay, SealedTurn, SealedView, Stretch
from service.graph.driver import rows_of
from service.model.times import rfc3339

READ_BOUNDS: LiteralString = """
OPTIONAL MATCH (s:Sealed {id: 'sealed'}) RETURN s.audit AS audit, s.turns AS turns, s.past AS past, timestamp() AS now
"""

OLDEST_AUDIT: LiteralString = """
MATCH (e:Audit) WHERE e.seq > $after WITH e ORDER BY e.seq LIMIT $limit RETURN properties(e) AS entry
"""

OLDEST_TURNS: LiteralString = """
MATCH (t:Turn) WHERE t.seq > $after WITH t ORDER BY t.seq LIMIT $limit
RETURN t.seq AS seq, t.at AS at, t.items AS items, t:Pending AS pending,
       COLLECT { MATCH (p:Profile)-[:CHANGED]->(t) RETURN p.id } AS profiles ORDER BY seq
"""

OLDEST_VIEWS: LiteralString = """
MATCH (p:Profile)-[w:WAS]->(v:Past) WHERE w.until < $before WITH p, w, v LIMIT $limit
RETURN p.id AS profile, w.since AS since, w.until AS until, v.view AS view, elementId(v) AS mark
"""

OLDEST_STAYS: LiteralString = """
MATCH (i:Identifier)-[w:WAS_IN]->(p:Profile) WHERE w.until < $before WITH i, p, w LIMIT $limit
RETURN i.key AS key, p.id AS profile, w.since AS since, w.until AS until, elementId(w) AS mark
"""

# All take the head first, as every change does: so they never wait for a turn that waits for them.
_TAKE: LiteralString = """
MATCH (h:Head {id: 'head'}) SET h.lock = 'sealing'
WITH h MATCH (s:Sealed {id: 'sealed'}) """

DROP_AUDIT: LiteralString = (
    _TAKE + "WHERE s.audit = $after SET s.audit = $last "
    "WITH s CALL () { MATCH (e:Audit) WHERE e.seq > $after AND e.seq <= $last DELETE e } RETURN s.audit AS bound"
)

DROP_TURNS: LiteralString = (
    _TAKE + "WHERE s.turns = $after SET s.turns = $last "
    "WITH s CALL () { MATCH (t:Turn) WHERE t.seq > $after AND t.seq <= $last DETACH DELETE t } "
    "RETURN s.turns AS bound"
)

DROP_PAST: LiteralString = (
    _TAKE + "SET s.past = CASE WHEN s.past < $last THEN $last ELSE s.past END "
    "WITH s CALL () { UNWIND $views AS mark MATCH (v:Past) WHERE elementId(v) = mark DETACH DELETE v } "
    "CALL () { UNWIND $stays AS mark MATCH ()-[w:WAS_IN]->() WHERE elementId(w) = mark AND w.until < $last DELETE w } "
    "RETURN s.past AS bound"
)

_DROPS: Final[dict[Kind, LiteralString]] = {"audit": DROP_AUDIT, "turns": DROP_TURNS, "past": DROP_PAST}


class GraphStretches:
    """See `service.commands.sealing.Stretches`. Raises StoreUnavailable."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def bounds(self) -> Bounds:
        """Up to where the sealed file speaks."""
        row = (await self._rows(READ_BOUNDS))[0]
        return Bounds(row["audit"] or 0, row["turns"] or 0, row["past"] or 0)

    async def oldest(self, kind: Kind, keep_ms: int, limit: int) -> Stretch:
        """The rows that follow the bound and are older than `keep_ms` by the database's clock; may be none."""
        row = (await self._rows(READ_BOUNDS))[0]
        before = row["now"] - keep_ms
        after = row[kind] or 0
        if kind == "audit":
            return await self._audit(after, before, limit)
        if kind == "turns":
            return await self._turns(after, before, limit)
        return await self._past(after, before, limit)

    async def _audit(self, after: int, before: int, limit: int) -> Stretch:
        entries = [dict(row["entry"]) for row in await self._rows(OLDEST_AUDIT, after=after, limit=limit)]
        until = rfc3339(before)
        old = [entry for entry in entries if entry["at"] < until]
        return Stretch("audit", after, old[-1]["seq"] if old else after, audit=old)

    async def _turns(self, after: int, before: int, limit: int) -> Stretch:
        old = []
        for row in await self._rows(OLDEST_TURNS, after=after, limit=limit):
            if row["at"] >= before or row["pending"]:
                break
            old.append(SealedTurn(row["seq"], row["at"], list(row["items"] or ()), list(row["profiles"])))
        return Stretch("turns", after, old[-1].seq if old else after, turns=old)

    async def _past(self, after: int, before: int, limit: int) -> Stretch:
        views = await self._rows(OLDEST_VIEWS, before=before, limit=limit)
        stays = await self._rows(OLDEST_STAYS, before=before, limit=limit)
        return Stretch(
            "past",
            after,
            before,
            views=[SealedView(row["profile"], row["since"], row["until"], row["view"]) for row in views],
            stays=[SealedStay(row["key"], row["profile"], row["since"], row["until"]) for row in stays],
            marks=[row["mark"] for row in (*views, *stays)],
        )

    async def drop(self, stretch: Stretch) -> bool:
        """Delete a stretch and move the bound, in one transaction; False where somebody else did so first."""
        query = _DROPS[stretch.kind]
        views, stays = stretch.marks[: len(stretch.views)], stretch.marks[len(stretch.views) :]
        found = await self._rows(query, after=stretch.after, last=stretch.last, views=list(views), stays=list(stays))
        return bool(found)

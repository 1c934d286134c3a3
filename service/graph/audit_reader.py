"""Reads of the audit: searched, and checked from the first entry to the head."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, LiteralString

from neo4j import AsyncDriver

from service.commands.ports import AuditFilter, AuditVerdict
from service.commands.sealing import SealedFile
from service.graph.audit import Chain, ChainLink
from service.graph.driver import rows_of

PAGE = 5_000

SEARCH: LiteralString = """
MATCH (e:Audit)
WHERE e.seq < $before
  AND ($subject IS NULL OR e.subject = $subject) AND ($actor IS NULL OR e.actor = $actor)
  AND ($action IS NULL OR e.action = $action) AND ($destination IS NULL OR e.destination = $destination)
  AND ($since IS NULL OR e.at >= $since) AND ($until IS NULL OR e.at <= $until)
RETURN properties(e) AS entry ORDER BY e.seq DESC LIMIT $limit
"""

# A subject's entries are found by its index, whatever else is asked.
SEARCH_SUBJECT: LiteralString = """
MATCH (e:Audit {subject: $subject})
WHERE e.seq < $before AND ($actor IS NULL OR e.actor = $actor)
  AND ($action IS NULL OR e.action = $action) AND ($destination IS NULL OR e.destination = $destination)
  AND ($since IS NULL OR e.at >= $since) AND ($until IS NULL OR e.at <= $until)
RETURN properties(e) AS entry ORDER BY e.seq DESC LIMIT $limit
"""

NEXT_ENTRIES: LiteralString = """
MATCH (e:Audit) WHERE e.seq > $after RETURN properties(e) AS entry ORDER BY e.seq LIMIT $limit
"""

BOUND: LiteralString = "MATCH (s:Sealed {id: 'sealed'}) RETURN s.audit AS bound"

HEAD_OF_CHAIN: LiteralString = """
MATCH (h:Head {id: 'head'}) RETURN h.audit_seq AS seq, h.audit_hash AS hash
"""


class GraphAudit:
    """See `service.commands.ports.Audit`. Raises StoreUnavailable."""

    def __init__(self, driver: AsyncDriver, database: str, chain: Chain, sealed: SealedFile) -> None:
        self._driver = driver
        self._database = database
        self._chain = chain
        self._sealed = sealed

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def search(self, asked: AuditFilter, before: int, limit: int) -> list[dict[str, Any]]:
        """Entries that match, newest first, with sequence numbers below `before`."""
        query = SEARCH if asked.subject is None else SEARCH_SUBJECT
        rows = await self._rows(query, **asdict(asked), before=before, limit=limit)
        entries = [dict(row["entry"]) for row in rows]
        if len(entries) < limit and (bound := await self._bound()):
            older = min([before, bound + 1, *(entry["seq"] for entry in entries[-1:])])
            entries += await self._sealed.audit_like(asdict(asked), older, limit - len(entries))
        return entries

    async def _bound(self) -> int:
        """The last entry that was moved out of the graph. Asked after the graph was: what was gone then is below it."""
        rows = await self._rows(BOUND)
        return int(rows[0]["bound"]) if rows else 0

    async def _following(self, after: int) -> list[dict[str, Any]]:
        """The next entries, from wherever they are."""
        rows = [dict(row["entry"]) for row in await self._rows(NEXT_ENTRIES, after=after, limit=PAGE)]
        if not rows or rows[0]["seq"] != after + 1:
            bound = await self._bound()
            if after < bound:
                return await self._sealed.audit_after(after, bound, PAGE)
        return rows

    async def verify(self) -> AuditVerdict:
        """Recompute the chain up to the head as it is at the beginning; what is written meanwhile is left out."""
        head = (await self._rows(HEAD_OF_CHAIN))[0]
        end, checked = ChainLink(0, ""), 0
        while end.seq < head["seq"]:
            rows = [row for row in await self._following(end.seq) if row["seq"] <= head["seq"]]
            if not rows:
                return AuditVerdict(False, checked, end.seq + 1)
            end, bad = self._chain.first_bad(rows, end)
            if bad is not None:
                return AuditVerdict(False, checked + len(rows), bad)
            checked += len(rows)
        if end.hash != head["hash"]:
            return AuditVerdict(False, checked, end.seq)
        return AuditVerdict(True, checked, None)

"""Events as they leave the graph for the record: `(:Event:Unrecorded)`, `(:Event:ErasedEvent)`, and who may do that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, LiteralString

from neo4j import AsyncDriver

from service.commands.recording import Owed
from service.events.canonical import event_of
from service.graph.driver import rows_of
from service.model.events import CanonicalEvent

# The node is locked before it is looked at: Neo4j reads what is committed.
TAKE_LEASE: LiteralString = """
MERGE (l:Lease {name: $name}) SET l.asked = timestamp()
WITH l WHERE l.owner IS NULL OR l.owner = $owner OR l.until < timestamp()
SET l.owner = $owner, l.until = timestamp() + $term
RETURN l.until AS until
"""
END_LEASE: LiteralString = "MATCH (l:Lease {name: $name}) WHERE l.owner = $owner SET l.owner = null, l.until = 0"
WAITING: LiteralString = """
MATCH (e:Unrecorded) WHERE e.seq > $after AND e.body IS NOT NULL
RETURN e.seq AS seq, e.at AS at, e.body AS body ORDER BY e.seq LIMIT $limit
"""
OLDEST: LiteralString = "MATCH (e:Unrecorded) WHERE e.seq > 0 RETURN e.at AS at ORDER BY e.seq LIMIT 1"
TAKEN: LiteralString = """
UNWIND $seqs AS seq MATCH (e:Unrecorded {seq: seq}) SET e.body = null REMOVE e:Unrecorded
"""
# Revocations are read first: the events of each were marked in its own turn, so they are among those read after.
REVOCATIONS: LiteralString = """
OPTIONAL MATCH (l:Lease {name: 'record'})
WITH coalesce(l.purged, -1) AS purged
OPTIONAL MATCH (v:Revocation) WHERE v.seq > purged AND v.scope = 'erase'
RETURN max(v.seq) AS upto
"""
ERASED: LiteralString = "MATCH (e:ErasedEvent) WHERE e.seq > 0 RETURN e.seq AS seq ORDER BY e.seq LIMIT $limit"
FORGOTTEN: LiteralString = "UNWIND $seqs AS seq MATCH (e:ErasedEvent {seq: seq}) REMOVE e:ErasedEvent"
SETTLED: LiteralString = """
MATCH (v:Revocation) WHERE v.seq <= $upto AND v.seq > $after AND v.scope = 'erase' AND v.record_gone_at IS NULL
SET v.record_gone_at = timestamp()
WITH count(*) AS done MERGE (l:Lease {name: 'record'}) SET l.purged = $upto
"""
PURGED: LiteralString = "OPTIONAL MATCH (l:Lease {name: 'record'}) RETURN coalesce(l.purged, -1) AS purged"
_NEVER: Final = -1


class GraphWaiting:
    """See `service.commands.recording.Waiting`. Raises StoreUnavailable."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def take_lease(self, name: str, owner: str, term_ms: int) -> bool:
        """Have the lease for so long, or longer; False where another has it."""
        return bool(await self._rows(TAKE_LEASE, name=name, owner=owner, term=term_ms))

    async def end_lease(self, name: str, owner: str) -> None:
        """Leave it to others."""
        await self._rows(END_LEASE, name=name, owner=owner)

    async def waiting(self, after: int, limit: int) -> list[CanonicalEvent]:
        """Events that the record has not taken, by sequence number."""
        found = await self._rows(WAITING, after=after, limit=limit)
        return [event_of(row["body"], seq=row["seq"], recorded_at=row["at"]) for row in found]

    async def oldest_waiting_at(self) -> int | None:
        """When the oldest of them was recorded (ms)."""
        rows = await self._rows(OLDEST)
        return rows[0]["at"] if rows else None

    async def taken(self, seqs: Sequence[int]) -> None:
        """The record has these: their bodies go."""
        await self._rows(TAKEN, seqs=list(seqs))

    async def owed(self, limit: int) -> Owed:
        """Rows that name somebody who was erased."""
        upto = (await self._rows(REVOCATIONS))[0]["upto"]
        seqs = [row["seq"] for row in await self._rows(ERASED, limit=limit)]
        settles = upto is not None and len(seqs) < limit
        return Owed(seqs, upto if settles else _NEVER, settles)

    async def settled(self, owed: Owed) -> None:
        """They are in no file any more."""
        if owed.seqs:
            await self._rows(FORGOTTEN, seqs=list(owed.seqs))
        if owed.any_revocation:
            after = (await self._rows(PURGED))[0]["purged"]
            await self._rows(SETTLED, upto=owed.upto, after=after)

"""Requests of persons about their own data: `(:SubjectRequest)-[:FOR]->(:Identifier)`; an erasure takes that away."""

from __future__ import annotations

from typing import Any, LiteralString

from neo4j import AsyncDriver

from service.commands.subject import SubjectRequest
from service.graph.driver import rows_of
from service.model.identifiers import IdentifierKey

_FOUND: LiteralString = """
OPTIONAL MATCH (q)-[:FOR]->(i:Identifier)
RETURN properties(q) AS request, [key IN collect(i.key) WHERE key IS NOT NULL] AS keys
"""
KEEP: LiteralString = (
    """
MERGE (q:SubjectRequest {id: $request.id}) ON CREATE SET q = $request, q.made = true
WITH q, q.made IS NOT NULL AS made
CALL (q, made) { UNWIND CASE WHEN made THEN $keys ELSE [] END AS key
    MATCH (i:Identifier {key: key}) CREATE (q)-[:FOR]->(i) }
REMOVE q.made
WITH q
"""
    + _FOUND
)
COMPLETE: LiteralString = "MATCH (q:SubjectRequest {id: $id}) SET q.completed_at = coalesce(q.completed_at, $at)"
FIND: LiteralString = "MATCH (q:SubjectRequest {id: $id}) WITH q " + _FOUND


class GraphRequests:
    """See `service.commands.subject.SubjectRequests`."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def keep(self, request: SubjectRequest) -> SubjectRequest:
        """Keep it, once; answers the one that is kept under its id. Raises StoreUnavailable."""
        row = {
            "id": request.request_id,
            "kind": request.kind,
            "regulation": request.regulation,
            "fingerprint": request.fingerprint,
            "submitted_at": request.submitted_at,
            "received_at": request.received_at,
        }
        keys = [] if request.kind == "erasure" else list(request.identifiers)
        (found,) = await self._rows(KEEP, request=row, keys=keys)
        return _request(found)

    async def complete(self, request_id: str, at: int) -> None:
        """Note that it is done. Raises StoreUnavailable."""
        await self._rows(COMPLETE, id=request_id, at=at)

    async def find(self, request_id: str) -> SubjectRequest | None:
        """The request of an id. Raises StoreUnavailable."""
        rows = await self._rows(FIND, id=request_id)
        return _request(rows[0]) if rows else None


def _request(found: Any) -> SubjectRequest:
    row = found["request"]
    return SubjectRequest(
        row["id"],
        row["kind"],
        row["regulation"],
        row["fingerprint"],
        row["submitted_at"],
        row["received_at"],
        row.get("completed_at"),
        tuple(IdentifierKey(key) for key in sorted(found["keys"])),
    )

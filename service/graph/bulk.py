"""Reads for large imports and exports: streams, and answers for thousands of identifiers at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

from neo4j import AsyncDriver, RoutingControl
from neo4j.exceptions import DriverError, Neo4jError

from service.errors import StoreUnavailable
from service.model.identifiers import IdentifierKey

READ_KNOWN: LiteralString = "UNWIND $asked.keys AS key MATCH (i:Identifier {key: key}) RETURN collect(i.key) AS keys"
READ_CLOCK: LiteralString = "RETURN timestamp() AS now"
READ_GRAPH: LiteralString = "MATCH (h:Head {id: 'head'}) RETURN h.identity_fingerprint AS fingerprint, h.seq AS seq"
_KEYS_AT_ONCE = 10_000


class GraphBulk:
    """See the module. Raises StoreUnavailable."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        try:
            found = await self._driver.execute_query(
                query, parameters, database_=self._database, routing_=RoutingControl.WRITE
            )
        except (DriverError, Neo4jError) as error:
            raise StoreUnavailable("The graph can't be reached.") from error
        return found.records

    async def known(self, keys: Sequence[IdentifierKey]) -> set[IdentifierKey]:
        """Those of the identifiers that the graph knows anything of."""
        found: set[IdentifierKey] = set()
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            asked = {"keys": keys[start : start + _KEYS_AT_ONCE]}
            found.update((await self._rows(READ_KNOWN, asked=asked))[0]["keys"])
        return found

    async def now(self) -> int:
        """The database's clock, ms."""
        return int((await self._rows(READ_CLOCK))[0]["now"])

    async def fingerprint(self) -> str:
        """Of the identity key that the graph was made with."""
        return str((await self._rows(READ_GRAPH))[0]["fingerprint"])

    async def seq(self) -> int:
        """The sequence number of the last change."""
        return int((await self._rows(READ_GRAPH))[0]["seq"])

"""Digests of the audit chain as the graph has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

from neo4j import AsyncDriver
from neo4j.exceptions import DriverError, Neo4jError

from service.commands.checkpoints import Checkpoint
from service.errors import StoreUnavailable
from service.model.times import rfc3339

READ_END: LiteralString = """
MATCH (h:Head {id: 'head'}) RETURN h.audit_seq AS seq, h.audit_hash AS hash, timestamp() AS now
"""

READ_AT: LiteralString = """
UNWIND $seqs AS seq MATCH (e:Audit {seq: seq}) RETURN e.seq AS seq, e.hash AS hash, timestamp() AS now ORDER BY seq
"""


class GraphChainEnds:
    """See `service.commands.checkpoints.ChainEnds`."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _read(self, query: LiteralString, **parameters: Any) -> list[Checkpoint]:
        try:
            found = await self._driver.execute_query(query, parameters, database_=self._database)
        except (DriverError, Neo4jError) as error:
            raise StoreUnavailable("The graph can't be reached.") from error
        return [Checkpoint(row["seq"], row["hash"], rfc3339(row["now"])) for row in found.records]

    async def end(self) -> Checkpoint:
        """The last entry, by the head."""
        found = await self._read(READ_END)
        return found[0] if found else Checkpoint(0, "", rfc3339(0))

    async def at(self, seqs: Sequence[int]) -> list[Checkpoint]:
        """Entries by sequence number, ascending."""
        return await self._read(READ_AT, seqs=list(seqs))

"""Overwrites what deleted records leave in Neo4j's files.

Neo4j marks deleted records as free and leaves their bytes: in the stores of strings and lists until a new record takes
the place, in an index until its page is laid out anew, and in the transaction log until it is rotated and a checkpoint
is through. So filler is written and deleted again: records of the same kinds, more log than one file holds, and, beside
the place of the key in the index, enough other keys to have its page split. Whether that was enough is not assumed:
`service.local.remains` looks.
"""

from __future__ import annotations

from typing import Any, Final, LiteralString

from neo4j import AsyncDriver
from neo4j.exceptions import DriverError, Neo4jError

from service.errors import StoreUnavailable
from service.graph.erasing import REBURY
from service.model.identifiers import IdentifierKey

ROUNDS: Final = 10
_TEXT: Final = "-" * 110

FILL: LiteralString = """
UNWIND range(1, 2000) AS i CREATE (x:Filler)
SET x.a = $text + i, x.b = $text + i + $text, x.c = [$text + i, $text, $text]
"""
EMPTY: LiteralString = "MATCH (x:Filler) CALL (x) { DELETE x } IN TRANSACTIONS OF 2000 ROWS"
BEFORE: LiteralString = "MATCH (i:Identifier) WHERE i.key < $key RETURN i.key AS key ORDER BY i.key DESC LIMIT 1"
CROWD: LiteralString = """
UNWIND range(1, 300) AS i CREATE (x:Identifier:Filler) SET x.key = $beside + '!' + toString(100000 + i)
"""
GONE: LiteralString = """
MATCH (v:Revocation {identifier: $tombstone}) WHERE v.scope = 'erase' AND v.gone_at IS NULL SET v.gone_at = timestamp()
"""
EVERY_KEY: LiteralString = "MATCH (i:Identifier) RETURN i.key AS key"


class GraphScrubber:
    """See `service.commands.physical.Scrubber`. Raises StoreUnavailable."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        try:
            async with self._driver.session(database=self._database) as session:
                return [record async for record in await session.run(query, parameters)]
        except (DriverError, Neo4jError) as error:
            raise StoreUnavailable("The graph can't be reached.") from error

    async def overwrite(self, keys: list[IdentifierKey], times: int) -> None:
        """Write filler where deleted identifiers were. All of it is there at once, so that no place is used twice:
        `times` as much where less was not enough.
        """
        for key in keys:
            before = await self._rows(BEFORE, key=key)
            await self._rows(CROWD, beside=before[0]["key"] if before else "")
            await self._rows(EMPTY)
        for _ in range(ROUNDS * times):
            await self._rows(FILL, text=_TEXT)
        await self._rows(EMPTY)

    async def tidy(self) -> None:
        """Take away filler that a crash left."""
        await self._rows(EMPTY)

    async def gone(self, tombstone: str) -> None:
        """Note that nothing is left in the files of the one under this tombstone."""
        await self._rows(GONE, tombstone=tombstone)

    async def every_key(self) -> list[IdentifierKey]:
        """All identifiers."""
        return [IdentifierKey(row["key"]) for row in await self._rows(EVERY_KEY)]

    async def bury(self, rows: list[dict[str, object]]) -> None:
        """Put tombstones back: `{"id", "at", "base", "seq"}`."""
        await self._rows(REBURY, rows=rows)

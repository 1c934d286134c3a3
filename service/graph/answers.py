"""Stored answers of requests and webhooks, removed once nobody can send them again: in small statements."""

from __future__ import annotations

from typing import LiteralString

from neo4j import AsyncDriver
from neo4j.exceptions import DriverError, Neo4jError

from service.errors import StoreUnavailable

# The clock is the database's own, as it is for `at`.
FORGET: LiteralString = """
MATCH (x:Answer) WHERE x.at < timestamp() - $kept_ms
WITH x LIMIT $limit DETACH DELETE x
RETURN count(*) AS forgotten
"""


class GraphAnswers:
    """See `service.commands.forget.Answers`."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def forget(self, kept_ms: int, limit: int) -> int:
        """Remove at most `limit` answers that are older; returns how many. Raises StoreUnavailable."""
        parameters = {"kept_ms": kept_ms, "limit": limit}
        try:
            found = await self._driver.execute_query(FORGET, parameters, database_=self._database)
        except (DriverError, Neo4jError) as error:
            raise StoreUnavailable("The graph can't be reached.") from error
        forgotten: int = found.records[0]["forgotten"]
        return forgotten

"""The connection to Neo4j."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, LiteralString

import neo4j
from neo4j import AsyncDriver
from neo4j.exceptions import DriverError, Neo4jError

from service.errors import StoreUnavailable
from service.graph import queries
from service.graph.bounded import bounded

__all__ = ["AsyncDriver", "answers", "open_driver", "rows_of", "shared_time"]

POOL_SIZE_MAX = 32
CONNECT_S_MAX = 5.0
RETRY_S_MAX = 2.0
PING_S_MAX = 2.0
ANSWER_S_MAX = 60.0


def open_driver(
    uri: str, user: str, password: str, *, acquisition_timeout_ms: int, connections_max: int = POOL_SIZE_MAX
) -> AsyncDriver:
    """A driver whose every wait is bounded; the default retry time of half a minute is no answer to a caller."""
    acquisition_s = acquisition_timeout_ms / 1000
    return neo4j.AsyncGraphDatabase.driver(
        uri,
        auth=(user, password),
        connection_acquisition_timeout=acquisition_s,
        connection_timeout=min(CONNECT_S_MAX, acquisition_s),
        max_connection_pool_size=connections_max,
        max_transaction_retry_time=RETRY_S_MAX,
        keep_alive=True,
        notifications_min_severity="OFF",
        telemetry_disabled=True,
    )


async def answers(driver: AsyncDriver, database: str) -> bool:
    """Whether the graph answers now."""
    try:
        await asyncio.wait_for(driver.execute_query(queries.PING, database_=database), PING_S_MAX)
    except (DriverError, Neo4jError, TimeoutError):
        return False
    return True


async def shared_time(driver: AsyncDriver, database: str) -> int:
    """What the graph's clock says, ms since the epoch. Raises StoreUnavailable."""
    [row] = await rows_of(driver, database, queries.READ_TIME, {})
    return int(row["now"])


async def rows_of(
    driver: AsyncDriver, database: str, query: LiteralString, parameters: Mapping[str, Any]
) -> list[neo4j.Record]:
    """What one statement answers, on the leader, tried again within the driver's bounds. Raises StoreUnavailable."""
    try:
        async with bounded(ANSWER_S_MAX):
            return (await driver.execute_query(query, dict(parameters), database_=database)).records
    except (DriverError, Neo4jError) as error:
        raise StoreUnavailable("The graph can't be reached.") from error

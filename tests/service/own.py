"""An empty graph for tests that can't share theirs."""

from __future__ import annotations

import neo4j

from service.local import Stores


async def wipe(stores: Stores) -> None:
    """An empty graph, as it is before migrations have run."""
    auth = (stores.neo4j_user, stores.neo4j_password)
    async with neo4j.AsyncGraphDatabase.driver(stores.neo4j_uri, auth=auth) as driver:
        await driver.execute_query("MATCH (n) DETACH DELETE n")
        for kind in ("CONSTRAINT", "INDEX"):
            found = await driver.execute_query(f"SHOW {kind} YIELD name, type WHERE type <> 'LOOKUP'")
            for row in found.records:
                await driver.execute_query(f"DROP {kind} {row['name']} IF EXISTS")

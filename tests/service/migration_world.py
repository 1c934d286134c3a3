"""What the tests of the migration runner share: a folder of migrations and labels that no other test uses."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

from neo4j import AsyncDriver, AsyncGraphDatabase, AsyncTransaction

from service.graph.migrations import GraphLabels, MigrationStatus, migrate, status
from service.local import Stores

PATIENCE_SECONDS = 30


@dataclass
class World:
    """A folder of migrations and the part of the graph they may touch: nodes of `thing` and the runner's own labels."""

    stores: Stores
    driver: AsyncDriver
    folder: Path
    token: str = field(default_factory=lambda: uuid4().hex)

    @property
    def labels(self) -> GraphLabels:
        return GraphLabels(f"Migration{self.token}", f"Lock{self.token}")

    @property
    def thing(self) -> str:
        return f"Thing{self.token}"

    def write(self, name: str, *statements: str) -> None:
        """Writes a migration; THING, MIGRATION and LOCK stand for this world's labels, as in all queries here."""
        (self.folder / f"{name}.cypher").write_text(self.own("".join(f"{each};\n" for each in statements)))

    def own(self, text: str) -> LiteralString:
        for word, label in (("THING", self.thing), ("MIGRATION", self.labels.migration), ("LOCK", self.labels.lock)):
            text = text.replace(word, label)
        return text

    async def migrate(
        self,
        owner: str = "one",
        lock_seconds: float = 60,
        wait_seconds: float = 60,
        say: Callable[[str], None] | None = None,
    ) -> list[str]:
        return await migrate(
            self.driver,
            self.stores.neo4j_database,
            self.folder,
            owner,
            lock_seconds=lock_seconds,
            wait_seconds=wait_seconds,
            say=say,
            labels=self.labels,
        )

    async def status(self) -> list[MigrationStatus]:
        return await status(self.driver, self.stores.neo4j_database, self.folder, labels=self.labels)

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        async with self.driver.session(database=self.stores.neo4j_database) as session:
            return await (await session.run(self.own(query), parameters)).data()

    async def recorded(self) -> list[str]:
        return [row["name"] for row in await self.rows("MATCH (m:MIGRATION) RETURN m.name AS name ORDER BY m.version")]

    async def last_write(self) -> frozenset[str]:
        """A mark that stays the same for as long as nobody writes to the database."""
        async with self.driver.session(database=self.stores.neo4j_database) as session:
            await (await session.run("RETURN 1")).consume()
            return frozenset((await session.last_bookmarks()).raw_values)

    async def until(self, query: str, **parameters: Any) -> None:
        """Waits until a query that returns one `seen` says true."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                if any(row["seen"] for row in await self.rows(query, **parameters)):
                    return
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def holding(self, query: str) -> AsyncIterator[AsyncTransaction]:
        """An open transaction that has run `query`: who wants to write the same nodes waits until it is committed."""
        async with (
            self.driver.session(database=self.stores.neo4j_database) as session,
            await session.begin_transaction() as transaction,
        ):
            await (await transaction.run(self.own(query))).consume()
            yield transaction

    async def until_blocked(self, part: str) -> None:
        """Waits until a statement that contains `part` waits for another transaction's lock."""
        await self.until(
            "SHOW TRANSACTIONS YIELD currentQuery, status WHERE currentQuery CONTAINS $part"
            " RETURN status STARTS WITH 'Blocked' AS seen",
            part=self.own(part),
        )

    async def clean(self) -> None:
        for label in (self.thing, self.labels.migration, self.labels.lock):
            await self.rows(f"MATCH (n:{label}) DETACH DELETE n")
            query = "SHOW CONSTRAINTS YIELD name, labelsOrTypes WHERE $label IN labelsOrTypes RETURN name"
            for row in await self.rows(query, label=label):
                await self.rows(f"DROP CONSTRAINT `{row['name']}`")
            query = "SHOW INDEXES YIELD name, labelsOrTypes WHERE $label IN labelsOrTypes RETURN name"
            for row in await self.rows(query, label=label):
                await self.rows(f"DROP INDEX `{row['name']}`")


@asynccontextmanager
async def opened_world(stores: Stores, folder: Path) -> AsyncIterator[World]:
    """A world with a driver of its own; its nodes, constraints and indexes are gone afterwards."""
    auth = (stores.neo4j_user, stores.neo4j_password)
    async with AsyncGraphDatabase.driver(stores.neo4j_uri, auth=auth, notifications_min_severity="OFF") as driver:
        world = World(stores, driver, folder)
        yield world
        await world.clean()


def two_migrations(world: World) -> list[str]:
    world.write(
        "V0001__keys",
        f"CREATE CONSTRAINT c{world.token} IF NOT EXISTS FOR (n:THING) REQUIRE n.key IS UNIQUE",
        "MERGE (n:THING {key: 'first'}) SET n.runs = coalesce(n.runs, 0) + 1",
        f"CREATE INDEX i{world.token} IF NOT EXISTS FOR (n:THING) ON (n.runs)",
    )
    world.write("V0002__second", "MATCH (n:THING {key: 'first'}) MERGE (n)-[:NEXT]->(:THING {key: 'second'})")
    return ["V0001__keys", "V0002__second"]

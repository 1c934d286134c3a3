"""The lock that lets one instance migrate at a time: a node with owner, turn and end, by the graph's own clock.

Two rules make it hold. Whoever changes or relies on the lock first takes the node's write lock and only then looks at
it (Neo4j reads what is committed, so a look before the wait could be out of date). And each taking counts up `turn`, so
that a holder whose time ran out is known as such even when the next one has the same owner's name.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from neo4j import AsyncDriver, AsyncManagedTransaction, AsyncSession, NotificationMinimumSeverity, Record
from neo4j.exceptions import DriverError, Neo4jError

from service.graph.migration_files import MigrationError

__all__ = ["LockState", "MigrationLock", "MigrationLockLost", "Turn", "open_session"]

RENEWALS_PER_TERM = 3
RELEASE_SECONDS_MAX = 5.0


class MigrationLockLost(MigrationError):
    """Another instance took the lock over because this one did not renew it in time; this one stopped."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One taking of the lock. `number` grows by one with each taking, by whomever."""

    owner: str
    number: int


@dataclass(frozen=True, slots=True)
class LockState:
    """What a look at the lock showed; times in ms since epoch by the graph's clock, `owner` None when free."""

    owner: str | None
    until: int
    now: int


def open_session(driver: AsyncDriver, database: str | None, access: str = "WRITE") -> AsyncSession:
    """A session without the server's hints: looking for labels that a fresh graph lacks is normal here."""
    return driver.session(
        database=database,
        default_access_mode=access,
        notifications_min_severity=NotificationMinimumSeverity.OFF,
    )


class MigrationLock:
    """The lock node of one graph. `label` must be a plain word, it becomes part of the Cypher."""

    def __init__(self, driver: AsyncDriver, database: str | None, label: str, term_seconds: float) -> None:
        self._driver = driver
        self._database = database
        self._label = label
        self._term_ms = max(1, round(term_seconds * 1000))

    async def look(self) -> LockState:
        """Reads only, and takes no lock of the graph's own."""
        query = (
            f"OPTIONAL MATCH (l:{self._label} {{id: 1}})"
            " RETURN l.owner AS owner, coalesce(l.until, 0) AS until, timestamp() AS now"
        )

        async def read(tx: AsyncManagedTransaction) -> LockState:
            row = await (await tx.run(query)).single(strict=True)
            return LockState(row["owner"], row["until"], row["now"])

        async with open_session(self._driver, self._database) as session:
            return await session.execute_write(read)  # on the leader, a follower may lag

    async def take(self, owner: str) -> Turn | None:
        """Takes the lock when it is free or its holder's time is over; None when another holds it."""
        create = f"MERGE (l:{self._label} {{id: 1}}) ON CREATE SET l.turn = 0, l.until = 0 SET l.id = 1"
        swap = (
            f"MATCH (l:{self._label} {{id: 1}}) WHERE l.owner IS NULL OR l.until < timestamp()"
            " SET l.owner = $owner, l.turn = l.turn + 1, l.until = timestamp() + $term RETURN l.turn AS turn"
        )

        async def compare_and_set(tx: AsyncManagedTransaction) -> Turn | None:
            await (await tx.run(create)).consume()
            row = await (await tx.run(swap, owner=owner, term=self._term_ms)).single()
            return None if row is None else Turn(owner, row["turn"])

        async with open_session(self._driver, self._database) as session:
            return await session.execute_write(compare_and_set)

    async def renew_within(self, tx: AsyncManagedTransaction, turn: Turn) -> int:
        """Fences a write transaction: until it ends nobody can take the lock over. Returns the graph's clock, ms.

        Raises MigrationLockLost, which rolls the transaction back, when the turn is over.
        """
        seize = f"MATCH (l:{self._label} {{id: 1}}) SET l.id = 1"
        extend = (
            f"MATCH (l:{self._label} {{id: 1}}) WHERE l.owner = $owner AND l.turn = $turn"
            " SET l.until = timestamp() + $term RETURN timestamp() AS now"
        )
        await (await tx.run(seize)).consume()
        row = await (await tx.run(extend, owner=turn.owner, turn=turn.number, term=self._term_ms)).single()
        return self._still_held(row, turn)

    async def check_within(self, tx: AsyncManagedTransaction, turn: Turn) -> int:
        """The same by reading only, as a schema transaction must: it can't keep others from taking over meanwhile."""
        query = f"MATCH (l:{self._label} {{id: 1}}) WHERE l.owner = $owner AND l.turn = $turn RETURN timestamp() AS now"
        row = await (await tx.run(query, owner=turn.owner, turn=turn.number)).single()
        return self._still_held(row, turn)

    @staticmethod
    def _still_held(row: Record | None, turn: Turn) -> int:
        if row is None:
            raise MigrationLockLost(f"{turn.owner} lost the migration lock to another instance and stopped")
        return int(row["now"])

    @asynccontextmanager
    async def renewing(self, turn: Turn) -> AsyncIterator[None]:
        """Renews the turn in the background while the body runs, and gives the lock back however it ends."""
        ended = asyncio.Event()
        renewal = asyncio.create_task(self._renew_until(ended, turn))
        try:
            yield
        finally:
            ended.set()
            # Not given back in time (the graph is away): it ends by itself when its term is over.
            with suppress(DriverError, Neo4jError, TimeoutError):
                async with asyncio.timeout(RELEASE_SECONDS_MAX):
                    await self._release(turn)
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)

    async def _renew_until(self, ended: asyncio.Event, turn: Turn) -> None:
        while not ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), self._term_ms / 1000 / RENEWALS_PER_TERM)
                return
            try:
                async with open_session(self._driver, self._database) as session:
                    await session.execute_write(self.renew_within, turn)
            except MigrationLockLost:
                return  # the fence of the next statement says so to the one who works
            except (DriverError, Neo4jError):
                continue  # the next renewal may succeed; when none does in time, the fence finds out

    async def _release(self, turn: Turn) -> None:
        seize = f"MATCH (l:{self._label} {{id: 1}}) SET l.id = 1"
        free = (
            f"MATCH (l:{self._label} {{id: 1}}) WHERE l.owner = $owner AND l.turn = $turn"
            " SET l.until = 0 REMOVE l.owner"
        )

        async def write(tx: AsyncManagedTransaction) -> None:
            await (await tx.run(seize)).consume()
            await (await tx.run(free, owner=turn.owner, turn=turn.number)).consume()

        async with open_session(self._driver, self._database) as session:
            await session.execute_write(write)

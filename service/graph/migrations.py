"""Brings a graph's constraints, indexes and stored data to what this code expects; see docs/migrations.md.

    statuses = await status(driver, database, folder)      # reads only
    names = await migrate(driver, database, folder, owner)  # applies what is pending, or refuses

Errors: MigrationError
          MigrationRefused    folder and graph do not fit; nothing was written
          MigrationFailed     the graph rejected a statement; those before it stand, the next run repeats the file
          MigrationLockLost   another instance took over; this one recorded nothing since
          MigrationLockBusy   another instance kept migrating for longer than this one would wait
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neo4j import AsyncDriver, AsyncManagedTransaction, Query, unit_of_work
from neo4j.exceptions import Neo4jError

from service.graph.migration_files import (
    AppliedMigration,
    MigrationError,
    MigrationFile,
    MigrationRefused,
    MigrationStatus,
    Statement,
    compare,
    read_folder,
    refuse_unless_consistent,
)
from service.graph.migration_lock import MigrationLock, MigrationLockLost, Turn, open_session

__all__ = [
    "GraphLabels",
    "MigrationError",
    "MigrationFailed",
    "MigrationLockBusy",
    "MigrationLockLost",
    "MigrationRefused",
    "MigrationStatus",
    "migrate",
    "status",
]

POLL_SECONDS = 0.25
WAIT_SECONDS_MAX = 1_800
STATEMENT_SECONDS_MAX = 3_600
INDEXES_SECONDS_MAX = 3_600

_SCHEMA_RULE_EXISTS = frozenset(
    {
        "Neo.ClientError.Schema.ConstraintAlreadyExists",
        "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists",
        "Neo.ClientError.Schema.IndexAlreadyExists",
    }
)


class MigrationFailed(MigrationError):
    """The graph rejected a statement. The text has its code, never its message, which may quote stored values."""


class MigrationLockBusy(MigrationError):
    """Another instance kept the lock for longer than this one would wait."""


@dataclass(frozen=True, slots=True)
class GraphLabels:
    """Labels of the nodes that record migrations and hold the lock; others than the defaults are for tests."""

    migration: str = "Migration"
    lock: str = "MigrationLock"

    def __post_init__(self) -> None:
        for label in (self.migration, self.lock):
            if re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", label) is None:
                raise ValueError(f"{label!r} is no plain label")


async def status(
    driver: AsyncDriver, database: str | None, folder: Path, *, labels: GraphLabels | None = None
) -> list[MigrationStatus]:
    """Every migration that folder or graph knows, by version. Reads only.

    Raises MigrationRefused when the folder itself is not in order.
    """
    files = await asyncio.to_thread(read_folder, folder)
    return compare(files, await _Ledger(driver, database, labels or GraphLabels()).applied())


async def migrate(
    driver: AsyncDriver,
    database: str | None,
    folder: Path,
    owner: str,
    *,
    lock_seconds: float = 60,
    wait_seconds: float = WAIT_SECONDS_MAX,
    say: Callable[[str], None] | None = None,
    labels: GraphLabels | None = None,
) -> list[str]:
    """Applies what is pending, in order, one instance at a time; returns the names that this call applied.

    `owner` names this instance in the lock, which runs for `lock_seconds` and is renewed meanwhile; while another holds
    it, this one waits up to `wait_seconds` and then mostly finds nothing to apply. An up-to-date graph is only read.
    `say` gets one line per step. Raises a MigrationError (see the top of this module) or the driver's own errors.
    """
    files = await asyncio.to_thread(read_folder, folder)
    names = labels or GraphLabels()
    ledger = _Ledger(driver, database, names)
    applied: list[str] = []
    if _pending(files, await ledger.applied()):
        await ledger.ensure_constraints()
        runner = _Runner(ledger, MigrationLock(driver, database, names.lock, lock_seconds), files, say or _silent)
        turn = await runner.take_turn(owner, wait_seconds)
        if turn is not None:
            applied = await runner.apply_pending(turn)
    await ledger.await_indexes()
    return applied


def _silent(line: str) -> None:
    pass


def _pending(files: list[MigrationFile], applied: list[AppliedMigration]) -> list[MigrationFile]:
    statuses = compare(files, applied)
    refuse_unless_consistent(files, statuses)
    waiting = {each.version for each in statuses if each.state == "pending"}
    return [file for file in files if file.version in waiting]


class _Ledger:
    """The nodes in which a graph records what was applied to it."""

    def __init__(self, driver: AsyncDriver, database: str | None, labels: GraphLabels) -> None:
        self.driver = driver
        self.database = database
        self._labels = labels

    async def applied(self) -> list[AppliedMigration]:
        # Through the leader of a cluster: a follower that lags would show as pending what was applied just now.
        query = (
            f"MATCH (m:{self._labels.migration}) RETURN coalesce(m.version, 0) AS version,"
            " coalesce(m.name, 'a nameless one') AS name, coalesce(m.checksum, '') AS checksum,"
            " coalesce(m.chain, '') AS chain, coalesce(m.applied_at, 0) AS applied_at ORDER BY version"
        )

        async def read(tx: AsyncManagedTransaction) -> list[AppliedMigration]:
            result = await tx.run(query)
            return [AppliedMigration(**row.data()) async for row in result]

        async with open_session(self.driver, self.database) as session:
            return await session.execute_write(read)

    async def ensure_constraints(self) -> None:
        for label, key in ((self._labels.migration, "version"), (self._labels.lock, "id")):
            name = f"{re.sub('(?<!^)(?=[A-Z])', '_', label).lower()}_{key}"
            query = f"CREATE CONSTRAINT {name} IF NOT EXISTS FOR (n:{label}) REQUIRE n.{key} IS UNIQUE"
            try:
                await self.schema(query)
            except Neo4jError as error:
                if error.code not in _SCHEMA_RULE_EXISTS:  # another instance was first between look and creation
                    raise

    async def schema(self, text: str) -> None:
        async def write(tx: AsyncManagedTransaction) -> None:
            await (await tx.run(text)).consume()

        async with open_session(self.driver, self.database) as session:
            await session.execute_write(write)

    async def record(self, tx: AsyncManagedTransaction, file: MigrationFile, started: int) -> None:
        query = (
            f"MERGE (m:{self._labels.migration} {{version: $version}}) SET m.name = $name, m.checksum = $checksum,"
            " m.chain = $chain, m.applied_at = timestamp(), m.millis = timestamp() - $started"
        )
        result = await tx.run(
            query,
            version=file.version,
            name=file.name,
            checksum=file.checksum,
            chain=file.chain,
            started=started,
        )
        await result.consume()

    async def await_indexes(self) -> None:
        async with open_session(self.driver, self.database, "READ") as session:
            try:
                await (await session.run("CALL db.awaitIndexes($seconds)", seconds=INDEXES_SECONDS_MAX)).consume()
            except Neo4jError as error:
                raise MigrationFailed(f"the graph's indexes did not come online: {error.code}") from None


class _Runner:
    """One instance's attempt to apply what is pending."""

    def __init__(
        self, ledger: _Ledger, lock: MigrationLock, files: list[MigrationFile], say: Callable[[str], None]
    ) -> None:
        self._ledger = ledger
        self._lock = lock
        self._files = files
        self._say = say

    async def take_turn(self, owner: str, wait_seconds: float) -> Turn | None:
        """Waits for the lock; None as soon as nothing is left to apply. All times by the graph's clock."""
        began: int | None = None
        while True:
            seen = await self._lock.look()
            if seen.owner is None or seen.until < seen.now:
                turn = await self._lock.take(owner)
                if turn is not None:
                    return turn
                continue
            if began is None:
                began = seen.now
                self._say(f"migrations: waiting for {seen.owner}, who is applying them")
            if seen.now - began > wait_seconds * 1000:
                raise MigrationLockBusy(f"{seen.owner} has held the migration lock for over {wait_seconds:g} s")
            await asyncio.sleep(min(POLL_SECONDS, max(1, seen.until - seen.now) / 1000))
            if not _pending(self._files, await self._ledger.applied()):
                return None

    async def apply_pending(self, turn: Turn) -> list[str]:
        names: list[str] = []
        async with self._lock.renewing(turn):
            for file in _pending(self._files, await self._ledger.applied()):
                millis = await self._apply(file, turn)
                self._say(f"migrations: {file.name} applied in {millis} ms")
                names.append(file.name)
        return names

    async def _apply(self, file: MigrationFile, turn: Turn) -> int:
        self._say(f"migrations: {file.name}, {len(file.statements)} statements")
        started: int | None = None
        for statement in file.statements:
            try:
                now = await self._run(statement, turn)
            except Neo4jError as error:
                raise MigrationFailed(_rejected(file, statement, error)) from None
            started = now if started is None else started
        return await self._record(file, turn, started or 0)

    async def _run(self, statement: Statement, turn: Turn) -> int:
        """Runs one statement in a transaction of its own, unless the turn is over. Returns when it began, ms."""

        @unit_of_work(timeout=STATEMENT_SECONDS_MAX)
        async def work(tx: AsyncManagedTransaction) -> int:
            now = await self._lock.check_within(tx, turn)
            await (await tx.run(statement.text)).consume()
            if statement.kind == "content":  # a schema transaction can't write a node
                await self._lock.renew_within(tx, turn)
            return now

        async with open_session(self._ledger.driver, self._ledger.database) as session:
            if statement.kind != "batched":
                return await session.execute_write(work)
            now = await session.execute_write(self._lock.check_within, turn)
            await (await session.run(Query(statement.text, timeout=STATEMENT_SECONDS_MAX))).consume()
            return now

    async def _record(self, file: MigrationFile, turn: Turn, started: int) -> int:
        async def work(tx: AsyncManagedTransaction) -> int:
            now = await self._lock.renew_within(tx, turn)
            await self._ledger.record(tx, file, started)
            return now - started

        async with open_session(self._ledger.driver, self._ledger.database) as session:
            return await session.execute_write(work)


def _rejected(file: MigrationFile, statement: Statement, error: Neo4jError) -> str:
    text = f"{file.name}, line {statement.line}: the graph answered {error.code}"
    if error.code == "Neo.ClientError.Statement.SyntaxError":  # found before any data was looked at
        text += ": " + " ".join((error.message or "").split())
    return text

"""One runner at a time on a real Neo4j: waiting, renewal, takeover, and a holder that lost its lock."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from neo4j import AsyncGraphDatabase

from service.graph.migration_lock import MigrationLock
from service.graph.migrations import MigrationLockBusy, MigrationLockLost
from service.local import Stores
from tests.service.migration_world import PATIENCE_SECONDS, World, opened_world, two_migrations

CHILD = """
import asyncio, os, sys
from pathlib import Path
from neo4j import AsyncGraphDatabase
from service.graph.migration_lock import MigrationLock
from service.graph.migrations import GraphLabels, migrate

async def main():
    uri, user, database, folder, migration, lock, seconds = sys.argv[1:]
    auth = (user, os.environ["CHILD_NEO4J_PASSWORD"])
    async with AsyncGraphDatabase.driver(uri, auth=auth) as driver:
        await migrate(driver, database, Path(folder), "child", lock_seconds=float(seconds),
                      labels=GraphLabels(migration, lock), say=lambda line: print(line, flush=True))

asyncio.run(main())
"""


@pytest.fixture
async def world(stores: Stores, tmp_path: Path) -> AsyncIterator[World]:
    async with opened_world(stores, tmp_path) as opened:
        yield opened


async def test_five_at_once_apply_each_once(world: World) -> None:
    names = two_migrations(world)
    auth = (world.stores.neo4j_user, world.stores.neo4j_password)
    drivers = [AsyncGraphDatabase.driver(world.stores.neo4j_uri, auth=auth) for _ in range(5)]
    try:
        each = [World(world.stores, driver, world.folder, world.token) for driver in drivers]
        results = await asyncio.gather(*(one.migrate(f"instance-{i}") for i, one in enumerate(each)))
    finally:
        for driver in drivers:
            await driver.close()
    assert sorted(name for result in results for name in result) == names
    [row] = await world.rows("MATCH (n:THING {key: 'first'}) RETURN n.runs AS runs")
    assert row["runs"] == 1
    assert await world.recorded() == names


async def test_of_five_who_reach_for_a_free_lock_one_gets_it(world: World) -> None:
    await world.rows(f"CREATE CONSTRAINT l{world.token} IF NOT EXISTS FOR (n:LOCK) REQUIRE n.id IS UNIQUE")
    lock = MigrationLock(world.driver, world.stores.neo4j_database, world.labels.lock, term_seconds=60)
    for number in (1, 2):
        takings = await asyncio.gather(*(lock.take(f"instance-{i}") for i in range(5)))
        [turn] = [each for each in takings if each is not None]
        assert turn.number == number
        assert (await lock.look()).owner == turn.owner
        await world.rows("MATCH (l:LOCK) SET l.until = timestamp() - 1")  # its time is over


async def test_one_who_waits_gives_up_after_its_time(world: World) -> None:
    two_migrations(world)
    await world.rows("MERGE (l:LOCK {id: 1}) SET l.owner = 'busy', l.turn = 1, l.until = timestamp() + 60000")
    with pytest.raises(MigrationLockBusy, match=r"busy has held the migration lock for over 0\.5 s"):
        await world.migrate(wait_seconds=0.5)
    assert await world.recorded() == []


async def test_a_long_statement_keeps_the_lock_by_renewal(world: World) -> None:
    await world.rows("MERGE (n:THING {key: 'gate'})")
    world.write("V0001__slow", "MATCH (n:THING {key: 'gate'}) SET n.runs = coalesce(n.runs, 0) + 1")
    async with world.holding("MATCH (n:THING {key: 'gate'}) SET n.shut = true") as gate:
        first = asyncio.create_task(world.migrate("first", lock_seconds=2))
        await world.until("MATCH (l:LOCK) RETURN l.owner = 'first' AS seen")
        second = asyncio.create_task(world.migrate("second", lock_seconds=2))
        await asyncio.sleep(5)  # more than two terms
        [lock] = await world.rows("MATCH (l:LOCK) RETURN l.owner AS owner, l.turn AS turn")
        assert lock == {"owner": "first", "turn": 1}
        await gate.commit()
    assert await first == ["V0001__slow"]
    assert await second == []
    [row] = await world.rows("MATCH (n:THING {key: 'gate'}) RETURN n.runs AS runs")
    assert row["runs"] == 1


async def start_child_until_it_waits(world: World, lock_seconds: float) -> asyncio.subprocess.Process:
    """Another process that has the lock and has begun its first statement, which the caller's gate holds up."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CHILD,
        world.stores.neo4j_uri,
        world.stores.neo4j_user,
        world.stores.neo4j_database,
        str(world.folder),
        world.labels.migration,
        world.labels.lock,
        str(lock_seconds),
        env={**os.environ, "CHILD_NEO4J_PASSWORD": world.stores.neo4j_password},
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert b"V0001__gated" in await child.stdout.readline()
    await world.until_blocked("gated THING")
    return child


def gated_migration(world: World) -> None:
    world.write(
        "V0001__gated",
        "MATCH (n:THING {key: 'gate'}) SET n.runs = coalesce(n.runs, 0) + 1 /* gated THING */",
        "MERGE (n:THING {key: 'after'})",
    )


async def test_the_lock_of_a_killed_holder_is_taken_over_after_its_time(world: World) -> None:
    await world.rows("MERGE (n:THING {key: 'gate'})")
    gated_migration(world)
    async with world.holding("MATCH (n:THING {key: 'gate'}) SET n.shut = true") as gate:
        child = await start_child_until_it_waits(world, lock_seconds=4)
        child.send_signal(signal.SIGKILL)
        await child.communicate()
        await gate.commit()
    [left] = await world.rows("MATCH (l:LOCK) RETURN l.owner AS owner, l.until AS until, timestamp() AS now")
    assert left["owner"] == "child"
    assert left["until"] > left["now"], "the dead holder's time is still running"
    assert await world.migrate("heir") == ["V0001__gated"]
    [record] = await world.rows("MATCH (m:MIGRATION) RETURN m.applied_at - m.millis AS began")
    assert record["began"] > left["until"], "nobody may start before the holder's time is over"
    [row] = await world.rows("MATCH (n:THING {key: 'gate'}) RETURN n.runs AS runs")
    assert row["runs"] == 1, "what the dead one had begun was rolled back"


async def test_a_holder_frozen_past_its_time_records_nothing(world: World) -> None:
    await world.rows("MERGE (n:THING {key: 'gate'})")
    gated_migration(world)
    async with world.holding("MATCH (n:THING {key: 'gate'}) SET n.shut = true") as gate:
        child = await start_child_until_it_waits(world, lock_seconds=1)
        child.send_signal(signal.SIGSTOP)
        try:
            heir = asyncio.create_task(world.migrate("heir"))
            await world.until("MATCH (l:LOCK) RETURN l.owner = 'heir' AS seen")
            await gate.commit()  # the frozen one's statement now goes through, but is not committed
        finally:
            child.send_signal(signal.SIGCONT)
    _, errors = await child.communicate()
    assert child.returncode == 1
    assert b"MigrationLockLost: child lost the migration lock" in errors
    assert await heir == ["V0001__gated"]
    [row] = await world.rows("MATCH (n:THING {key: 'gate'}) RETURN n.runs AS runs")
    assert row["runs"] == 1, "the late one's statement was rolled back"
    assert await world.recorded() == ["V0001__gated"]


STEAL = "SET l.owner = 'thief', l.turn = l.turn + 1, l.until = timestamp() + 60000"


async def test_a_statement_is_rolled_back_when_the_lock_was_lost_meanwhile(world: World) -> None:
    world.write("V0001__lost", f"MATCH (l:LOCK {{id: 1}}) MERGE (n:THING {{key: 1}}) {STEAL}")
    with pytest.raises(MigrationLockLost):
        await world.migrate()
    assert await world.rows("MATCH (n:THING) RETURN n") == []
    assert await world.recorded() == []


async def test_a_takeover_that_commits_while_the_fence_waits_is_seen(world: World) -> None:
    await world.rows("MERGE (n:THING {key: 'gate'})")
    gated_migration(world)
    async with world.holding("MATCH (n:THING {key: 'gate'}) SET n.shut = true") as gate:
        running = asyncio.create_task(world.migrate())
        await world.until_blocked("gated THING")
        async with world.holding(f"MATCH (l:LOCK {{id: 1}}) {STEAL}") as takeover:
            await gate.commit()
            await world.until_blocked("(l:LOCK {id: 1})")
            await takeover.commit()
    with pytest.raises(MigrationLockLost):
        await running
    [row] = await world.rows("MATCH (n:THING {key: 'gate'}) RETURN n.runs AS runs")
    assert row["runs"] is None


async def test_the_next_statement_does_not_run_when_the_lock_was_lost(world: World) -> None:
    world.write(
        "V0001__lost",
        f"MATCH (l:LOCK {{id: 1}}) CALL (l) {{ {STEAL} }} IN TRANSACTIONS",
        f"CREATE CONSTRAINT c{world.token} IF NOT EXISTS FOR (n:THING) REQUIRE n.key IS UNIQUE",
    )
    with pytest.raises(MigrationLockLost, match="one lost the migration lock"):
        await world.migrate()
    query = "SHOW CONSTRAINTS YIELD labelsOrTypes WHERE $label IN labelsOrTypes RETURN 1 AS found"
    assert await world.rows(query, label=world.thing) == []
    [lock] = await world.rows("MATCH (l:LOCK) RETURN l.owner AS owner")
    assert lock["owner"] == "thief", "a lock that is not ours any more is not given back"


async def test_a_migration_is_not_recorded_when_the_lock_was_lost(world: World) -> None:
    world.write("V0001__lost", f"MATCH (l:LOCK {{id: 1}}) CALL (l) {{ {STEAL} }} IN TRANSACTIONS")
    with pytest.raises(MigrationLockLost):
        await world.migrate()
    assert await world.recorded() == []


async def test_a_later_turn_of_the_same_owner_is_another_turn(world: World) -> None:
    """Two instances with one name: the first, whose time ran out, must not take the second's turn for its own."""
    world.write("V0001__lost", "MATCH (l:LOCK {id: 1}) CALL (l) { SET l.turn = l.turn + 1 } IN TRANSACTIONS")
    with pytest.raises(MigrationLockLost):
        await world.migrate()
    assert await world.recorded() == []


async def test_a_cancelled_runner_gives_the_lock_back(world: World) -> None:
    await world.rows("MERGE (n:THING {key: 'gate'})")
    world.write("V0001__slow", "MATCH (n:THING {key: 'gate'}) SET n.runs = 1")
    async with world.holding("MATCH (n:THING {key: 'gate'}) SET n.shut = true") as gate:
        running = asyncio.create_task(world.migrate())
        await world.until("MATCH (l:LOCK) RETURN l.owner = 'one' AS seen")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        [lock] = await world.rows("MATCH (l:LOCK) RETURN l.owner AS owner, l.until AS until")
        assert lock == {"owner": None, "until": 0}
        await gate.commit()
    assert await world.migrate("two") == ["V0001__slow"]

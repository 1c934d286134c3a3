"""The migration runner on a real Neo4j: what it applies, when it refuses, and what is left when a statement fails."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.graph.migrations import MigrationFailed, MigrationRefused
from service.local import Stores
from tests.service.migration_world import PATIENCE_SECONDS, World, opened_world, two_migrations


@pytest.fixture
async def world(stores: Stores, tmp_path: Path) -> AsyncIterator[World]:
    async with opened_world(stores, tmp_path) as opened:
        yield opened


# --- applying ---------------------------------------------------------------------------------------------------------


async def test_a_fresh_graph_gets_all_in_order(world: World) -> None:
    names = two_migrations(world)
    lines: list[str] = []
    assert [(s.name, s.state, s.applied_at) for s in await world.status()] == [(n, "pending", None) for n in names]
    assert await world.migrate(say=lines.append) == names
    assert await world.recorded() == names
    assert all(s.state == "applied" and s.applied_at for s in await world.status())
    assert any("V0001__keys applied in" in line for line in lines)
    [row] = await world.rows("MATCH (n:THING)-[:NEXT]->(m) RETURN n.key AS n, m.key AS m")
    assert row == {"n": "first", "m": "second"}
    [record] = await world.rows("MATCH (m:MIGRATION {version: 1}) RETURN m{.*, now: timestamp()} AS m")
    assert 0 <= record["m"]["millis"] <= PATIENCE_SECONDS * 1000
    assert 0 <= record["m"]["now"] - record["m"]["applied_at"] <= PATIENCE_SECONDS * 1000
    [lock] = await world.rows("MATCH (l:LOCK) RETURN l.owner AS owner, l.until AS until, l.turn AS turn")
    assert lock == {"owner": None, "until": 0, "turn": 1}
    query = "SHOW INDEXES YIELD labelsOrTypes, state WHERE $label IN labelsOrTypes RETURN state"
    assert [row["state"] for row in await world.rows(query, label=world.thing)] == ["ONLINE", "ONLINE"]


async def test_record_and_lock_are_unique_by_constraint(world: World) -> None:
    two_migrations(world)
    await world.migrate()
    query = "SHOW CONSTRAINTS YIELD labelsOrTypes, properties WHERE $label IN labelsOrTypes RETURN properties"
    assert await world.rows(query, label=world.labels.migration) == [{"properties": ["version"]}]
    assert await world.rows(query, label=world.labels.lock) == [{"properties": ["id"]}]


async def test_an_up_to_date_graph_is_only_read(world: World) -> None:
    two_migrations(world)
    await world.migrate()
    before = await world.last_write()
    assert await world.migrate() == []
    assert all(s.state == "applied" for s in await world.status())
    assert await world.last_write() == before
    await world.rows("MERGE (n:THING {key: 'probe'})")
    assert await world.last_write() != before, "the mark must show a write, else this test shows nothing"


async def test_only_what_is_new_is_applied(world: World) -> None:
    two_migrations(world)
    await world.migrate()
    world.write("V0003__third", "MERGE (n:THING {key: 'third'})")
    assert [s.state for s in await world.status()] == ["applied", "applied", "pending"]
    assert await world.migrate() == ["V0003__third"]
    [row] = await world.rows("MATCH (n:THING {key: 'first'}) RETURN n.runs AS runs")
    assert row["runs"] == 1


async def test_statements_with_transactions_of_their_own_work(world: World) -> None:
    world.write("V0001__seed", "UNWIND range(1, 25) AS i MERGE (n:THING {key: i})")
    world.write("V0002__batches", "MATCH (n:THING) CALL (n) { SET n.done = true } IN TRANSACTIONS OF 10 ROWS")
    assert await world.migrate() == ["V0001__seed", "V0002__batches"]
    [row] = await world.rows("MATCH (n:THING {done: true}) RETURN count(n) AS n")
    assert row["n"] == 25


# --- refusing ---------------------------------------------------------------------------------------------------------


async def assert_refused_without_a_write(world: World, said: str) -> None:
    before = await world.last_write()
    with pytest.raises(MigrationRefused) as caught:
        await world.migrate()
    assert said in str(caught.value)
    assert await world.last_write() == before


@pytest.fixture
async def applied(world: World) -> World:
    """A world with two migrations applied and a third one pending, which a refusal must leave so."""
    two_migrations(world)
    await world.migrate()
    world.write("V0003__third", "MERGE (n:THING {key: 'third'})")
    return world


async def test_a_changed_file_is_refused(applied: World) -> None:
    applied.write("V0002__second", "MERGE (n:THING {key: 'other'})")
    await assert_refused_without_a_write(applied, "V0002__second: its content is not what was applied")
    assert [s.state for s in await applied.status()] == ["applied", "changed", "pending"]


async def test_a_renamed_file_is_refused(applied: World) -> None:
    (applied.folder / "V0002__second.cypher").rename(applied.folder / "V0002__zweite.cypher")
    await assert_refused_without_a_write(applied, "V0002__zweite: it was applied under the name V0002__second")
    assert [s.state for s in await applied.status()] == ["applied", "renamed", "pending"]


async def test_a_missing_file_is_refused(applied: World) -> None:
    (applied.folder / "V0002__second.cypher").unlink()
    await assert_refused_without_a_write(applied, "V0002__second: it was applied to this graph and its file is missing")
    assert [s.state for s in await applied.status()] == ["applied", "missing", "pending"]


async def test_reordered_files_are_refused(applied: World) -> None:
    first, second = applied.folder / "V0001__keys.cypher", applied.folder / "V0002__second.cypher"
    first.rename(applied.folder / "V0002__keys.cypher")
    second.rename(applied.folder / "V0001__second.cypher")
    await assert_refused_without_a_write(applied, "V0001__second: reordered: its content was applied as V0002__second")


async def test_a_graph_newer_than_the_code_is_refused(applied: World) -> None:
    await applied.migrate()
    (applied.folder / "V0003__third.cypher").unlink()
    await assert_refused_without_a_write(applied, "V0003__third: the graph is newer than this code")


async def test_a_tampered_record_is_refused(applied: World) -> None:
    await applied.rows("MATCH (m:MIGRATION {version: 1}) SET m.chain = 'x'")
    await assert_refused_without_a_write(applied, "V0001__keys: the graph's record of it does not follow")


async def test_a_folder_out_of_order_is_refused_on_a_fresh_graph(world: World) -> None:
    two_migrations(world)
    world.write("V0004__fourth", "MERGE (n:THING {key: 'fourth'})")
    await assert_refused_without_a_write(world, "version 0003 is missing in the folder")
    (world.folder / "notes.txt").write_text("x")
    await assert_refused_without_a_write(world, "notes.txt")


# --- failing ----------------------------------------------------------------------------------------------------------


async def test_a_file_that_failed_halfway_runs_again_from_its_start(world: World) -> None:
    world.write("V0001__seed", "MERGE (n:THING {key: 'divisor'}) ON CREATE SET n.value = 0")
    world.write(
        "V0002__halves",
        "MERGE (n:THING {key: 'before'}) SET n.runs = coalesce(n.runs, 0) + 1",
        "MATCH (n:THING {key: 'divisor'}) SET n.half = 1 / n.value",
        "MERGE (n:THING {key: 'after'})",
    )
    with pytest.raises(MigrationFailed, match=r"V0002__halves, line 2: the graph answered Neo\.ClientError\.\S+$"):
        await world.migrate()
    assert await world.recorded() == ["V0001__seed"]
    assert [s.state for s in await world.status()] == ["applied", "pending"]
    await world.rows("MATCH (n:THING {key: 'divisor'}) SET n.value = 1")
    assert await world.migrate("two") == ["V0002__halves"], "the lock was given back, so that nobody waits"
    [row] = await world.rows("MATCH (n:THING {key: 'before'}) RETURN n.runs AS runs")
    assert row["runs"] == 2
    assert len(await world.rows("MATCH (n:THING {key: 'after'}) RETURN n")) == 1


async def test_a_failure_quotes_no_stored_value(world: World) -> None:
    world.write(
        "V0001__unique",
        "UNWIND [1, 2] AS i MERGE (n:THING {i: i}) SET n.mail = 'tom@example.com'",
        f"CREATE CONSTRAINT c{world.token} IF NOT EXISTS FOR (n:THING) REQUIRE n.mail IS UNIQUE",
    )
    with pytest.raises(MigrationFailed) as caught:
        await world.migrate()
    assert "Schema.ConstraintCreationFailed" in str(caught.value)
    assert "tom@" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_a_syntax_error_says_where(world: World) -> None:
    world.write("V0001__typo", "MERGE (n:THING {key: 1})", "MERG (n:THING)")
    with pytest.raises(MigrationFailed, match=r"V0001__typo, line 2: .*Invalid input 'MERG'") as caught:
        await world.migrate()
    assert "\n" not in str(caught.value)

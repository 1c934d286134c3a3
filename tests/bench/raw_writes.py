"""The same links by the plain driver, a process of its own: what writing them costs when nothing is resolved.

    python -m tests.bench.raw_writes < SPEC     (a JSON object, see `Spec`; the result is a JSON object on stdout)

Labels of its own, with a constraint on the key, so that both sides write to the same store and do not meet.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
import uvloop
from neo4j import AsyncDriver, AsyncGraphDatabase, AsyncManagedTransaction

CONSTRAINTS = (
    "CREATE CONSTRAINT plain_key IF NOT EXISTS FOR (i:Plain) REQUIRE i.key IS UNIQUE",
    "CREATE CONSTRAINT plain_entry IF NOT EXISTS FOR (e:PlainEntry) REQUIRE e.seq IS UNIQUE",
)
WRITE_MANY = """
UNWIND $rows AS row
MERGE (a:Plain {key: row.a})
MERGE (b:Plain {key: row.b})
MERGE (a)-[r:PLAIN_LINK {id: row.link.id}]->(b) SET r += row.link
"""
WRITE_ENTRIES = "UNWIND $rows AS row CREATE (e:PlainEntry) SET e = row"
WRITE_ONE = """
MERGE (a:Plain {key: $a})
MERGE (b:Plain {key: $b})
MERGE (a)-[r:PLAIN_LINK {id: $link.id}]->(b) SET r += $link
"""


@dataclass(frozen=True, slots=True)
class Spec:
    """`file`: one row a line, of which `first` and the next `count` are written, `batch` a transaction, by `tasks`
    concurrent tasks; a batch of 1 is one transaction a link. Ends after `seconds` or when all are written. `entries`:
    the rows are audit entries, not links.
    """

    uri: str
    password: str
    file: str
    first: int
    count: int
    batch: int
    tasks: int
    seconds: float
    entries: bool = False


async def _write_many(tx: AsyncManagedTransaction, rows: list[Any]) -> None:
    await (await tx.run(WRITE_MANY, rows=rows)).consume()


async def _write_entries(tx: AsyncManagedTransaction, rows: list[Any]) -> None:
    await (await tx.run(WRITE_ENTRIES, rows=rows)).consume()


async def _write_one(tx: AsyncManagedTransaction, row: dict[str, Any]) -> None:
    await (await tx.run(WRITE_ONE, row)).consume()


async def _greet(driver: AsyncDriver, tasks: int) -> None:
    """Open as many connections as there are tasks, before anything is timed."""

    async def one() -> None:
        async with driver.session(database="neo4j") as session:
            await (await session.run("RETURN 1")).consume()
            await asyncio.sleep(0.05)

    await asyncio.gather(*(one() for _ in range(tasks)))


def batches_of(spec: Spec) -> list[list[Any]]:
    """The rows, by transaction."""
    lines = Path(spec.file).read_bytes().splitlines()[spec.first : spec.first + spec.count]
    rows = [orjson.loads(line) for line in lines]
    return [rows[at : at + spec.batch] for at in range(0, len(rows), spec.batch)]


async def run(spec: Spec) -> dict[str, float]:
    """Write; links, seconds, and the median time of a transaction in ms."""
    batches = iter(batches_of(spec))
    took: list[float] = []
    written = 0
    async with AsyncGraphDatabase.driver(spec.uri, auth=("neo4j", spec.password)) as driver:
        for constraint in CONSTRAINTS:
            await driver.execute_query(constraint, database_="neo4j")
        await _greet(driver, spec.tasks)
        began = perf_counter()

        async def writer() -> None:
            nonlocal written
            async with driver.session(database="neo4j") as session:
                for batch in batches:
                    started = perf_counter()
                    if spec.entries:
                        await session.execute_write(_write_entries, batch)
                    elif spec.batch == 1:
                        await session.execute_write(_write_one, batch[0])
                    else:
                        await session.execute_write(_write_many, batch)
                    written += len(batch)
                    now = perf_counter()
                    took.append(now - started)
                    if now - began > spec.seconds:
                        return

        await asyncio.gather(*(writer() for _ in range(spec.tasks)))
        seconds = perf_counter() - began
    took.sort()
    return {"links": written, "seconds": seconds, "p50_ms": took[len(took) // 2] * 1000}


def main() -> None:
    """The process."""
    spec = Spec(**orjson.loads(sys.stdin.buffer.read()))
    sys.stdout.write(orjson.dumps(uvloop.run(run(spec))).decode())


if __name__ == "__main__":
    main()

"""What a large graph costs beside a small one: writes and look-ups, on two graphs side by side.

Both are built by imports of the same kind of links and then asked in turn, so that a busy machine hits both.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import neo4j
import orjson

from tests.bench.figures import Row
from tests.bench.import_rate import imported
from tests.bench.people import Identifier, World, identifiers
from tests.bench.stage import Say, Stage, staged

SMALL = 50_000
BATCH = 1_000
_PART = 150_000
_ASKED = 20_000


@dataclass(slots=True)
class Graph:
    """A stage with so many identifiers in its graph; `some` are known to look up."""

    stage: Stage
    world: World
    identifiers: int
    some: list[Identifier] = field(default_factory=list)
    batches: Path | None = None
    taken: int = 0

    async def build(self, say: Say) -> None:
        """Import until there are so many."""
        count, part = 0, 0
        keep = random.Random(5)
        while count < self.identifiers:
            links = self.world.links(min(_PART, max(1_000, int((self.identifiers - count) / 1.45))))
            rate, _ = await imported(self.stage, links, f"build-{part}")
            found = set(identifiers(links))
            count = await self._count()
            self.some += keep.sample(sorted(found), min(len(found), _ASKED))
            part += 1
            say(f"{count:,} identifiers, the last by {rate:,.0f} links/s")
        keep.shuffle(self.some)
        self.identifiers = count

    async def _count(self) -> int:
        stores = self.stage.stores
        auth = (stores.neo4j_user, stores.neo4j_password)
        async with neo4j.AsyncGraphDatabase.driver(stores.neo4j_uri, auth=auth) as driver:
            found = await driver.execute_query("MATCH (i:Identifier) RETURN count(i) AS count")
        return int(found.records[0]["count"])

    def prepare(self, rounds: int, batches: int) -> None:
        """The links that are written while measured."""
        links = self.world.links(rounds * batches * BATCH)
        groups = [links[at : at + BATCH] for at in range(0, len(links), BATCH)]
        self.batches = self.stage.folder / "growth-batches"
        lines = [orjson.dumps({"links": [one.request for one in group]}) for group in groups]
        self.batches.write_bytes(b"\n".join(lines))

    async def write(self, batches: int) -> float:
        """Milliseconds a link."""
        assert self.batches is not None
        result = await self.stage.load(
            self.stage.service_port,
            1,
            600.0,
            self.batches,
            method="POST",
            path="/v1/links",
            first=self.taken,
            count=batches,
            expect='"link_id":"lnk_',
        )
        self.taken += batches
        if result.matched != batches * BATCH:
            raise RuntimeError(f"{batches * BATCH - result.matched} links of batches were not taken")
        return result.seconds * 1000 / result.matched

    async def look_up(self, seconds: float, number: int) -> float:
        """The median time of a look-up that nothing has cached, ms."""
        asked = random.Random(number).sample(self.some, len(self.some))
        paths = self.stage.folder / "growth-lookups"
        lines = [f"/v1/profiles?namespace={n}&value={quote(v)}&purpose=analytics".encode() for n, v in asked]
        paths.write_bytes(b"\n".join(lines))
        await self.stage.redis.flushdb()
        return (await self.stage.load(self.stage.service_port, 8, seconds, paths, warm_s=0.3)).p50_ms


@asynccontextmanager
async def _graph(folder: Path, count: int, say: Say) -> AsyncIterator[Graph]:
    async with staged(folder, say) as stage:
        graph = Graph(stage, World(count, time.time_ns() // 1_000_000), count)
        await graph.build(say)
        yield graph


async def growth(large: int, rounds: int, batches: int, seconds: float, say: Say) -> list[Row]:
    """Two graphs, asked in turn."""
    made = tempfile.TemporaryDirectory
    with made(prefix="fabric-small-") as one, made(prefix="fabric-large-") as other:
        async with _graph(Path(one), SMALL, say) as small, _graph(Path(other), large, say) as big:
            write = Row(f"a link at {large:,} identifiers", f"a link at {SMALL:,}", "ms", below=1.2)
            look = Row(f"cold lookup p50 at {large:,} identifiers", f"the same at {SMALL:,}", "ms", below=1.2)
            for graph in (small, big):
                graph.prepare(rounds + 1, batches)
            for number in range(rounds + 1):
                written = [await graph.write(batches) for graph in (big, small)]
                asked = [await graph.look_up(seconds, number) for graph in (big, small)]
                if number:  # the first one warms up
                    write.add(*written)
                    look.add(*asked)
    return [write, look]

"""The measurements. Each takes its rounds in turn, ours and then the baseline, because no machine is ever quiet."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import quote

import orjson

from tests.bench import consent_rate, events_rate, record_rate, stewardship
from tests.bench.figures import Row
from tests.bench.import_rate import import_rate
from tests.bench.people import Identifier, Sent, World, identifiers
from tests.bench.stage import Client, Say, Stage

PURPOSE = "analytics"
CLIENTS = 32
BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. Times in seconds."""

    links: int = 100_000
    warm_batches: int = 15
    rounds: int = 5
    seconds: float = 3.0
    batches_a_round: int = 8
    singles: int = 12_000
    merges: int = 12
    import_links: int = 60_000
    hub_links: int = 100_000
    growth_batches: int = 8


QUICK = Size(
    links=24_000,
    warm_batches=6,
    rounds=3,
    seconds=2.0,
    batches_a_round=4,
    singles=8_000,
    merges=10,
    import_links=40_000,
    hub_links=20_000,
    growth_batches=4,
)


class Bench:
    """One run over a stage."""

    def __init__(self, stage: Stage, size: Size, world: World, say: Say) -> None:
        self._stage = stage
        self._size = size
        self._world = world
        self._say = say
        self.sent: list[Sent] = []

    def _file(self, name: str, lines: list[bytes]) -> Path:
        path = self._stage.folder / name
        path.write_bytes(b"\n".join(lines))
        return path

    # ---- writes

    async def _batches(self, file: Path, first: int, count: int, *, warming: bool = False) -> float:
        """Links a second by batches of 1,000 from one client. Raises RuntimeError where one was not taken."""
        result = await self._stage.load(
            self._stage.service_port,
            1,
            600.0,
            file,
            method="POST",
            path="/v1/links",
            first=first,
            count=count,
            expect='"link_id":"lnk_',
            warming=warming,
        )
        if not warming and result.matched != count * BATCH:
            raise RuntimeError(f"{count * BATCH - result.matched} links of batches were not taken")
        return count * BATCH / result.seconds

    async def links(self) -> list[Row]:
        """Links in batches of 1,000, and the service's memory after all of them."""
        size, stage = self._size, self._stage
        row = Row("links in batches of 1,000", "the same by UNWIND … MERGE", "links/s", at_least=0.2)
        memory = Row(f"memory after {size.links:,} links", "", "MB")
        if size.links >= 100_000:
            memory.below_value = 300.0
        self.sent = self._world.links(size.links)
        groups = [self.sent[at : at + BATCH] for at in range(0, len(self.sent), BATCH)]
        bodies = self._file("batches", [orjson.dumps({"links": [one.request for one in group]}) for group in groups])
        rows = self._file("rows", [orjson.dumps(one.row) for one in self.sent])
        at = 0
        for number in range(-1, size.rounds):
            count = size.warm_batches if number < 0 else size.batches_a_round
            ours = await self._batches(bodies, at, count, warming=number < 0)
            raw = await stage.raw_writes(rows, at * BATCH, count * BATCH, batch=BATCH, tasks=1)
            at += count
            if number >= 0:
                row.add(ours, raw["links"] / raw["seconds"])
        if at < len(groups):
            await self._batches(bodies, at, len(groups) - at)
        memory.add(stage.rss_mb())
        return [row, memory]

    async def singles(self) -> list[Row]:
        """One link a request, from 32 clients."""
        size, stage = self._size, self._stage
        row = Row(f"single links, {CLIENTS} clients", "one transaction a request, bare driver", "links/s", at_least=10)
        own = Row(f"single links, {CLIENTS} clients", "the service with one client", "links/s")
        links = self._world.links(size.singles * (size.rounds + 1))
        bodies = self._file("singles", [orjson.dumps(one.request) for one in links])
        rows = self._file("single-rows", [orjson.dumps(one.row) for one in links])
        post: dict[str, Any] = {"method": "POST", "path": "/v1/links"}
        for number in range(size.rounds + 1):
            first = number * size.singles
            ours = await stage.load(
                stage.service_port,
                CLIENTS,
                size.seconds,
                bodies,
                first=first,
                count=size.singles * 9 // 10,
                warming=not number,
                **post,
            )
            raw = await stage.raw_writes(rows, first, size.singles, batch=1, tasks=CLIENTS, seconds=size.seconds)
            rest = first + size.singles * 9 // 10
            alone = await stage.load(
                stage.service_port, 1, size.seconds / 2, bodies, first=rest, count=size.singles // 10, **post
            )
            if number:  # the first one warms up
                row.add(ours.per_second, raw["links"] / raw["seconds"])
                own.add(ours.per_second, alone.per_second)
        return [row, own]

    def merges(self) -> list[Row]:
        """A steward's merge of two profiles of 100 identifiers, and a link between each two."""
        row = Row("merge of two 100-identifier profiles", "one link", "ms", below=20)
        client = self._stage.client()
        for number in range(self._size.merges + 3):
            profiles = [self._star(client, self._world.star(100)) for _ in range(2)]
            merge = _timed(client, "/v1/profiles/merge", {"profiles": profiles, "reason": "the same person"})
            alone = sorted(_timed(client, "/v1/links", link.request) for link in self._world.strangers(3))
            if number >= 3:
                row.add(merge, alone[1])
        return [row]

    @staticmethod
    def _star(client: Client, links: list[Sent]) -> str:
        answer = orjson.loads(client.ask("POST", "/v1/links", {"links": [link.request for link in links]}))
        profiles = {result["profile_id"] for result in answer["results"] if result["status"] == "linked"}
        if len(profiles) != 1 or len(answer["results"]) != 99:
            raise RuntimeError("the links did not make one profile")
        return str(profiles.pop())

    # ---- reads

    def _paths(self, name: str, asked: list[Identifier]) -> Path:
        return self._file(name, [b"/v1/profiles?" + query_of(one) for one in asked])

    async def cached(self) -> list[Row]:
        """Look-ups that the cache answers."""
        size, stage = self._size, self._stage
        name = f"cached lookup, {CLIENTS} clients"
        bare = Row(name, "bare ASGI, one Redis GET", "req/s", at_least=1.5)
        late = Row(f"{name}: p99", "bare ASGI, one Redis GET", "ms", below=1.0)
        fast = Row(name, "FastAPI route, one Redis GET", "req/s", at_least=6.0)
        asked = random.Random(7).sample(identifiers(self.sent), 2_000)
        paths = self._paths("cached", asked)
        await self._fill(asked)
        before = stage.metrics()
        for _ in range(size.rounds):
            ours, plain, route = [
                await stage.load(port, CLIENTS, size.seconds, paths, repeat=True, warm_s=0.5)
                for port in (stage.service_port, stage.baselines["asgi"], stage.baselines["fastapi"])
            ]
            bare.add(ours.per_second, plain.per_second)
            late.add(ours.p99_ms, plain.p99_ms)
            fast.add(ours.per_second, route.per_second)
        missed = _grown(before, stage.metrics(), 'fabric_lookups_total{cache="miss"}')
        if missed:
            raise RuntimeError(f"{missed:.0f} look-ups were not answered by the cache")
        return [bare, late, fast]

    async def _fill(self, asked: list[Identifier]) -> None:
        """Have the service cache each answer, and give the baselines the same bytes."""
        client = self._stage.client()
        for one in asked:
            query = query_of(one)
            body = client.ask("GET", "/v1/profiles?" + query.decode())
            await self._stage.redis.set(b"plain:" + query, body)
            client.ask("GET", "/v1/profiles?" + query.decode())

    async def cold(self) -> list[Row]:
        """Look-ups that nothing has cached: every key once, the cache emptied before each round."""
        size, stage = self._size, self._stage
        row = Row(f"cold lookup, {CLIENTS} clients", "bare ASGI, one Neo4j query", "req/s", at_least=5.0)
        asked = identifiers(self.sent)
        before = stage.metrics()
        for number in range(size.rounds + 1):
            random.Random(number).shuffle(asked)
            paths = self._paths("cold", asked)
            await stage.redis.flushdb()
            ours = await stage.load(stage.service_port, CLIENTS, size.seconds, paths, warm_s=0.3)
            query = await stage.load(stage.baselines["neo4j"], CLIENTS, size.seconds, paths, warm_s=0.3)
            if number:  # the first one warms up
                row.add(ours.per_second, query.per_second)
        hits = _grown(before, stage.metrics(), 'fabric_lookups_total{cache="hit"}')
        if hits:
            raise RuntimeError(f"{hits:.0f} cold look-ups were answered by the cache")
        return [row]

    async def all(self) -> list[Row]:
        """Everything, in an order in which later measurements find what earlier ones have written."""
        rows: list[Row] = []
        self._say("links in batches")
        rows += await self.links()
        self._say("cached look-ups")
        rows += await self.cached()
        self._say("cold look-ups")
        rows += await self.cold()
        self._say("single links")
        rows += await self.singles()
        self._say("merges")
        rows += self.merges()
        self._say("decisions and revocations")
        known = identifiers(self.sent)
        rows += await consent_rate.decisions(self._stage, known[:20_000], self._size.rounds, self._size.seconds)
        rows += await consent_rate.revocations(self._stage, self._world, known[20_000:], 20 * self._size.merges)
        self._say("events")
        rows += events_rate.ingest(self._stage, self._world, 2 * self._size.rounds)
        rows += events_rate.validation(self._world, self._size.rounds)
        rows += record_rate.record(self._stage, self._world, 2 * self._size.rounds)
        self._say("explain, history, graph")
        rows += stewardship.reads(self._stage, self._world, self._size.rounds)
        self._say("hubs")
        rows += stewardship.hubs(self._stage, self._world, self._size.hub_links, self._size.rounds)
        self._say("imports")
        rows += await import_rate(self._stage, self._size.import_links, self._size.rounds, self._say)
        return rows


def query_of(asked: Identifier) -> bytes:
    """The query string of a look-up."""
    return f"namespace={asked[0]}&value={quote(asked[1])}&purpose={PURPOSE}".encode()


def _timed(client: Client, path: str, content: object) -> float:
    began = perf_counter()
    client.ask("POST", path, content)
    return (perf_counter() - began) * 1000


def _grown(before: dict[str, float], after: dict[str, float], name: str) -> float:
    return after.get(name, 0.0) - before.get(name, 0.0)

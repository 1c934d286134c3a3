"""The change feed: in commit order, nothing missed by who lags, reconnects, waits or streams, and enough to follow."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

import httpx
import pytest

from service.local import Stores
from service.settings import Settings
from tests.service.instances import Api, Client, Instance, Json, background, fresh, key_of, link, name
from tests.service.worlds import World, agreed, profiles_in_state, seeds, tail

WRITERS, CHANGES = 4, 8


class Follower:
    """Follows the partition by the feed's events alone."""

    def __init__(self) -> None:
        self.members: dict[str, set[str]] = {}

    def follow(self, event: Json) -> None:
        """Take over one event."""
        kind, profile_id = event["type"], event["profile_id"]
        keys = {name(identifier) for identifier in event.get("identifiers", ())}
        if kind == "profile.created":
            assert not self.members.get(profile_id), "created and there already"
            self.members[profile_id] = keys
        elif kind == "profile.merged":
            self.members.setdefault(event["into"], set()).update(self.members.pop(profile_id, set()))
        elif kind == "identifiers.moved":
            for members in self.members.values():
                members -= keys
            if event["to"] is not None:
                self.members.setdefault(event["to"], set()).update(keys)
        elif kind == "profile.split":  # links of other tests fall due too, at profiles from before the beginning
            assert profile_id not in self.members or all(part in self.members for part in event["into"])

    def partition(self, keys: set[str]) -> dict[str, frozenset[str]]:
        """Profile id → members, of those profiles that hold any of these."""
        return {i: frozenset(members) for i, members in self.members.items() if members & keys}


async def one_by_one(api: Api, after: int, over: asyncio.Event) -> list[Json]:
    """A reader that takes one event at a time."""
    items: list[Json] = []
    while True:
        done = over.is_set()
        page = agreed(await api.get("/v1/changes", after=after, limit=1))
        assert len(page["items"]) <= 1 and page["next"] >= after
        if not page["items"] and done:
            return items
        items += page["items"]
        after = page["next"]
        await asyncio.sleep(0 if page["items"] else 0.05)


async def waiting(api: Api, after: int, over: asyncio.Event) -> list[Json]:
    """A reader that waits for what comes."""
    items: list[Json] = []
    while True:
        done = over.is_set()
        page = agreed(await api.get("/v1/changes", after=after, limit=1_000, wait=0.5))
        if not page["items"] and done:
            return items
        items += page["items"]
        after = page["next"]


async def lagging(api: Api, after: int, over: asyncio.Event) -> list[Json]:
    """A reader that sleeps long and takes small pages, twice: it forgets the last page and asks again."""
    items: list[Json] = []
    while True:
        done = over.is_set()
        await asyncio.sleep(0.3)
        page = agreed(await api.get("/v1/changes", after=after, limit=7))
        again = agreed(await api.get("/v1/changes", after=after, limit=7))
        assert again["items"][: len(page["items"])] == page["items"]
        if not page["items"] and done:
            return items
        items += page["items"]
        after = page["next"]


async def streaming(api: Api, after: int, over: asyncio.Event) -> list[Json]:
    """A reader of short streams that goes on from the last line it saw."""
    items: list[Json] = []
    while True:
        done = over.is_set()
        headers = {"accept": "application/x-ndjson"}
        reply = await api.call("GET", "/v1/changes", params={"after": after, "wait": 0.4}, headers=headers)
        assert reply.status == 200 and reply.headers["content-type"].startswith("application/x-ndjson")
        lines = [json.loads(line) for line in reply.body.splitlines()]
        if not lines and done:
            return items
        items += lines
        after = lines[-1]["seq"] if lines else after


Read = Callable[[Api, int, asyncio.Event], Awaitable[list[Json]]]
READERS: tuple[Read, ...] = (one_by_one, waiting, lagging, streaming)


async def test_four_writers_on_two_instances_and_nothing_is_missed(instance: Instance, second: Instance) -> None:
    apis = (instance.api, second.api)
    (seed,) = seeds(1, 1)
    worlds = [World(apis, seed + number) for number in range(WRITERS)]
    start = (await tail(instance.api))[1]
    over = asyncio.Event()

    async def write(world: World) -> None:
        for _ in range(CHANGES):
            await world.change()

    readers = [asyncio.create_task(read(apis[n % 2], start, over)) for n, read in enumerate(READERS)]  # type: ignore[arg-type,var-annotated]
    await asyncio.gather(*(write(world) for world in worlds))
    over.set()
    told = await asyncio.gather(*readers)
    whole, _ = await tail(second.api, start)
    seqs = [item["seq"] for item in whole]
    assert seqs == sorted(set(seqs)) and all(seq > start for seq in seqs)
    assert [item["at"] for item in whole] == sorted(item["at"] for item in whole)
    for read, items in zip(READERS, told, strict=True):
        assert items == whole, f"{read.__name__}, seed {seed}"  # type: ignore[attr-defined]
    follower = Follower()
    for item in whole:
        follower.follow(item)
    for world in worlds:
        shown = profiles_in_state(await world.state())
        assert follower.partition(set(world.keys)) == shown, f"seed {seed}"


async def test_waiting_ends_with_an_event_from_the_other_instance(instance: Instance, second: Instance) -> None:
    start = (await tail(instance.api))[1]
    began = time.monotonic()
    wait = asyncio.create_task(instance.api.get("/v1/changes", after=start, wait=30))
    await asyncio.sleep(0.3)
    assert not wait.done()
    key = fresh()
    await second.api.links(link(key, fresh("login_id")))
    page = agreed(await wait)
    assert time.monotonic() - began < 15
    assert key in {name(i) for item in page["items"] for i in item.get("identifiers", ())}


async def test_waiting_for_nothing_ends_in_time_and_next_stays(api: Api) -> None:
    start = (await tail(api))[1]
    began = time.monotonic()
    page = agreed(await api.get("/v1/changes", after=start, wait=0.6))
    assert page == {"items": [], "next": start} and time.monotonic() - began > 0.55
    far = agreed(await api.get("/v1/changes", after=start + 10**9))
    assert far == {"items": [], "next": start + 10**9}


async def test_turns_that_announce_nothing_are_passed_over(api: Api) -> None:
    """Many of them cost a reader of small pages nothing it could notice."""
    key, other = fresh(), fresh("login_id")
    await api.links(link(key, other))
    start = (await tail(api))[1]
    for second in range(12):
        await api.links(link(key, other, observed_at=f"2026-01-01T00:00:{second:02}Z"))
    late = fresh("device_id")
    await api.links(link(key, late))
    page = agreed(await api.get("/v1/changes", after=start, limit=1))
    assert [name(i) for i in page["items"][0]["identifiers"]] == [late]


async def test_who_and_what_may_be_asked(api: Api) -> None:
    assert (await api.role("collector").get("/v1/changes")).status == 403
    for role in ("activation", "steward"):
        assert (await api.role(role).get("/v1/changes", limit=1)).status == 200
    for wrong in ({"after": -1}, {"limit": 0}, {"limit": 1_001}, {"wait": 61}, {"wait": -1}, {"after": "x"}):
        assert (await api.get("/v1/changes", **wrong)).status == 422, wrong


@pytest.fixture(scope="module")
def served(instance_settings: Settings, stores: Stores) -> Iterator[Client]:
    with background(instance_settings, stores, 1) as clients:
        yield clients[0]


async def lines_of(url: str, after: int, wait: float) -> AsyncGenerator[tuple[float, Json], None]:
    """Lines of a stream, each with the time it came."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        headers = {"authorization": f"Bearer {key_of('activation')}", "accept": "application/x-ndjson"}
        query = {"after": after, "wait": wait}
        async with http.stream("GET", "/v1/changes", params=query, headers=headers) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                yield time.monotonic(), json.loads(line)


async def test_a_stream_brings_events_as_they_come(instance: Instance, served: Client) -> None:
    start = (await tail(instance.api))[1]
    keys = [fresh() for _ in range(3)]
    written: list[float] = []

    async def write() -> None:
        for key in keys:
            await asyncio.sleep(0.4)
            await instance.api.links(link(key, fresh("login_id")))
            written.append(time.monotonic())

    writing = asyncio.create_task(write())
    came: dict[str, float] = {}
    async with contextlib.aclosing(lines_of(served.base_url, start, 60)) as lines:
        async for at, event in lines:
            for identifier in event.get("identifiers", ()):
                came[name(identifier)] = at
            if keys[-1] in came:
                break  # the reader goes away in the middle of the stream; nothing waits for it
    await writing
    assert came[keys[0]] < written[-1], "it did not wait for the end"
    assert [key for key in came if key in keys] == keys

"""No instance answers from the old state once a change is acknowledged, however slow a reader is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
import redis.asyncio

from service.cache.keys import life_digits, redis_key, usable_prefix
from service.cache.profiles import ProfileCache
from service.local import Stores
from service.model.cached import Fill
from service.settings import Settings
from tests.service.instances import Api, fresh, link, named, opened
from tests.service.wrapped import FrozenReader, frozen_reader

Change = Callable[[Api, str, str, str, str], Awaitable[list[str]]]


@pytest.fixture
async def slow(instance_settings: Settings, stores: Stores) -> AsyncIterator[tuple[Api, FrozenReader]]:
    """An instance whose reads of the graph can be made to stand still."""
    async with opened(instance_settings, stores) as made:
        yield made.api, frozen_reader(made)


async def expect(api: Api, key: str, names: list[str], purpose: str | None = None) -> None:
    """A look-up by identifier, twice, shows exactly these."""
    for _ in range(2):
        reply = await api.lookup(key, **({"purpose": purpose} if purpose else {}))
        assert reply.status == 200 and reply.names == sorted(names), reply


# ---- what can change while a reader sleeps; each gives what a look-up of the first identifier shows afterwards


async def linked(api: Api, _: str, a: str, b: str, c: str) -> list[str]:
    await api.links(link(b, c))
    return [a, b, c]


async def retracted(api: Api, _: str, a: str, b: str, c: str) -> list[str]:
    [found] = await api.links(link(a, b, rule="reader"))
    assert (await api.call("DELETE", f"/v1/links/{found['link_id']}")).status == 200
    return [a]


async def linking_withdrawn(api: Api, _: str, a: str, b: str, c: str) -> list[str]:
    reply = await api.post("/v1/revocations", {"identifier": named(b), "scope": "linking"})
    assert reply.json["enforced"] is True
    return [a]


async def split(api: Api, profile: str, a: str, b: str, c: str) -> list[str]:
    path = f"/v1/profiles/{profile}/split"
    assert (await api.post(path, {"identifiers": [named(b)], "reason": "r"})).status == 200
    return [a]


async def merged(api: Api, profile: str, a: str, b: str, c: str) -> list[str]:
    [other] = await api.links(link(c, fresh("session_id"), confidence=0.1))
    body = {"profiles": [profile, other["profile_id"]], "reason": "r"}
    assert (await api.post("/v1/profiles/merge", body)).status == 200
    return [a, b, c]


@pytest.mark.parametrize("change", [linked, retracted, linking_withdrawn, split, merged])
@pytest.mark.parametrize("where", ["on another instance", "on the same instance"])
async def test_a_reader_asleep_between_read_and_fill_brings_nothing_back(
    api: Api, slow: tuple[Api, FrozenReader], change: Change, where: str
) -> None:
    (sleepy, reader), (a, b, c) = slow, (fresh(), fresh("device_id"), fresh("cookie_id"))
    [found] = await api.links(link(a, b, rule="reader"))
    reader.freeze()
    asleep = asyncio.ensure_future(sleepy.lookup(a))
    await reader.has_read.wait()
    expected = await change(api if where == "on another instance" else sleepy, found["profile_id"], a, b, c)
    reader.thaw()
    assert (await asleep).names == sorted([a, b])  # asked before the change, answered as it was then
    for caller in (sleepy, api):
        await expect(caller, a, expected)


@pytest.mark.parametrize("purpose", ["analytics", "identity_linking"])
async def test_a_purpose_withdrawn_while_a_reader_sleeps_stays_withdrawn(
    api: Api, slow: tuple[Api, FrozenReader], purpose: str
) -> None:
    (sleepy, reader), (a, b) = slow, (fresh(), fresh("device_id"))
    await api.links(link(a, b))
    reader.freeze()
    asleep = [asyncio.ensure_future(sleepy.lookup(key, purpose=purpose)) for key in (a, b)]
    await reader.has_read.wait()
    body = {"identifier": named(b), "scope": "purposes", "purposes": ["*"]}
    assert (await api.post("/v1/revocations", body)).json["enforced"] is True
    reader.thaw()
    await asyncio.gather(*asleep)
    for caller in (sleepy, api):
        await expect(caller, b, [], purpose)
        # linking is withdrawn too: what was refused till then stays in force on the other side, linking itself does not
        await expect(caller, a, [a] if purpose == "identity_linking" else [], purpose)


class CarelessCache:
    """The cache without its protection: it stores what a reader brings, whoever dropped the key meanwhile."""

    def __init__(self, cache: ProfileCache, client: redis.asyncio.Redis) -> None:
        self._cache = cache
        self._client = client

    async def fill_many(self, fills: Sequence[Fill]) -> list[bool]:
        """Stores every value, with lease or without."""
        for lanes, group in self._cache._upkeep.lanes_for(list(fills)):
            for fill in group:
                ends = life_digits(fill.expires_at_ms)
                stored = usable_prefix(fill.policy_version, lanes.marks.replication_id) + ends + fill.value
                key = redis_key(fill.lease.identifier, lanes.marks.run_id)
                await self._client.hset(key, fill.lease.purpose, stored)
        return [True] * len(fills)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)


async def test_without_leases_the_sleeping_reader_does_bring_it_back(
    api: Api, instance_settings: Settings, stores: Stores
) -> None:
    """So that the tests above are known to see what they look for."""
    client = redis.asyncio.Redis.from_url(stores.redis_url)
    async with opened(instance_settings, stores) as made:
        lookup = made.assembled.services.lookup
        lookup._cache = CarelessCache(made.assembled.cache, client)
        reader, (a, b) = frozen_reader(made), (fresh(), fresh("device_id"))
        await api.links(link(a, b))
        reader.freeze()
        asleep = asyncio.ensure_future(made.api.lookup(a))
        await reader.has_read.wait()
        await linking_withdrawn(api, "", a, b, "")
        reader.thaw()
        await asleep
        for caller in (made.api, api):
            reply = await caller.lookup(a)
            assert reply.headers["x-cache"] == "hit" and reply.names == sorted([a, b]), "the old answer is back"
    await client.aclose()


async def test_readers_during_changes_see_one_state_or_another_and_never_none(
    api: Api, instance_settings: Settings, stores: Stores
) -> None:
    """A merge undone and made again as fast as it goes, under look-ups by identifier and by id."""
    a, b, c, d = fresh(), fresh("device_id"), fresh(), fresh("cookie_id")
    found = await api.links(link(a, b), link(c, d))
    ids = [item["profile_id"] for item in found]
    over = asyncio.Event()
    states = {tuple(sorted(state)) for state in ([a, b], [c, d], [a, b, c, d])}
    answers = 0

    async def look(caller: Api) -> None:
        nonlocal answers
        while not over.is_set():
            replies = [await caller.lookup(key) for key in (a, b, c, d)]
            replies += [await caller.get(f"/v1/profiles/{profile_id}") for profile_id in ids]
            for reply in replies:
                assert reply.status == 200, reply
                assert tuple(reply.names) in states
            answers += len(replies)

    async with opened(instance_settings, stores) as other:
        looking = [asyncio.ensure_future(look(caller)) for caller in (api, other.api, other.api)]
        ends = time.monotonic() + 4
        while time.monotonic() < ends and not any(task.done() for task in looking):
            merge = await api.post("/v1/profiles/merge", {"profiles": ids, "survivor": ids[1], "reason": "r"})
            undo = await other.api.post(f"/v1/assertions/{merge.json['assertion_id']}/undo", {"reason": "r"})
            assert merge.status == undo.status == 200
        over.set()
        await asyncio.gather(*looking)
    assert answers > 50

"""Redis away, or a writer gone before its drops: what is acknowledged is true, what is not yet true says so.

These instances have a Redis of their own on the graph of all tests. No instance on another Redis may be open meanwhile:
each would finish the drops of the other, on the wrong server.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from service.commands.ports import OutcomeUnknown, Turn
from service.local import Stores
from service.model.times import rfc3339
from service.settings import Settings
from tests.service.instances import Api, Instance, fresh, link, named, opened
from tests.service.redis_server import PrivateRedis
from tests.service.wrapped import break_drops, stop_relay, watched_ledger


async def expect(api: Api, key: str, names: list[str], purpose: str | None = None) -> None:
    """A look-up by identifier, twice, shows exactly these."""
    for _ in range(2):
        reply = await api.lookup(key, **({"purpose": purpose} if purpose else {}))
        assert reply.status == 200 and reply.names == sorted(names), reply


# ---- Redis away


@pytest.fixture
def private_redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    """A Redis that the test may end and start again."""
    server = PrivateRedis(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def private_stores(stores: Stores, private_redis: PrivateRedis) -> Stores:
    """The graph of all tests, and that Redis."""
    return dataclasses.replace(stores, redis_url=private_redis.url)


@pytest.fixture
async def alone(instance_settings: Settings, private_stores: Stores) -> AsyncIterator[Instance]:
    """An instance on them."""
    async with opened(instance_settings, private_stores) as made:
        yield made


async def reaches(alone: Instance, up: bool) -> None:
    """Wait until the instance has seen that its Redis is away, or is back."""
    for _ in range(1_000):
        if alone.assembled.cache.is_up is up:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never saw it")


async def test_a_change_without_redis_is_503_until_it_is_enforced_and_look_ups_are_right(
    alone: Instance, private_redis: PrivateRedis
) -> None:
    api, (a, b, c) = alone.api, (fresh(), fresh("device_id"), fresh("cookie_id"))
    await api.links(link(a, b))
    await expect(api, a, [a, b])
    private_redis.kill()
    key, revocation = secrets.token_hex(8), {"identifier": named(b), "scope": "linking"}
    reply = await api.post("/v1/revocations", revocation, idempotency_key=key)
    assert (reply.status, reply.json["code"]) == (503, "not_yet_enforced") and "retry-after" in reply.headers
    await reaches(alone, False)
    reply = await api.lookup(a)
    assert reply.headers["x-cache"] == "bypass" and reply.names == [a]
    assert (await api.post("/v1/revocations", revocation, idempotency_key=key)).status == 503
    linked_key, sent = secrets.token_hex(8), link(a, c)
    assert (await api.post("/v1/links", sent, idempotency_key=linked_key)).status == 503
    assert (await api.lookup(c)).names == sorted([a, c])
    found = await api.post("/v1/profiles/lookup", {"identifiers": [named(key) for key in (a, b, c)]})
    assert [len(profile["identifiers"]) for profile in found.results] == [2, 1, 2]
    assert (await api.get(f"/v1/profiles/{await api.profile_id(a)}")).names == sorted([a, c])
    ready = await api.get("/readyz")
    assert ready.status == 200 and ready.json["status"] == "degraded"

    private_redis.start()
    await reaches(alone, True)
    again = await api.post("/v1/revocations", revocation, idempotency_key=key)
    assert again.status == 200 and again.json["enforced"] is True
    assert again.headers["idempotency-replayed"] == "true"
    again = await api.post("/v1/links", sent, idempotency_key=linked_key)
    assert again.results[0]["status"] == "linked"
    for identifier, names in ((a, [a, c]), (b, [b]), (c, [a, c])):
        await expect(api, identifier, names)
    assert (await api.lookup(a)).headers["x-cache"] == "hit"


async def test_what_falls_due_while_redis_is_away_is_applied_all_the_same(
    alone: Instance, private_redis: PrivateRedis
) -> None:
    api, (a, b) = alone.api, (fresh(), fresh("device_id"))
    ends = time.time_ns() // 1_000_000 + 2_000
    await api.links(link(a, b, expires_at=rfc3339(ends)))
    await expect(api, a, [a, b])
    private_redis.kill()
    await reaches(alone, False)
    await asyncio.sleep(max(0.0, ends / 1000 - time.time()) + 0.05)
    reply = await api.lookup(a)
    assert reply.status == 200 and reply.names == [a], reply


# ---- a writer that is gone


async def warm(api: Api, *keys: str) -> None:
    """The cache holds the answers about these."""
    for key in keys:
        for _ in range(40):
            if (await api.lookup(key)).headers["x-cache"] == "hit":
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("the cache keeps nothing")


@pytest.mark.parametrize("finished_by", ["the relay", "the next turn", "the same request again"])
async def test_another_instance_finishes_the_drops_of_one_that_crashed(
    instance_settings: Settings, private_stores: Stores, alone: Instance, finished_by: str
) -> None:
    a, b, key = fresh(), fresh("device_id"), secrets.token_hex(8)
    await alone.api.links(link(a, b))
    revocation = {"identifier": named(b), "scope": "linking"}
    if finished_by != "the relay":
        await stop_relay(alone)
    await warm(alone.api, a, b)
    async with opened(instance_settings, private_stores) as crashed:
        await stop_relay(crashed)
        break_drops(crashed)
        reply = await crashed.api.post("/v1/revocations", revocation, idempotency_key=key)
        assert (reply.status, reply.json["code"]) == (503, "not_yet_enforced")
    if finished_by == "the relay":
        for _ in range(100):
            if (await alone.api.lookup(a)).names == [a]:
                break
            await asyncio.sleep(0.05)
    else:
        reply = await alone.api.lookup(a)
        assert reply.headers["x-cache"] == "hit" and reply.names == sorted([a, b]), "not acknowledged yet"
    if finished_by == "the next turn":
        await alone.api.links(link(fresh(), fresh("device_id")))
    if finished_by == "the same request again":
        again = await alone.api.post("/v1/revocations", revocation, idempotency_key=key)
        assert again.status == 200 and again.headers["idempotency-replayed"] == "true"
    await expect(alone.api, a, [a])
    await expect(alone.api, b, [b])


async def test_a_commit_that_did_not_happen_takes_no_drops_of_another_instance_away(
    instance_settings: Settings, private_stores: Stores, alone: Instance
) -> None:
    """Its outcome is unknown, it was rolled back; another instance takes its number and crashes before its drops."""
    a, b, c = fresh(), fresh("device_id"), fresh("cookie_id")
    await alone.api.links(link(a, b))
    await warm(alone.api, a, b)
    await stop_relay(alone)
    watched = watched_ledger(alone)
    async with opened(instance_settings, private_stores) as crashed:
        await stop_relay(crashed)
        break_drops(crashed)

        async def lost(turn: Turn) -> None:
            await turn._transaction.rollback()  # type: ignore[attr-defined]
            reply = await crashed.api.post("/v1/links", link(b, c))  # one event, as of the other: the same number
            assert reply.status == 503
            raise OutcomeUnknown

        watched.on_commit = lost
        [found] = await alone.api.links(link(fresh(), fresh("device_id")))
        assert found["status"] == "linked"
    await expect(alone.api, a, [a, b, c])
    await expect(alone.api, b, [a, b, c])

"""A graph that says nothing: cached answers go on, the rest is 503, and all is well afterwards."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.local import Stores
from service.settings import Settings
from tests.faults.proxy import Proxy
from tests.service.instances import Api, Instance, fresh, link, named, opened, refused

SHORT = {"transaction_timeout_ms": 1_000, "lock_timeout_ms": 1_000, "read_timeout_ms": 500, "retry_budget_ms": 500}
SHORT |= {"acquisition_timeout_ms": 500}
FEW = 3


@pytest.fixture
async def line(stores: Stores) -> AsyncIterator[Proxy]:
    """What the instance of the test reaches the graph through."""
    host, _, port = stores.neo4j_uri.removeprefix("bolt://").partition(":")
    proxy = Proxy(host, int(port))
    await proxy.open()
    yield proxy
    proxy.heal()
    await proxy.close()


@pytest.fixture
async def behind(instance_settings: Settings, stores: Stores, line: Proxy, tmp_path: Path) -> AsyncIterator[Instance]:
    """An instance with short limits behind that line."""
    settings = instance_settings.model_copy(
        update={**SHORT, "data_dir": tmp_path, "requests_max": FEW, "queue_changes_max": 2, "graph_connections_max": 4}
    )
    through = dataclasses.replace(stores, neo4j_uri=f"bolt://127.0.0.1:{line.port}")
    async with opened(settings, through) as made:
        yield made
        line.heal()


async def cached(api: Api, key: str) -> None:
    """Until the answer about it comes from the cache."""
    for _ in range(100):
        if (await api.lookup(key)).headers["x-cache"] == "hit":
            return
        await asyncio.sleep(0.02)
    raise AssertionError("never cached")


async def test_what_redis_knows_is_answered_while_the_graph_says_nothing(behind: Instance, line: Proxy) -> None:
    api, (a, b, other) = behind.api, (fresh(), fresh("device_id"), fresh())
    assert (await api.links(link(a, b)))[0]["status"] == "linked"
    await cached(api, a)
    line.stall()
    waiting = [asyncio.create_task(api.lookup(other)) for _ in range(FEW - 1)]
    await asyncio.sleep(0.05)
    for _ in range(5):
        reply = await api.lookup(a)
        assert reply.status == 200 and reply.headers["x-cache"] == "hit" and reply.names == sorted([a, b])
    for reply in await asyncio.gather(*waiting):
        refused(reply, 503)
    sent = {"requests": [{"identifier": named(a), "destination": "meta_ads"}]}
    refused(await api.post("/v1/decisions", sent), 503)
    revocation = {"identifier": named(b), "scope": "linking", "reason": "r"}
    refused(await api.post("/v1/revocations", revocation, idempotency_key=f"stalled-{a[7:]}"), 503)
    assert (await api.get("/readyz")).status == 503
    assert (await api.get("/healthz")).status == 200

    line.heal()
    for _ in range(100):
        reply = await api.post("/v1/revocations", revocation, idempotency_key=f"stalled-{a[7:]}")
        if reply.status == 200:
            break
        refused(reply, 503)
        await asyncio.sleep(0.1)
    assert reply.json["enforced"] is True
    assert (await api.lookup(a)).names == [a]


async def test_what_is_over_the_bounds_is_refused_at_once_and_counted(behind: Instance, line: Proxy) -> None:
    api = behind.api
    line.stall()
    waiting = [asyncio.create_task(api.lookup(fresh())) for _ in range(FEW)]
    await asyncio.sleep(0.05)
    refused(await api.lookup(fresh()), 503, "overloaded")
    assert (await api.get("/healthz")).status == 200
    metrics = (await api.get("/metrics")).body.decode()
    assert 'fabric_refused_total{why="requests"}' in metrics and "fabric_requests_under_way" in metrics
    for reply in await asyncio.gather(*waiting):
        refused(reply, 503)
    sending = []
    for _ in range(FEW - 1):  # the first is in a turn, the second waits
        sending.append(asyncio.create_task(api.post("/v1/links", link(fresh(), fresh("device_id")))))
        await asyncio.sleep(0.05)
    many = {"links": [link(fresh(), fresh("device_id")) for _ in range(2)]}
    refused(await api.post("/v1/links", many), 503, "overloaded")
    assert 'fabric_refused_total{why="queue"}' in (await api.get("/metrics")).body.decode()
    line.heal()
    for reply in await asyncio.gather(*sending):
        assert reply.status == 200 or refused(reply, 503)

"""The leased cache on a real server: what must never come back, and what an outage may cost."""

import asyncio
import random
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio
import uvloop

from service.cache.keys import redis_key
from service.cache.limits import CacheLimits
from service.cache.outcomes import CacheUnavailable
from service.cache.profiles import ProfileCache
from service.model.cached import ANY_POLICY, DOWN, MISS, POLICY_KEY, Fill, Lease, NoValue
from tests.service.redis_server import PrivateRedis

ALICE = "email_sha256:a11ce"
BOB = "crm_id:b0b"
VERSION = 5
QUICK = CacheLimits(confirm_interval_s=0.1)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    server = PrivateRedis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrivateRedis]:
    """For tests that break it."""
    private = PrivateRedis(tmp_path)
    private.start()
    yield private
    private.kill()


@asynccontextmanager
async def open_cache(
    server: PrivateRedis, limits: CacheLimits = QUICK, clock: Callable[[], int] = now_ms
) -> AsyncIterator[ProfileCache]:
    cache = ProfileCache(server.url, now_ms=clock, random_bytes=secrets.token_bytes, limits=limits)
    await cache.start()
    try:
        yield cache
    finally:
        await cache.close()


@asynccontextmanager
async def open_client(server: PrivateRedis) -> AsyncIterator["redis.asyncio.Redis"]:
    client = redis.asyncio.Redis.from_url(server.url)
    try:
        yield client
    finally:
        await client.aclose()


@pytest.fixture
async def shared_server(module_server: PrivateRedis) -> PrivateRedis:
    """An empty server, for tests that leave it standing."""
    async with open_client(module_server) as client:
        await client.flushall()
    return module_server


@pytest.fixture
async def cache(shared_server: PrivateRedis) -> AsyncIterator[ProfileCache]:
    async with open_cache(shared_server) as opened:
        yield opened


async def lease(cache: ProfileCache, identifier: str, purpose: str = "", version: int = VERSION) -> Lease:
    (taken,) = await cache.lease_many([(identifier, purpose)], version)
    assert isinstance(taken, Lease)
    return taken


async def fill(
    cache: ProfileCache, taken: Lease, value: bytes, version: int = VERSION, ends: int | None = None
) -> bool:
    (stored,) = await cache.fill_many([Fill(taken, value, version, ends)])
    return stored


async def store(
    cache: ProfileCache,
    identifier: str,
    value: bytes,
    purpose: str = "",
    version: int = VERSION,
    ends: int | None = None,
) -> None:
    assert await fill(cache, await lease(cache, identifier, purpose, version), value, version, ends)


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> float:
    """Waits for `condition`; gives how long it took (s)."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "waited too long"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


async def until_linked(replica: "redis.asyncio.Redis") -> None:
    """Waits until `replica` has the data of its primary."""
    for _ in range(250):
        if (await replica.info("replication")).get("master_link_status") == "up":
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the replica did not get its data")


# Leases


async def test_value_is_found_under_its_own_purpose_only(cache: ProfileCache) -> None:
    await store(cache, ALICE, b"all")
    await store(cache, ALICE, b"ads", "advertising")
    wanted = [(ALICE, ""), (ALICE, "advertising"), (ALICE, "analytics"), (BOB, "")]
    assert await cache.get_many(wanted, VERSION) == [b"all", b"ads", MISS, MISS]


async def test_reader_from_before_the_drop_cannot_store(cache: ProfileCache) -> None:
    slow = await lease(cache, ALICE)
    await cache.drop([ALICE])
    assert not await fill(cache, slow, b"state before the change")
    assert await cache.get(ALICE, "", VERSION) is MISS
    await store(cache, ALICE, b"state after the change")
    assert not await fill(cache, slow, b"state before the change")
    assert await cache.get(ALICE, "", VERSION) == b"state after the change"


async def test_reader_from_before_the_drop_cannot_use_the_lease_of_a_later_reader(cache: ProfileCache) -> None:
    slow = await lease(cache, ALICE)
    await cache.drop([ALICE])
    later = await lease(cache, ALICE)
    assert not await fill(cache, slow, b"old")
    assert await fill(cache, later, b"new")
    assert await cache.get(ALICE, "", VERSION) == b"new"


async def test_drop_by_another_instance_counts(cache: ProfileCache, shared_server: PrivateRedis) -> None:
    await store(cache, BOB, b"old")
    slow = await lease(cache, ALICE)
    async with open_cache(shared_server) as other:
        assert await other.get(BOB, "", VERSION) == b"old"
        await other.drop([ALICE, BOB])
    assert not await fill(cache, slow, b"old")
    assert await cache.get_many([(ALICE, ""), (BOB, "")], VERSION) == [MISS, MISS]


async def test_drop_removes_every_purpose_and_more_keys_than_one_command_takes(cache: ProfileCache) -> None:
    names = [f"crm_id:{number}" for number in range(1_201)]
    for purpose in ("", "advertising"):
        leases = await cache.lease_many([(name, purpose) for name in names], VERSION)
        stored = await cache.fill_many(
            [Fill(taken, b"x", VERSION, None) for taken in leases if isinstance(taken, Lease)]
        )
        assert stored == [True] * len(names)
    await cache.drop([*names, *names])
    assert cache.counters.keys_dropped == len(names)
    for purpose in ("", "advertising"):
        assert set(await cache.get_many([(name, purpose) for name in names], VERSION)) == {MISS}


async def test_two_readers_only_one_lease(cache: ProfileCache, shared_server: PrivateRedis) -> None:
    async with open_cache(shared_server) as other:
        wanted = [(f"crm_id:{number}", "") for number in range(50)]
        mine, theirs = await asyncio.gather(cache.lease_many(wanted, VERSION), other.lease_many(wanted, VERSION))
        assert [(one is None) + (two is None) for one, two in zip(mine, theirs, strict=True)] == [1] * 50
        assert cache.counters.lease_refusals + other.counters.lease_refusals == 50


async def test_lease_on_a_value_that_appeared_meanwhile_gives_the_value(cache: ProfileCache) -> None:
    await store(cache, ALICE, b"here")
    assert await cache.lease_many([(ALICE, "")], VERSION) == [b"here"]


async def test_expired_lease_is_taken_over_and_its_holder_refused(shared_server: PrivateRedis) -> None:
    async with open_cache(shared_server, CacheLimits(lease_life_ms=80)) as cache:
        await store(cache, ALICE, b"keeps the hash alive", "analytics")
        dead = await lease(cache, ALICE)
        assert await cache.lease_many([(ALICE, "")], VERSION) == [None]
        await asyncio.sleep(0.1)
        heir = await lease(cache, ALICE)
        assert not await fill(cache, dead, b"late")
        assert await fill(cache, heir, b"value")
        await cache.drop([ALICE])


async def test_late_reader_may_store_if_nothing_happened_meanwhile(shared_server: PrivateRedis) -> None:
    async with open_cache(shared_server, CacheLimits(lease_life_ms=50)) as cache:
        await store(cache, ALICE, b"keeps the hash alive", "analytics")
        late = await lease(cache, ALICE)
        await asyncio.sleep(0.08)
        assert await fill(cache, late, b"still true")
        await cache.drop([ALICE])


async def test_lease_that_nobody_fills_leaves_nothing_behind(shared_server: PrivateRedis) -> None:
    async with open_cache(shared_server, CacheLimits(lease_life_ms=50)) as cache, open_client(shared_server) as client:
        await lease(cache, ALICE)
        await asyncio.sleep(0.08)
        assert await client.keys() == []


# Versions and lives


async def test_other_policy_version_is_a_miss_and_is_replaced(cache: ProfileCache) -> None:
    await store(cache, ALICE, b"under 5")
    assert await cache.get(ALICE, "", VERSION + 1) is MISS
    assert await cache.get(ALICE, "", -1) is MISS
    await store(cache, ALICE, b"under 6", version=VERSION + 1)
    assert await cache.get(ALICE, "", VERSION + 1) == b"under 6"
    assert await cache.get(ALICE, "", VERSION) is MISS


async def test_active_policy_version_is_read_in_the_same_round_trip(cache: ProfileCache) -> None:
    await store(cache, ALICE, b"under 5")
    assert await cache.get(ALICE, "", None) is MISS
    await store(cache, POLICY_KEY, b"%d" % VERSION, version=ANY_POLICY)
    before = cache.counters.read_batches
    assert await cache.get(ALICE, "", None) == b"under 5"
    assert cache.counters.read_batches == before + 1
    assert await cache.get(POLICY_KEY, "", ANY_POLICY) == b"5"
    await cache.drop([POLICY_KEY])
    assert await cache.get(ALICE, "", None) is MISS
    await store(cache, POLICY_KEY, b"%d" % (VERSION + 1), version=ANY_POLICY)
    assert await cache.get(ALICE, "", None) is MISS


async def test_value_ends_at_its_time_by_the_servers_clock(cache: ProfileCache) -> None:
    await store(cache, ALICE, b"short", ends=now_ms() + 120)
    assert await cache.get(ALICE, "", VERSION) == b"short"
    await asyncio.sleep(0.15)
    assert await cache.get(ALICE, "", VERSION) is MISS


async def test_value_ends_at_its_time_by_the_readers_clock(cache: ProfileCache, shared_server: PrivateRedis) -> None:
    await store(cache, ALICE, b"an hour", ends=now_ms() + 3_600_000)
    async with open_cache(shared_server, clock=lambda: now_ms() + 3_600_001) as ahead:
        assert await ahead.get(ALICE, "", VERSION) is MISS
        assert isinstance(await lease(ahead, ALICE), Lease)


async def test_value_that_is_over_already_is_not_stored(cache: ProfileCache) -> None:
    await store(cache, ALICE, b"stays", "analytics")
    assert not await fill(cache, await lease(cache, ALICE), b"over", ends=now_ms() - 1)
    assert await cache.get_many([(ALICE, ""), (ALICE, "analytics")], VERSION) == [MISS, b"stays"]
    assert isinstance(await lease(cache, ALICE), Lease)


async def test_hash_lives_as_long_as_its_shortest_value(cache: ProfileCache, shared_server: PrivateRedis) -> None:
    ends = now_ms() + 60_000
    async with open_client(shared_server) as client:
        await store(cache, ALICE, b"a day", "analytics")
        key = redis_key(ALICE, (await client.info("server"))["run_id"][:16].encode()).decode()
        day = CacheLimits().value_life_ms
        assert day - 5_000 < await client.pttl(key) <= day
        await store(cache, ALICE, b"a minute", ends=ends)
        assert await client.pexpiretime(key) == ends
        await store(cache, ALICE, b"two minutes", "advertising", ends=ends + 60_000)
        assert await client.pexpiretime(key) == ends


async def test_value_beyond_the_limit_is_not_stored(shared_server: PrivateRedis) -> None:
    async with open_cache(shared_server, CacheLimits(value_bytes_max=10)) as cache:
        taken = await lease(cache, BOB)
        assert not await fill(cache, taken, b"x" * 11)
        assert await fill(cache, taken, b"x" * 10)
        await cache.drop([BOB])


async def test_full_server_refuses_leases_and_fills_but_reads_and_drops_go_on(server: PrivateRedis) -> None:
    async with open_cache(server) as cache, open_client(server) as client:
        await store(cache, ALICE, b"value")
        taken = await lease(cache, BOB)
        await client.config_set("maxmemory", "1mb")
        assert await cache.lease_many([("crm_id:new", "")], VERSION) == [None]
        assert not await fill(cache, taken, b"value")
        assert await cache.get(ALICE, "", VERSION) == b"value"
        await cache.drop([ALICE])
        assert await cache.get(ALICE, "", VERSION) is MISS
        assert cache.counters.connects == 1


# Servers that come back


async def test_server_restarted_from_a_snapshot_shows_nothing_old(server: PrivateRedis) -> None:
    async with open_cache(server) as cache, open_client(server) as client:
        await store(cache, ALICE, b"granted")
        slow = await lease(cache, BOB)
        await client.save()
        await cache.drop([ALICE, BOB])
        server.kill()
        server.start()
        async with open_client(server) as reader:
            assert await reader.dbsize() == 2, "the snapshot must hold what was dropped"
        await until(lambda: cache.is_up)
        assert await cache.get(ALICE, "", VERSION) is MISS
        assert not await fill(cache, slow, b"granted")
        await store(cache, ALICE, b"refused")
        assert await cache.get(ALICE, "", VERSION) == b"refused"


async def test_failback_to_a_former_primary_shows_nothing_old(server: PrivateRedis, tmp_path: Path) -> None:
    """A primary loses a drop by being demoted and promoted again; its run id never changes."""
    folder = tmp_path / "replica"
    folder.mkdir()
    replica = PrivateRedis(folder)
    replica.password = server.password
    replica.start()
    try:
        async with open_client(server) as first, open_client(replica) as second, open_cache(server) as cache:
            await store(cache, ALICE, b"granted")
            await second.replicaof("127.0.0.1", server.port)
            await until_linked(second)
            await until(lambda: cache.counters.connects >= 2)  # the first replica makes a new replication id
            await cache.drop([ALICE])
            await store(cache, ALICE, b"granted")
            await first.wait(1, 2_000)
            await second.replicaof("NO", "ONE")
            await cache.drop([ALICE])
            await first.replicaof("127.0.0.1", replica.port)
            await until(lambda: not cache.is_up)
            await until(lambda: cache.state.reason == "server is not a primary")
            await until_linked(first)
            assert not cache.is_up
            await first.replicaof("NO", "ONE")
            assert await first.dbsize() == 1, "the dropped value must be back in the server"
            await until(lambda: cache.is_up)
            assert await cache.get(ALICE, "", VERSION) is MISS
            assert isinstance(await lease(cache, ALICE), Lease)
    finally:
        replica.kill()


async def test_drop_is_repeated_on_the_server_that_took_over(server: PrivateRedis) -> None:
    async with open_cache(server) as cache:
        await store(cache, ALICE, b"old")
        server.freeze()
        dropping = asyncio.create_task(cache.drop([ALICE]))
        await asyncio.sleep(0.05)
        server.kill()
        server.start()
        await dropping
        assert cache.counters.drop_repeats == 1
        assert cache.is_up
        assert await cache.get(ALICE, "", VERSION) is MISS


async def test_drop_confirmed_by_a_server_that_ended_at_once_is_repeated(server: PrivateRedis) -> None:
    async with open_cache(server) as cache:
        dropping = asyncio.create_task(cache.drop([ALICE]))
        await asyncio.sleep(0)  # sent; what follows is seen by the event loop all at once
        time.sleep(0.05)  # noqa: ASYNC251
        server.kill()
        server.start()
        await dropping
        assert cache.counters.drop_repeats == 1
        assert cache.counters.connects == 2


async def test_drop_without_a_server_raises_and_does_not_wait_in_a_long_outage(server: PrivateRedis) -> None:
    async with open_cache(server, CacheLimits(drop_timeout_s=0.4)) as cache:
        server.kill()
        await until(lambda: not cache.is_up)
        began = time.monotonic()
        with pytest.raises(CacheUnavailable):
            await cache.drop([ALICE])
        assert time.monotonic() - began < 0.6
        began = time.monotonic()
        with pytest.raises(CacheUnavailable):
            await cache.drop([ALICE])
        assert time.monotonic() - began < 0.05
        await cache.drop([])


# Outages


async def test_frozen_server_costs_one_timeout_then_nothing_and_recovers(server: PrivateRedis) -> None:
    async with open_cache(server) as cache:
        await store(cache, ALICE, b"value")
        server.freeze()
        began = time.monotonic()
        answers = await asyncio.gather(*(cache.get(ALICE, "", VERSION) for _ in range(64)))
        assert set(answers) == {DOWN}
        assert time.monotonic() - began < 0.4
        assert cache.counters.timeouts == 1
        began = time.monotonic()
        assert await cache.get(ALICE, "", VERSION) is DOWN
        assert await cache.lease_many([(ALICE, "")], VERSION) == [None]
        assert await cache.ping() is False
        assert time.monotonic() - began < 0.01
        with pytest.raises(CacheUnavailable):
            await cache.drop([ALICE])
        assert not cache.state.up
        server.thaw()
        assert await until(lambda: cache.is_up) < 2.5
        assert await cache.get(ALICE, "", VERSION) == b"value"
        assert await cache.ping()


async def test_frozen_server_is_noticed_without_any_traffic(server: PrivateRedis) -> None:
    async with open_cache(server) as cache:
        server.freeze()
        assert await until(lambda: not cache.state.up) < 1.0
        server.thaw()
        await until(lambda: cache.state.up)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
async def test_busy_event_loop_is_not_taken_for_a_slow_server(
    shared_server: PrivateRedis, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def read_while_busy() -> None:
        async with open_cache(shared_server) as cache:
            wanted = [(f"crm_id:{number}", "") for number in range(500)]
            leases = await cache.lease_many(wanted, VERSION)
            value = b"x" * 4_000  # together more than the loop reads from a socket at once
            await cache.fill_many([Fill(taken, value, VERSION, None) for taken in leases if isinstance(taken, Lease)])
            reading = [cache.get(*wish, VERSION) for wish in wanted]
            await asyncio.sleep(0)  # the batch is sent at the end of this turn
            await asyncio.sleep(0)
            time.sleep(0.4)  # noqa: ASYNC251
            assert [await answer for answer in reading] == [value] * 500
            assert cache.counters.timeouts == 0

    def on_a_loop_of_its_own() -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(read_while_busy())

    await asyncio.to_thread(on_a_loop_of_its_own)


async def test_start_without_a_server_is_down_and_comes_up_by_itself(tmp_path: Path) -> None:
    server = PrivateRedis(tmp_path)
    async with open_cache(server) as cache:
        assert not cache.state.up
        assert cache.state.reason.startswith("cannot connect")
        assert await cache.get(ALICE, "", VERSION) is DOWN
        server.start()
        try:
            assert await until(lambda: cache.is_up) < 2
        finally:
            server.kill()


async def test_unix_socket_and_database_number(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # its path is short enough for a socket
        server = PrivateRedis(tmp_path)
        server.start("--unixsocket", f"{folder}/r.sock")
        try:
            url = f"unix://{folder}/r.sock?db=2&password={server.password}"
            cache = ProfileCache(url, now_ms=now_ms, random_bytes=secrets.token_bytes)
            assert await cache.start()
            await store(cache, ALICE, b"value")
            assert await cache.get(ALICE, "", VERSION) == b"value"
            await cache.close()
            async with open_client(server) as client:
                assert list(await client.info("keyspace")) == ["db2"]
        finally:
            server.kill()


async def test_wrong_password_is_told_without_the_password(shared_server: PrivateRedis) -> None:
    url = f"redis://:wrong-secret@127.0.0.1:{shared_server.port}/0"
    cache = ProfileCache(url, now_ms=now_ms, random_bytes=secrets.token_bytes)
    assert not await cache.start()
    assert cache.state.reason == "server refused the connection: WRONGPASS"
    await cache.close()


async def test_scripts_lost_by_the_server_are_loaded_again(server: PrivateRedis) -> None:
    async with open_cache(server) as cache, open_client(server) as client:
        await client.script_flush()
        assert await cache.lease_many([(ALICE, "")], VERSION) == [None]
        await until(lambda: cache.is_up)
        await store(cache, ALICE, b"value")


async def test_close_answers_whoever_waits(server: PrivateRedis) -> None:
    async with open_cache(server) as cache:
        server.freeze()
        waiting = [cache.get(ALICE, "", VERSION) for _ in range(3)]
        await asyncio.sleep(0.01)
        await cache.close()
        assert [await each for each in waiting] == [DOWN] * 3
        assert await cache.get(ALICE, "", VERSION) is DOWN


# Order and concurrency


async def test_answers_belong_to_their_keys_whoever_gives_up(cache: ProfileCache) -> None:
    names = [f"crm_id:{number}" for number in range(200)]
    for name in names:
        await store(cache, name, name.encode())
    chance = random.Random(7)

    async def read(name: str) -> None:
        assert await cache.get(name, "", VERSION) == name.encode()

    for _ in range(100):
        tasks = [asyncio.create_task(read(chance.choice(names))) for _ in range(60)]
        for _ in range(chance.randrange(5)):
            await asyncio.sleep(0)
        given_up = chance.sample(tasks, 25)
        for task in given_up:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError)
        assert all(not task.cancelled() for task in tasks if task not in given_up)
    leasing = [asyncio.create_task(cache.lease_many([(f"device:{number}", "")], VERSION)) for number in range(100)]
    await asyncio.sleep(0)
    for change in leasing[::2]:
        change.cancel()
    await asyncio.gather(*leasing, return_exceptions=True)
    await cache.drop(names[:100])
    answers = await cache.get_many([(name, "") for name in names], VERSION)
    assert answers == [MISS] * 100 + [name.encode() for name in names[100:]]
    assert cache.counters.connects == 1


async def test_lost_connection_leaves_no_answer_for_another_key(shared_server: PrivateRedis) -> None:
    limits = CacheLimits(steady_after_s=0)
    async with open_cache(shared_server, limits) as cache, open_client(shared_server) as client:
        names = [f"crm_id:{number}" for number in range(50)]
        for name in names:
            await store(cache, name, name.encode())
        for round_number in range(1, 21):
            reading = [cache.get(name, "", VERSION) for name in names]
            await client.client_kill_filter(_type="normal", skipme=True)
            for name, answer in zip(names, reading, strict=True):
                assert await answer in (name.encode(), DOWN)
            await until(lambda: cache.is_up and cache.counters.connects > round_number)  # noqa: B023
            assert await cache.get_many([(name, "") for name in names], VERSION) == [name.encode() for name in names]
        await cache.drop(names)


async def test_a_thousand_mixed_calls_never_show_what_was_dropped(
    cache: ProfileCache, shared_server: PrivateRedis
) -> None:
    """Readers fill from a state that writers change; after a drop nobody may see the state from before it."""
    names = [f"crm_id:{number}" for number in range(20)]
    committed = dict.fromkeys(names, 0)
    acknowledged = dict.fromkeys(names, 0)
    chance = random.Random(11)
    seen = {"hits": 0}

    async def write(instance: ProfileCache, name: str) -> None:
        committed[name] += 1
        mine = committed[name]
        await asyncio.sleep(chance.random() * 0.002)
        await instance.drop([name])
        acknowledged[name] = max(acknowledged[name], mine)

    async def read(instance: ProfileCache, name: str) -> None:
        at_least = acknowledged[name]
        answer = await instance.get(name, "", VERSION)
        if isinstance(answer, NoValue):
            (taken,) = await instance.lease_many([(name, "")], VERSION)
            value = b"%d" % committed[name]
            await asyncio.sleep(chance.random() * 0.004)
            if isinstance(taken, Lease):
                await instance.fill_many([Fill(taken, value, VERSION, None)])
            elif isinstance(taken, bytes):
                value = taken
        else:
            value = answer
            seen["hits"] += 1
        assert int(value) >= at_least

    async with open_cache(shared_server) as other:
        instances = (cache, other)
        for _ in range(10):
            calls = []
            for _ in range(100):
                call = write if chance.random() < 0.15 else read
                calls.append(call(chance.choice(instances), chance.choice(names)))
            await asyncio.gather(*calls)
    assert seen["hits"] > 100
    assert cache.counters.fill_refusals + cache.counters.lease_refusals > 0


async def test_calls_of_one_turn_share_one_round_trip(cache: ProfileCache, shared_server: PrivateRedis) -> None:
    async with open_client(shared_server) as client:
        await store(cache, ALICE, b"value")
        await client.config_resetstat()
        before = cache.counters.read_batches
        wanted = [(ALICE, "")] * 100 + [(f"crm_id:{number}", "") for number in range(30)]
        answers = await asyncio.gather(*(cache.get(*wish, VERSION) for wish in wanted))
        assert answers == [b"value"] * 100 + [MISS] * 30
        assert cache.counters.read_batches == before + 1
        stats = await client.info("commandstats")
        assert stats["cmdstat_hget"]["calls"] == 32, "31 different wishes and the policy version"


async def test_while_a_round_trip_is_under_way_the_next_one_gathers(cache: ProfileCache) -> None:
    before = cache.counters.read_batches

    async def read(number: int) -> None:
        for _ in range(number % 3):
            await asyncio.sleep(0)
        await cache.get(f"crm_id:{number}", "", VERSION)

    await asyncio.gather(*(read(number) for number in range(90)))
    assert cache.counters.read_batches - before <= 3


async def test_reads_beyond_the_limit_are_answered_at_once(shared_server: PrivateRedis) -> None:
    async with open_cache(shared_server, CacheLimits(batch_keys_max=10, batches_waiting_max=2)) as cache:
        answers = await cache.get_many([(f"crm_id:{number}", "") for number in range(50)], VERSION)
        assert answers == [MISS] * 30 + [DOWN] * 20
        assert cache.counters.read_batches == 3
        assert await cache.get(BOB, "", VERSION) is MISS

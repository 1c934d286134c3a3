"""Cached reads per second: the coalescing cache against the plain client with one GET a call.

    python -m tests.bench.cache_rate REDIS_URL [seconds]

Needs a Redis server that may be written to; leaves nothing behind. Both sides use the same server, event loop and
number of concurrent callers, and read values of the same length.
"""

import asyncio
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import redis.asyncio
import uvloop

from service.cache.limits import CacheLimits
from service.cache.profiles import ProfileCache
from service.model.cached import ANY_POLICY, POLICY_KEY, Fill, Lease

VALUE = b'{"profile_id":"' + b"x" * 584 + b'"}'
POLICY_VERSION = 3


@dataclass(frozen=True, slots=True)
class Rate:
    """Calls per second over all callers, the 50th and 99th percentile of one call, and this process's CPU a call."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def now_ms() -> int:
    """Milliseconds since epoch."""
    return time.time_ns() // 1_000_000


async def measure(call: Callable[[str], Awaitable[object]], keys: list[str], callers: int, seconds: float) -> Rate:
    """Has `callers` tasks call `call` one after the other for `seconds`."""
    took: list[float] = []
    ends = time.perf_counter() + seconds

    async def caller(number: int) -> None:
        position = number
        started = time.perf_counter()
        while started < ends:
            await call(keys[position % len(keys)])
            position += callers
            now = time.perf_counter()
            took.append(now - started)
            started = now

    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(callers)))
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    took.sort()
    at = [took[int(len(took) * share)] * 1_000 for share in (0.5, 0.99)]
    return Rate(len(took) / elapsed, at[0], at[1], cpu / len(took) * 1e6)


async def store(cache: ProfileCache, identifiers: list[str], value: bytes, policy_version: int) -> None:
    """Stores `value` for each identifier by the way of leases."""
    leases = await cache.lease_many([(identifier, "") for identifier in identifiers], policy_version)
    fills = [Fill(lease, value, policy_version, None) for lease in leases if isinstance(lease, Lease)]
    stored = await cache.fill_many(fills)
    if stored != [True] * len(identifiers):
        raise RuntimeError("the server did not store everything")


async def cached_rate(url: str, callers: int, seconds: float, limits: CacheLimits, keys: int = 2_000) -> Rate:
    """Hits of `ProfileCache.get`, judged by the active policy version, which each round trip reads too."""
    cache = ProfileCache(url, now_ms=now_ms, random_bytes=secrets.token_bytes, limits=limits)
    if not await cache.start():
        raise RuntimeError(cache.state.reason)
    identifiers = [f"bench:{number:08d}" for number in range(keys)]
    try:
        await cache.drop([POLICY_KEY, *identifiers])
        await store(cache, [POLICY_KEY], b"%d" % POLICY_VERSION, ANY_POLICY)
        await store(cache, identifiers, VALUE, POLICY_VERSION)
        if any(not isinstance(answer, bytes) for answer in await cache.get_many([(identifiers[0], "")], None)):
            raise RuntimeError("stored value not found")
        rate = await measure(lambda key: cache.get(key, "", None), identifiers, callers, seconds)
        if cache.counters.misses or cache.counters.bypasses:
            raise RuntimeError("not all reads were hits")
        return rate
    finally:
        await cache.drop([POLICY_KEY, *identifiers])
        await cache.close()


async def plain_rate(url: str, callers: int, seconds: float, keys: int = 2_000) -> Rate:
    """The same reads with the ordinary client: one GET a call."""
    client = redis.asyncio.Redis.from_url(url)
    names = [f"bench-plain:{number:08d}" for number in range(keys)]
    try:
        await client.mset(dict.fromkeys(names, VALUE))
        return await measure(client.get, names, callers, seconds)
    finally:
        await client.delete(*names)
        await client.aclose()


async def main(url: str, seconds: float) -> None:
    """Prints one line per variant."""
    rows: list[tuple[str, Callable[[], Awaitable[Rate]]]] = [
        ("plain client, one GET a call, 32 callers", lambda: plain_rate(url, 32, seconds)),
        ("cache, 1 batch under way, 32 callers", lambda: cached_rate(url, 32, seconds, CacheLimits())),
        (
            "cache, 2 batches under way, 32 callers",
            lambda: cached_rate(url, 32, seconds, CacheLimits(batches_under_way_max=2)),
        ),
        ("plain client, one GET a call, 1 caller", lambda: plain_rate(url, 1, seconds)),
        ("cache, 1 caller", lambda: cached_rate(url, 1, seconds, CacheLimits())),
    ]
    for name, run in rows:
        rate = await run()
        sys.stdout.write(
            f"{name:<42} {rate.per_second:>9,.0f}/s   p50 {rate.p50_ms:6.3f} ms   p99 {rate.p99_ms:6.3f} ms"
            f"   {rate.cpu_us:5.1f} µs CPU a call\n"
        )


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 3.0))

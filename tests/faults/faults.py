"""The faults: each makes something go wrong for a while, then puts it right again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import neo4j
import redis.asyncio
from neo4j.exceptions import DriverError, Neo4jError

from tests.faults.ground import Ground, Target
from tests.faults.proxy import Proxy
from tests.service.redis_server import PrivateRedis

Fault = Callable[[Ground, random.Random], Awaitable[None]]
END_S_MAX = 30
NEEDS_GRAPH = frozenset({"kill neo4j", "freeze neo4j", "disk full"})
NEEDS_DISK = frozenset({"disk full"})


def _either(ground: Ground, chance: random.Random) -> Target:
    return chance.choice(ground.targets)


async def kill_instance(ground: Ground, chance: random.Random) -> None:
    """kill -9 of an instance; another process takes its place."""
    target = _either(ground, chance)
    target.kill()
    await asyncio.sleep(chance.uniform(0.0, 2.0))
    target.clock_off_ms = 0
    target.start()
    await target.ready()


async def freeze_instance(ground: Ground, chance: random.Random) -> None:
    """SIGSTOP of an instance, in the middle of whatever it does, and SIGCONT later."""
    target = _either(ground, chance)
    target.signal(signal.SIGSTOP)
    await asyncio.sleep(chance.choice((0.3, 1.0, 3.0, 12.0)) * chance.uniform(0.5, 1.0))
    target.signal(signal.SIGCONT)


async def clock_off(ground: Ground, chance: random.Random) -> None:
    """An instance comes back with a clock that is minutes off, and keeps it until it is killed the next time."""
    target = _either(ground, chance)
    target.kill()
    target.clock_off_ms = chance.choice((-600_000, -90_000, 45_000, 300_000))
    target.start()
    await target.ready()


async def roll(ground: Ground, _chance: random.Random) -> None:
    """One instance after the other is told to end, does so by itself, and another process takes its place."""
    for target in ground.targets:
        target.down = True
        target.signal(signal.SIGTERM)
        assert target.process is not None
        status = await asyncio.to_thread(target.process.wait, END_S_MAX)
        if status:
            target.ended_itself.append(f"status {status} after SIGTERM")
        target.clock_off_ms = 0
        target.start()
        await target.ready()


async def flush(ground: Ground, _chance: random.Random) -> None:
    """FLUSHALL."""
    async with redis.asyncio.Redis.from_url(ground.redis.url) as client:
        await client.flushall()


async def kill_redis(ground: Ground, chance: random.Random) -> None:
    """kill -9 of Redis, which comes back empty."""
    ground.redis.kill()
    await asyncio.sleep(chance.uniform(0.0, 3.0))
    (ground.redis.folder / "dump.rdb").unlink(missing_ok=True)
    await asyncio.to_thread(ground.redis.start)


async def freeze_redis(ground: Ground, chance: random.Random) -> None:
    """Redis stands still: connections stay, nothing answers."""
    ground.redis.freeze()
    await asyncio.sleep(chance.uniform(0.1, 4.0))
    ground.redis.thaw()


async def old_snapshot(ground: Ground, chance: random.Random) -> None:
    """Redis comes back from a snapshot taken some time before it was killed: deleted values are there again."""
    async with redis.asyncio.Redis.from_url(ground.redis.url) as client:
        await client.save()
    await asyncio.sleep(chance.uniform(0.5, 4.0))
    ground.redis.kill()
    await asyncio.to_thread(ground.redis.start)
    (ground.redis.folder / "dump.rdb").unlink(missing_ok=True)


async def promote_replica(ground: Ground, chance: random.Random) -> None:
    """A replica that was cut off for a while takes the primary's place: it has not seen the deletes since."""
    folder = ground.redis.folder.parent / f"redis-{chance.getrandbits(32):08x}"
    folder.mkdir()
    line, replica = Proxy("127.0.0.1", ground.redis.port), PrivateRedis(folder)
    await line.open()
    replica.password = ground.redis.password
    await asyncio.to_thread(replica.start, "--replicaof", "127.0.0.1", str(line.port))
    async with redis.asyncio.Redis.from_url(replica.url) as client:
        for _ in range(100):
            if (await client.info("replication")).get("master_link_status") == "up":
                break
            await asyncio.sleep(0.05)
        line.cut()
        await asyncio.sleep(chance.uniform(0.5, 4.0))
        ground.redis.kill()
        await client.execute_command("REPLICAOF", "NO", "ONE")
    for target in ground.targets:
        target.redis_line.target = ("127.0.0.1", replica.port)
        target.redis_line.drop()
    ground.redis = replica
    await line.close()


async def redis_full(ground: Ground, chance: random.Random) -> None:
    """Redis has no memory left and evicts nothing: it refuses what would need some."""
    async with redis.asyncio.Redis.from_url(ground.redis.url) as client:
        await client.config_set("maxmemory-policy", "noeviction")
        await client.config_set("maxmemory", "100kb")
        await asyncio.sleep(chance.uniform(0.5, 4.0))
        await client.config_set("maxmemory", "0")


def _line(ground: Ground, chance: random.Random) -> Proxy:
    target = _either(ground, chance)
    return chance.choice((target.graph_line, target.redis_line))


async def cut_line(ground: Ground, chance: random.Random) -> None:
    """The connections of an instance to a store end, several times, and for a while there are no new ones."""
    line = _line(ground, chance)
    for _ in range(chance.randint(1, 5)):
        line.drop()
        await asyncio.sleep(chance.uniform(0.02, 0.5))
    line.cut()
    await asyncio.sleep(chance.uniform(0.1, 5.0))
    line.heal()


async def stall_line(ground: Ground, chance: random.Random) -> None:
    """Nothing gets through between an instance and a store, and nobody is told."""
    line = _line(ground, chance)
    line.stall()
    await asyncio.sleep(chance.choice((0.5, 8.0, 30.0)) * chance.uniform(0.2, 1.0))
    if chance.random() < 0.5:
        line.drop()
    line.heal()


async def slow_line(ground: Ground, chance: random.Random) -> None:
    """Every piece between an instance and a store comes late."""
    line = _line(ground, chance)
    line.slow(chance.uniform(0.005, 0.3))
    await asyncio.sleep(chance.uniform(1.0, 6.0))
    line.heal()


async def hold_head(ground: Ground, chance: random.Random) -> None:
    """Somebody takes the head's lock, as every turn does, and stands still in the middle of the transaction."""
    auth = ("neo4j", ground.neo4j_password)
    with contextlib.suppress(DriverError, Neo4jError):
        async with (
            neo4j.AsyncGraphDatabase.driver(ground.neo4j_uri, auth=auth, telemetry_disabled=True) as driver,
            driver.session() as session,
        ):
            transaction = await session.begin_transaction()
            await (await transaction.run("MATCH (h:Head {id: 'head'}) SET h.lock = 'somebody'")).consume()
            await asyncio.sleep(chance.choice((1.0, 4.0, 15.0)))
            await transaction.rollback()


async def kill_neo4j(ground: Ground, chance: random.Random) -> None:
    """kill -9 of Neo4j, in the middle of whatever it commits."""
    assert ground.graph is not None
    await ground.graph.kill()
    await asyncio.sleep(chance.uniform(0.0, 2.0))
    await ground.graph.start()


async def freeze_neo4j(ground: Ground, chance: random.Random) -> None:
    """Neo4j stands still."""
    assert ground.graph is not None
    ground.graph.signal(signal.SIGSTOP)
    await asyncio.sleep(chance.choice((0.3, 2.0, 8.0)) * chance.uniform(0.5, 1.0))
    ground.graph.signal(signal.SIGCONT)


async def disk_full(ground: Ground, chance: random.Random) -> None:
    """No room left for Neo4j's files; once there is again, it is started anew, as whoever runs it would."""
    assert ground.graph is not None and ground.disk is not None
    filler = ground.disk / "filler"
    free = os.statvfs(ground.disk)
    with contextlib.suppress(OSError), filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - 65_536))
    await asyncio.sleep(chance.uniform(3.0, 8.0))
    filler.unlink(missing_ok=True)
    await ground.graph.kill()
    await ground.graph.start()


FAULTS: dict[str, Fault] = {
    "kill instance": kill_instance,
    "freeze instance": freeze_instance,
    "rolling restart": roll,
    "clock of an instance off": clock_off,
    "FLUSHALL": flush,
    "kill redis": kill_redis,
    "freeze redis": freeze_redis,
    "redis from an old snapshot": old_snapshot,
    "replica promoted": promote_replica,
    "redis out of memory": redis_full,
    "cut connection": cut_line,
    "stalled connection": stall_line,
    "slow connection": slow_line,
    "head held by somebody frozen": hold_head,
    "kill neo4j": kill_neo4j,
    "freeze neo4j": freeze_neo4j,
    "disk full": disk_full,
}
ON_REDIS = frozenset(
    {"FLUSHALL", "kill redis", "freeze redis", "redis from an old snapshot", "replica promoted", "redis out of memory"}
)
STARTS_INSTANCE = frozenset({"kill instance", "clock of an instance off", "rolling restart", "freeze instance"})
APART = (ON_REDIS, NEEDS_GRAPH, STARTS_INSTANCE)
"""At most one of each of these at a time; others go beside each other."""


@dataclass(slots=True)
class Injector:
    """Draws faults from a seed and carries them out one after another, now and then two at once."""

    ground: Ground
    chance: random.Random
    kinds: list[str]
    done: dict[str, int] = field(default_factory=dict)
    over: bool = False
    bag: list[str] = field(default_factory=list)
    pause_s: float = 2.5

    @classmethod
    def over_ground(cls, ground: Ground, chance: random.Random, only: list[str] | None = None) -> Injector:
        """All faults that this ground allows, or those named."""
        kinds = [
            kind
            for kind in only or FAULTS
            if (ground.graph is not None or kind not in NEEDS_GRAPH)
            and (ground.disk is not None or kind not in NEEDS_DISK)
        ]
        return cls(ground, chance, kinds)

    def draw(self) -> str:
        """The next kind: each comes once before any comes again."""
        if not self.bag:
            self.bag = list(self.kinds)
            self.chance.shuffle(self.bag)
        return self.bag.pop()

    async def run(self) -> None:
        """Until `over`; whatever is broken then is put right first."""
        while not self.over and self.kinds:
            await asyncio.sleep(self.chance.uniform(0.2, 1.0) * self.pause_s)
            if self.over:
                return
            kinds = [self.draw()]
            if self.chance.random() < 0.3:
                second = self.draw()
                if second not in kinds and not any({second, *kinds} <= some for some in APART):
                    kinds.append(second)
            chances = [random.Random(self.chance.getrandbits(64)) for _ in kinds]
            await asyncio.gather(
                *(FAULTS[kind](self.ground, chance) for kind, chance in zip(kinds, chances, strict=True))
            )
            for kind in kinds:
                self.done[kind] = self.done.get(kind, 0) + 1

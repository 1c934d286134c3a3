"""Neo4j and Redis for one service: those that were set, else local ones that live and end with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from service.clock import monotonic_s
from service.local import neo4j_server
from service.local.connect import await_neo4j, await_redis, free_port
from service.local.data_dir import claimed, make_private_folder
from service.local.jars import Say, class_path
from service.local.kept import KeptChild, PortTaken
from service.local.neo4j_server import Neo4jServer
from service.local.orphans import ChildRecord
from service.local.redis_server import RedisServer
from service.local.secrets import store_password
from service.settings import Settings

_REDIS_START_S: Final = 15.0
_REDIS_STOP_S: Final = 5.0
_PORT_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Stores:
    """Where the two stores answer. Passwords stay out of its repr."""

    neo4j_uri: str
    neo4j_user: str
    neo4j_password: str = field(repr=False)
    neo4j_database: str
    redis_url: str = field(repr=False)
    _broken: asyncio.Future[str] = field(repr=False, compare=False)

    async def wait_broken(self) -> str:
        """Waits until a local store has ended and starting it again does not help; returns one line that says so.

        Never returns for stores of one's own. To be awaited beside the server: when it returns, the service ends.
        """
        return await asyncio.shield(self._broken)


@contextlib.asynccontextmanager
async def local_stores(settings: Settings, say: Say) -> AsyncIterator[Stores]:
    """Both stores, answering. Holds the data folder meanwhile; ends the local ones on leaving, cancelled or not.

    `say` gets one line a step. Raises StartRefused when another service holds the data folder, LocalStoreError when a
    store can't be fetched, started or reached; each in one line without secrets.
    """
    with claimed(settings.data_dir):
        local = _Local(settings, say)
        try:
            await local.end_leftovers()
            yield await local.up()
        finally:
            await _to_the_end(local.stop())


class _Local:
    """What one run has started."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self._settings = settings
        self._say = say
        self._record = ChildRecord(settings.data_dir)
        self._kept: list[KeptChild] = []
        self._broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def end_leftovers(self) -> None:
        for name in await self._record.end_leftovers():
            self._say(f"ended the {name} that an earlier run left behind")

    async def up(self) -> Stores:
        neo4j, redis = asyncio.ensure_future(self._neo4j()), asyncio.ensure_future(self._redis())
        try:
            uri, user, password, database = await _first_error(neo4j, redis)
        finally:
            neo4j.cancel()
            redis.cancel()
            await asyncio.gather(neo4j, redis, return_exceptions=True)
        return Stores(uri, user, password, database, redis.result(), self._broken)

    async def _neo4j(self) -> tuple[str, str, str, str]:
        """URI, user, password and database of a Neo4j that answers."""
        settings = self._settings
        if settings.neo4j_uri is not None:
            password = settings.neo4j_password.get_secret_value() if settings.neo4j_password else ""
            found = (settings.neo4j_uri, settings.neo4j_user, password, settings.neo4j_database)
            await await_neo4j(*found, settings.store_wait_ms / 1000)
            return found
        jars = await class_path(settings.cache_dir, self._say)
        folder = make_private_folder(settings.data_dir / "neo4j")
        password = store_password(folder)

        def made(port: int) -> tuple[str, KeptChild]:
            server = Neo4jServer(folder, port, password, settings, jars)

            async def answers() -> None:
                wait_s = settings.neo4j_start_ms / 1000
                await await_neo4j(server.uri, neo4j_server.USER, password, neo4j_server.DATABASE, wait_s)

            stop_s = settings.neo4j_stop_ms / 1000
            return server.uri, KeptChild("Neo4j", folder, server.logs, stop_s, server.start, answers, self._record)

        self._say("starting Neo4j")
        began = monotonic_s()
        uri = await self._start(made)
        self._say(f"Neo4j answers after {monotonic_s() - began:.1f} s")
        return uri, neo4j_server.USER, password, neo4j_server.DATABASE

    async def _redis(self) -> str:
        """URL of a Redis that answers."""
        settings = self._settings
        if settings.redis_url is not None:
            url = settings.redis_url.get_secret_value()
            await await_redis(url, settings.store_wait_ms / 1000)
            return url
        folder = make_private_folder(settings.data_dir / "redis")
        password = store_password(folder)

        def made(port: int) -> tuple[str, KeptChild]:
            server = RedisServer(folder, port, password, settings.redis_memory_mb)

            async def answers() -> None:
                await await_redis(server.url, _REDIS_START_S)

            logs = (server.log,)
            return server.url, KeptChild("Redis", folder, logs, _REDIS_STOP_S, server.start, answers, self._record)

        return await self._start(made)

    async def _start(self, made: Callable[[int], tuple[str, KeptChild]]) -> str:
        """Starts what `made` makes for a free port, for another one if that was taken meanwhile; returns its URL."""
        for tries_left in reversed(range(_PORT_TRIES)):
            url, child = made(free_port())
            self._kept.append(child)
            try:
                await child.up()
            except PortTaken:
                if not tries_left:
                    raise
                self._kept.remove(child)
                await child.stop()
            else:
                child.keep(self._broken, self._say)
                return url
        raise AssertionError("unreachable")

    async def stop(self) -> None:
        if self._kept:
            await asyncio.gather(*(child.stop() for child in self._kept))
            self._record.clear()
        self._broken.cancel()


async def _first_error(
    neo4j: asyncio.Future[tuple[str, str, str, str]], redis: asyncio.Future[str]
) -> tuple[str, str, str, str]:
    """Waits for both, but no longer than until one fails."""
    both: set[asyncio.Future[Any]] = {neo4j, redis}
    await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
    if redis.done():
        redis.result()
    return neo4j.result()


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Finishes `work` even when cancelled meanwhile, then lets the cancellation go on."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError

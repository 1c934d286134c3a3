"""The real stores' ports with something between: a reader that stands still, a turn that breaks, drops that fail.

Each wraps the real one and is put in its place inside an instance; nothing here answers for a store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from service.cache.outcomes import CacheUnavailable
from service.commands.plan import Plan
from service.commands.ports import Head, Ledger, Reader, Turn
from service.commands.world import Loaded, Wanted
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.profile import Profile
from tests.service.instances import Instance

OnCommit = Callable[[Turn], Awaitable[None]]


class FrozenReader:
    """A reader that, once told to, stands still between what it read and what it gives."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._go_on = asyncio.Event()
        self._go_on.set()
        self.has_read = asyncio.Event()

    def freeze(self) -> None:
        """From now on reads are made and not given."""
        self._go_on.clear()
        self.has_read.clear()

    def thaw(self) -> None:
        """Give what was read."""
        self._go_on.set()

    async def profiles(self, keys: Sequence[IdentifierKey]) -> dict[IdentifierKey, Profile]:
        """As the real one, later."""
        found = await self._reader.profiles(keys)
        self.has_read.set()
        await self._go_on.wait()
        return found

    async def profiles_by_id(self, ids: Sequence[ProfileId]) -> dict[ProfileId, Profile]:
        """As the real one."""
        return await self._reader.profiles_by_id(ids)


class BrokenDropper:
    """Drops that are never through: the process was gone before it came to them."""

    async def drop(self, keys: Sequence[str]) -> None:
        """Raises CacheUnavailable."""
        raise CacheUnavailable


class WatchedTurn:
    """A turn that counts, waits or breaks where it is told to."""

    def __init__(self, turn: Turn, ledger: WatchedLedger) -> None:
        self._turn = turn
        self._ledger = ledger

    async def take_head(self) -> Head:
        """As the real one, once the gate is open."""
        head = await self._turn.take_head()
        self._ledger.holding.set()
        await self._ledger.gate.wait()
        return head

    async def load(self, wanted: Wanted, now: int) -> Loaded:
        """As the real one; fails on a poisoned identifier."""
        if not self._ledger.poisoned.isdisjoint(wanted.identifiers):
            raise RuntimeError("poisoned")
        return await self._turn.load(wanted, now)

    async def write(self, plan: Plan, *, seq: int, at: int, dropped: Sequence[int]) -> None:
        """As the real one; notes how many links it is."""
        await self._turn.write(plan, seq=seq, at=at, dropped=dropped)
        self._ledger.written.append(len(plan.links_new))
        self._ledger.wrote.set()

    async def commit(self) -> None:
        """As the real one, or what was put in its place for once."""
        instead, self._ledger.on_commit = self._ledger.on_commit, None
        await (instead(self._turn) if instead is not None else self._turn.commit())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._turn, name)


class WatchedLedger:
    """The real ledger, whose turns are watched. `gate` is open at first."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.gate = asyncio.Event()
        self.gate.set()
        self.holding = asyncio.Event()
        self.wrote = asyncio.Event()
        self.poisoned: set[IdentifierKey] = set()
        self.written: list[int] = []
        self.on_commit: OnCommit | None = None

    def turn(self, op: str) -> AbstractAsyncContextManager[Turn]:
        """A watched turn."""

        @asynccontextmanager
        async def watched() -> AsyncIterator[WatchedTurn]:
            async with self._ledger.turn(op) as turn:
                yield WatchedTurn(turn, self)

        return watched()

    async def hold(self, *requests: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
        """The first request is in a turn that waits at the gate, the others wait behind it."""
        self.gate.clear()
        self.holding.clear()
        tasks = [asyncio.create_task(requests[0])]
        await self.holding.wait()
        for request in requests[1:]:
            tasks.append(asyncio.create_task(request))
            await asyncio.sleep(0.02)
        return tasks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


def frozen_reader(instance: Instance) -> FrozenReader:
    """Puts a FrozenReader before the reader of an instance's look-ups."""
    timely = instance.assembled.services.lookup._timely
    timely._reader = found = FrozenReader(timely._reader)  # type: ignore[assignment]
    return found


def watched_ledger(instance: Instance) -> WatchedLedger:
    """Puts a WatchedLedger before the ledger of an instance's write path."""
    path = instance.assembled.services.write_path
    path._ledger = found = WatchedLedger(path._ledger)
    return found


def break_drops(instance: Instance) -> None:
    """No drop of this instance is ever through."""
    instance.assembled.services.write_path._outbox._dropper = BrokenDropper()


async def stop_relay(instance: Instance) -> None:
    """The instance finishes others' drops only in its own turns from now on."""
    task = instance.assembled.services.write_path._outbox._relay_task
    assert task is not None
    task.cancel()
    await asyncio.wait([task])

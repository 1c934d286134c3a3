"""Single calls outside, batches inside: concurrent questions of one event-loop tick become one round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Coalescer(Generic[K, V]):
    """Joins concurrent `ask`s into calls of `load`, which answers for every key it is given.

    While `in_flight_max` loads are under way the next batch gathers, up to `batch_max` keys a load. Equal keys are
    asked once. An error of a load goes to all who wait for it; a caller that is cancelled disturbs nobody.
    """

    def __init__(
        self,
        load: Callable[[list[K]], Awaitable[dict[K, V]]],
        *,
        batch_max: int = 1_000,
        in_flight_max: int = 2,
    ) -> None:
        self._load = load
        self._batch_max = batch_max
        self._in_flight_max = in_flight_max
        self._waiting: dict[K, asyncio.Future[V | None]] = {}
        self._in_flight: set[asyncio.Task[None]] = set()
        self._scheduled = False

    def ask(self, key: K) -> Awaitable[V | None]:
        """The value for one key; None where `load` has none."""
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
            self._schedule()
        return asyncio.shield(future)

    def _schedule(self) -> None:
        if not self._scheduled and len(self._in_flight) < self._in_flight_max:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if not self._waiting:
            return
        keys = list(self._waiting)[: self._batch_max]
        batch = {key: self._waiting.pop(key) for key in keys}
        task = asyncio.create_task(self._answer(batch))
        self._in_flight.add(task)
        task.add_done_callback(self._done)
        if self._waiting:
            self._schedule()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if self._waiting:
            self._schedule()

    async def _answer(self, batch: dict[K, asyncio.Future[V | None]]) -> None:
        try:
            found = await self._load(list(batch))
        except Exception as error:
            for future in batch.values():
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # seen, also where nobody waits any more
            return
        for key, future in batch.items():
            if not future.done():
                future.set_result(found.get(key))

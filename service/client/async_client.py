"""The client for asyncio: the same queue and rules, a task instead of a thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx

from . import clock
from .queues import MemoryQueue, Queue, queue_of
from .sending import (
    BATCH_EVENTS_MAX,
    LONGEST_WAIT_S,
    Counts,
    Later,
    Meaning,
    OnResult,
    Refused,
    Taken,
    body_of,
    encode,
    meaning_of,
    tell,
    wait_s,
)


class AsyncEventClient:
    """As `EventClient`, within one event loop; `async with` starts and ends it."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        source: str,
        spool: str | os.PathLike[str] | None = None,
        queue: Queue | None = None,
        batch_events: int = 500,
        linger_s: float = 0.5,
        timeout_s: float = 30.0,
        on_result: OnResult | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url, headers={"authorization": f"Bearer {key}"}, timeout=timeout_s, transport=transport
        )
        self._queue: Queue = queue_of(queue, spool)
        self._source = source
        self._batch = max(1, min(batch_events, BATCH_EVENTS_MAX))
        self._linger_s = linger_s
        self._on_result = on_result
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._hurry = False
        self._refused: Refused | None = None
        self._task: asyncio.Task[None] | None = None
        self.counts = Counts()

    # ---- what callers do

    async def send(self, *events: Mapping[str, Any]) -> None:
        """Take events in. Raises QueueFull, and ValueError or TypeError for what is no JSON."""
        entries = [encode(event, self._source) for event in events]
        if isinstance(self._queue, MemoryQueue):
            self._queue.put(entries)
        else:
            await asyncio.to_thread(self._queue.put, entries)
        self._start()
        self._wake.set()

    async def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until the service has everything given so far; False where that took longer. Raises Refused."""
        self._start()
        self._hurry = True
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while len(self._queue) and self._refused is None:
                    self._changed.clear()
                    await self._changed.wait()
        self._hurry = False
        if self._refused is not None:
            raise self._refused
        return not len(self._queue)

    async def close(self, timeout_s: float = 30.0) -> int:
        """Send what waits, for so long at most, and end; returns how many events still wait: a spool keeps them."""
        with contextlib.suppress(Refused):
            await self.flush(timeout_s)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._http.aclose()
        left = len(self._queue)
        self._queue.close()
        return left

    @property
    def waiting(self) -> int:
        """How many events the service does not have yet."""
        return len(self._queue)

    async def __aenter__(self) -> AsyncEventClient:
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # ---- the task

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="identity-fabric-events")

    async def _run(self) -> None:
        tries, size = 0, self._batch
        while True:
            entries = self._queue.oldest(size)
            if not entries:
                self._wake.clear()
                await self._wake.wait()
                if not self._hurry:
                    await asyncio.sleep(self._linger_s)
                continue
            try:
                meaning = await self._post(entries, tries)
            except Refused as error:
                self._refused = error
                self._changed.set()
                await asyncio.sleep(LONGEST_WAIT_S)
                self._refused = None
                continue
            tries, size = await self._follow(meaning, entries, tries)
            self._changed.set()

    async def _post(self, entries: list[bytes], tries: int) -> Meaning:
        try:
            answer = await self._http.post(
                "/v1/events", content=body_of(entries), headers={"content-type": "application/json"}
            )
        except httpx.HTTPError:
            return Later(wait_s(tries))
        return meaning_of(answer.status_code, answer.headers, answer.content, len(entries), tries)

    async def _follow(self, meaning: Meaning, entries: list[bytes], tries: int) -> tuple[int, int]:
        """Do what an answer means; the tries and the size of the next batch."""
        if isinstance(meaning, Taken):
            self._queue.forget(len(entries))
            self.counts.note(meaning.results)
            tell(self._on_result, meaning.results)
            return 0, min(self._batch, max(1, len(entries) * 2))
        self.counts.failed_tries += 1
        if isinstance(meaning, Later):
            await asyncio.sleep(meaning.seconds * clock.share())
            return tries + 1, self._batch
        if len(entries) > 1:
            return tries, len(entries) // 2
        self._queue.set_aside(1, meaning.why)
        self.counts.set_aside += 1
        return 0, self._batch

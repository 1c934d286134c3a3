"""The client for ordinary code: `send` returns at once, a thread of its own sends."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import httpx

from . import clock
from .queues import Queue, queue_of
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


class EventClient:
    """Sends events in batches, in the order given, until the service has them. Safe to use from several threads.

    `base_url`, `key`: of the service, a key with the role `collector`. `source`: of events that name none. `spool`: a
    folder that outlives the process; without one, events wait in memory. `linger_s`: how long the first event of a
    batch waits for others. `on_result`: told what became of each event, on the sending thread.
    """

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=base_url, headers={"authorization": f"Bearer {key}"}, timeout=timeout_s, transport=transport
        )
        self._queue: Queue = queue_of(queue, spool)
        self._source = source
        self._batch = max(1, min(batch_events, BATCH_EVENTS_MAX))
        self._linger_s = linger_s
        self._on_result = on_result
        self._wake = threading.Event()
        self._changed = threading.Condition()
        self._hurry = False
        self._ending = False
        self._refused: Refused | None = None
        self.counts = Counts()
        self._thread = threading.Thread(target=self._run, name="identity-fabric-events", daemon=True)
        self._thread.start()

    # ---- what callers do

    def send(self, *events: Mapping[str, Any]) -> None:
        """Take events in. Raises QueueFull, and ValueError or TypeError for what is no JSON."""
        self._queue.put([encode(event, self._source) for event in events])
        self._wake.set()

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until the service has everything given so far; False where that took longer. Raises Refused."""
        until = clock.monotonic_s() + timeout_s
        with self._changed:
            self._hurry = True
            self._wake.set()
            while len(self._queue) and self._refused is None and (left := until - clock.monotonic_s()) > 0:
                self._changed.wait(min(left, 0.2))
            self._hurry = False
        if self._refused is not None:
            raise self._refused
        return not len(self._queue)

    def close(self, timeout_s: float = 30.0) -> int:
        """Send what waits, for so long at most, and end; returns how many events still wait: a spool keeps them."""
        with contextlib.suppress(Refused):
            self.flush(timeout_s)
        self._ending = True
        self._wake.set()
        self._thread.join()
        self._http.close()
        left = len(self._queue)
        self._queue.close()
        return left

    @property
    def waiting(self) -> int:
        """How many events the service does not have yet."""
        return len(self._queue)

    def __enter__(self) -> EventClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- the thread

    def _run(self) -> None:
        tries, size = 0, self._batch
        while not self._ending:
            entries = self._queue.oldest(size)
            if not entries:
                self._linger()
                continue
            try:
                meaning = self._post(entries, tries)
            except Refused as error:
                self._refused = error
                self._tell()
                self._back_off(LONGEST_WAIT_S)
                self._refused = None
                continue
            tries, size = self._follow(meaning, entries, tries)
            self._tell()

    def _post(self, entries: list[bytes], tries: int) -> Meaning:
        try:
            answer = self._http.post(
                "/v1/events", content=body_of(entries), headers={"content-type": "application/json"}
            )
        except httpx.HTTPError:
            return Later(wait_s(tries))
        return meaning_of(answer.status_code, answer.headers, answer.content, len(entries), tries)

    def _follow(self, meaning: Meaning, entries: list[bytes], tries: int) -> tuple[int, int]:
        """Do what an answer means; the tries and the size of the next batch."""
        if isinstance(meaning, Taken):
            self._queue.forget(len(entries))
            self.counts.note(meaning.results)
            tell(self._on_result, meaning.results)
            return 0, min(self._batch, max(1, len(entries) * 2))
        self.counts.failed_tries += 1
        if isinstance(meaning, Later):
            self._back_off(meaning.seconds * clock.share())
            return tries + 1, self._batch
        if len(entries) > 1:
            return tries, len(entries) // 2
        self._queue.set_aside(1, meaning.why)
        self.counts.set_aside += 1
        return 0, self._batch

    def _linger(self) -> None:
        """Wait for an event, then for others to go with it."""
        self._wake.wait()
        self._wake.clear()
        until = clock.monotonic_s() + self._linger_s
        while not (self._hurry or self._ending) and (left := until - clock.monotonic_s()) > 0:
            self._wake.wait(left)
            self._wake.clear()

    def _back_off(self, seconds: float) -> None:
        """Wait, unless it ends."""
        until = clock.monotonic_s() + seconds
        while not self._ending and (left := until - clock.monotonic_s()) > 0:
            self._wake.wait(left)
            self._wake.clear()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

"""Quality of events, counted as they come: into metrics at once, into the graph by the hour every few seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from service.commands.carry_out import Outcome
from service.commands.rest import Rest
from service.errors import FabricError
from service.events.quality import drift_of, stream_of, tally_of
from service.model.changes import Change
from service.model.events import EventReceipt, QuarantineEvent, RecordEvent, SenderState
from service.model.quality import HOUR_MS, OTHER, Drift, Stream, Tally
from service.telemetry import Metrics

log = structlog.get_logger()
WRITE_EVERY_S: Final = 2.0
STREAMS_MAX: Final = 500
"""Streams that are told apart in one hour by one instance; more count together."""

KEEP_MS: Final = 35 * 24 * HOUR_MS

Hours = Mapping[tuple[Stream, int], Tally]


class QualityStore(Protocol):
    """Counts by stream and hour, of all instances. Raises StoreUnavailable."""

    async def keep(self, instance: str, hours: Hours) -> None:
        """Keep what an instance counted, in the place of what it counted before. Hours are ms."""

    async def forget(self, before: int) -> None:
        """Delete what is older than a time (ms)."""

    async def between(self, since: int, until: int) -> dict[Stream, Tally]:
        """What came of each stream in the hours from `since` until before `until` (ms)."""

    async def gaps(self, limit: int) -> list[SenderState]:
        """Senders whose numbers have gaps."""


class StreamQuality(NamedTuple):
    """A stream in a time, and how it differs from the time before."""

    stream: Stream
    tally: Tally
    drift: tuple[Drift, ...]


class Quality:
    """Counts in memory and writes in the background; what a crash takes with it is the last two seconds' counts.

    `instance`: a name that no other has, nor the same one after its next start.
    """

    def __init__(self, store: QualityStore, instance: str, now_ms: Callable[[], int], metrics: Metrics) -> None:
        self._store = store
        self._instance = instance
        self._now_ms = now_ms
        self._metrics = metrics
        self._hours: dict[tuple[Stream, int], Tally] = {}
        self._changed: set[tuple[Stream, int]] = set()
        self._known: set[Stream] = set()
        self._task: asyncio.Task[None] | None = None
        self._rest = Rest()

    # ---- counting

    def note(self, changes: Sequence[Change], outcomes: Sequence[Outcome]) -> None:
        """Count what became of events; whatever else was carried out is passed over."""
        now = self._now_ms()
        for change, outcome in zip(changes, outcomes, strict=False):  # none of an answer given before
            if isinstance(change, RecordEvent | QuarantineEvent) and isinstance(outcome, EventReceipt):
                self._count(self._stream(stream_of(change)), tally_of(change, outcome, now), now)

    def _stream(self, stream: Stream) -> Stream:
        if stream not in self._known:
            if len(self._known) >= STREAMS_MAX:
                return Stream(OTHER, OTHER)
            self._known.add(stream)
        return stream

    def _count(self, stream: Stream, tally: Tally, now: int) -> None:
        key = (stream, now - now % HOUR_MS)
        self._hours.setdefault(key, Tally()).add(tally)
        self._changed.add(key)
        metrics = self._metrics
        status = "duplicate" if tally.duplicates else "quarantined" if tally.quarantined else "accepted"
        metrics.events.labels(*stream, status).inc()
        for code in tally.violations:
            metrics.event_violations.labels(*stream, code).inc()
        if tally.accepted:
            metrics.event_lag.labels(*stream).observe(tally.lag_ms / 1_000)
        for name in ("no_identifier", "no_consent", "late", "skewed"):
            if getattr(tally, name):
                metrics.event_marks.labels(*stream, name).inc()

    # ---- answers

    async def between(self, since: int, until: int) -> list[StreamQuality]:
        """Every stream of a time (ms, whole hours), compared with as long a time before. Raises StoreUnavailable."""
        await self.write()
        now = await self._store.between(since, until)
        before = await self._store.between(2 * since - until, since)
        found = []
        for stream in sorted({*now, *before}):
            tally = now.get(stream, Tally())
            found.append(StreamQuality(stream, tally, tuple(drift_of(tally, before.get(stream, Tally())))))
        return found

    async def gaps(self, limit: int) -> list[SenderState]:
        """Senders whose numbers have gaps. Raises StoreUnavailable."""
        return await self._store.gaps(limit)

    # ---- writing

    def start(self) -> None:
        """Begin to write."""
        self._rest = Rest()
        self._task = asyncio.create_task(self._write_on(), name="quality")

    async def stop(self) -> None:
        """Write what is left, and end."""
        if self._task is not None:
            await self._rest.end(self._task)
            try:
                await self.write()
            except FabricError:
                return

    async def write(self) -> None:
        """Write what was counted since it was written. Raises StoreUnavailable, and nothing is lost by that."""
        changed, self._changed = self._changed, set()
        if not changed:
            return
        try:
            await self._store.keep(self._instance, {key: self._hours[key] for key in changed})
        except FabricError:
            self._changed |= changed
            raise
        newest = max(hour for _, hour in changed)
        over = [key for key in self._hours if key[1] < newest - HOUR_MS and key not in self._changed]
        for key in over:
            del self._hours[key]
        if over:  # once an hour
            self._known.clear()
            await self._store.forget(newest - KEEP_MS)

    async def _write_on(self) -> None:
        while True:
            await self._rest(WRITE_EVERY_S)
            try:
                await self.write()
            except FabricError:
                continue  # the store is away; readiness shows it
            except Exception:
                log.exception("quality_failed")

"""The recorder: moves canonical events out of the graph into the record, exactly once, and keeps the record as it must
be: without those who were erased, without what is past its retention, in few files.

One of several instances does so, the one that has the lease. A round goes: read the oldest events that wait, add them
to the record, take their bodies out of the graph. A crash in between leaves them in both; the next round finds them in
the record and only takes the bodies. What was erased meanwhile is deleted after that, so no round can bring it back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import structlog

from service.clock import Clock
from service.commands.noting import Note
from service.commands.record_ports import AnotherWriter, Held, Record
from service.commands.rest import Rest
from service.errors import FabricError
from service.model.events import CanonicalEvent, EventRules
from service.telemetry import Metrics

log = structlog.get_logger()
BATCH_EVENTS: Final = 5_000
ROUND_EVERY_S: Final = 1.0
TERM_MS: Final = 30_000
_RENEW_S: Final = 10.0
TIDY_EVERY_S: Final = 300.0
RETENTION_EVERY_S: Final = 3_600.0
LEASE: Final = "record"
_ACTOR: Final = "service:record"


class Owed(NamedTuple):
    """What the record owes to erasures: rows to delete, and up to which number erasures are settled by that."""

    seqs: Sequence[int]
    upto: int
    any_revocation: bool


class Waiting(Protocol):
    """The graph, as events leave it. Raises StoreUnavailable."""

    async def take_lease(self, name: str, owner: str, term_ms: int) -> bool:
        """Have the lease for so long, or longer; False where another has it."""

    async def end_lease(self, name: str, owner: str) -> None:
        """Leave it to others."""

    async def waiting(self, after: int, limit: int) -> list[CanonicalEvent]:
        """Events that the record has not taken, by sequence number."""

    async def oldest_waiting_at(self) -> int | None:
        """When the oldest of them was recorded (ms)."""

    async def taken(self, seqs: Sequence[int]) -> None:
        """The record has these: their bodies go."""

    async def owed(self, limit: int) -> Owed:
        """Rows that name somebody who was erased."""

    async def settled(self, owed: Owed) -> None:
        """They are in no file any more."""


@dataclass(slots=True)
class _Due:
    tidy: float = 0.0
    retention: float = 0.0


class Recorder:
    """Runs in the background. `rules`: the policy's, as they are now. Its calls to the record run in threads."""

    def __init__(
        self,
        waiting: Waiting,
        record: Record,
        rules: Callable[[], EventRules],
        note: Note,
        clock: Clock,
        metrics: Metrics,
        batch: int = BATCH_EVENTS,
    ) -> None:
        self._waiting = waiting
        self._record = record
        self._rules = rules
        self._note = note
        self._clock = clock
        self._metrics = metrics
        self._batch = batch
        self._owner = clock.random_token(9)
        self._renew_at = 0.0
        self._due = _Due()
        self._changed = False
        self._task: asyncio.Task[None] | None = None
        self._rest = Rest()

    # ---- life

    def start(self) -> None:
        """Begin to record."""
        self._rest = Rest()
        now = self._clock.monotonic_s()
        self._due = _Due(now + TIDY_EVERY_S, now)
        self._task = asyncio.create_task(self._run(), name="recording")

    async def stop(self) -> None:
        """Stop; a round under way is finished, and the lease is left to others."""
        if self._task is not None:
            await self._rest.end(self._task)
            try:
                await self._waiting.end_lease(LEASE, self._owner)
            except FabricError:
                return  # it runs out

    async def _run(self) -> None:
        while True:
            try:
                more = await self.round()
            except AnotherWriter:
                log.warning("record_written_by_another")
                more = False
            except FabricError as error:
                log.warning("recording_failed", code=error.code)
                more = False
            except Exception:
                log.exception("recording_failed")
                more = False
            await self._rest(0.0 if more else ROUND_EVERY_S)

    # ---- one round

    async def round(self) -> bool:
        """Do what there is to do; whether more waits. Raises AnotherWriter, StoreUnavailable."""
        if not await self._has_lease():
            return False
        more = await self.take()
        await self.forget()
        now = self._clock.monotonic_s()
        if now >= self._due.retention:
            self._due.retention = now + RETENTION_EVERY_S
            await self.expire()
        if now >= self._due.tidy and self._changed:
            self._due.tidy = now + TIDY_EVERY_S
            await asyncio.to_thread(self._record.tidy)
            self._changed = False
        await self._measure()
        return more

    async def _has_lease(self) -> bool:
        now = self._clock.monotonic_s()
        if now < self._renew_at:
            return True
        held = await self._waiting.take_lease(LEASE, self._owner, TERM_MS)
        self._renew_at = now + _RENEW_S if held else 0.0
        return held

    async def take(self) -> bool:
        """Move one batch into the record; whether more waits."""
        events = await self._waiting.waiting(0, self._batch)
        if not events:
            return False
        added = await asyncio.to_thread(self._record.append, events)
        self._changed = True
        await self._waiting.taken([event.seq or 0 for event in events])
        self._metrics.recorded.inc(added)
        return len(events) == self._batch

    async def forget(self) -> None:
        """Delete the rows of those who were erased, from every file."""
        owed = await self._waiting.owed(self._batch)
        if owed.seqs:
            await asyncio.to_thread(self._record.remove, list(owed.seqs))
            await asyncio.to_thread(self._record.purge)
            log.info("record_forgot", events=len(owed.seqs))
        if owed.seqs or owed.any_revocation:
            await self._waiting.settled(owed)

    async def expire(self) -> None:
        """Delete what is past its retention, with an entry in the audit."""
        rules, now = self._rules(), self._clock.now_ms()
        terms = rules.retention  # what the policy does not name any more counts as its default
        told: list[str] = []
        for name, keep_ms in sorted(terms.items()):
            if count := await asyncio.to_thread(self._record.expire, [name], now - keep_ms):
                told.append(f"{name} {count}")
        default = terms.get(rules.default_retention)
        if default is not None:
            others = sorted(terms)
            if count := await asyncio.to_thread(self._record.expire, others, now - default, all_others=True):
                told.append(f"dropped terms {count}")
        if told:
            await asyncio.to_thread(self._record.purge)
            await self._note(_ACTOR, "events.expired", ", ".join(told))

    async def _measure(self) -> None:
        oldest = await self._waiting.oldest_waiting_at()
        self._metrics.record_lag.set(0.0 if oldest is None else max(0, self._clock.now_ms() - oldest) / 1_000)

    async def held(self) -> Held:
        """What the record holds. Raises StoreUnavailable."""
        return await asyncio.to_thread(self._record.held)

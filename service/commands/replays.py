"""Replays: events of the record, and those on their way there, applied once more under today's policy and schemas.

Carried out in the background by the instance that has the lease, in batches; after each its place is noted, so that a
replay goes on where it was, whoever ended. What a batch did twice over a crash it did once: evidence is the same.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import orjson
import structlog

from service.clock import Clock
from service.commands.noting import Note
from service.commands.record_ports import Record, Span
from service.commands.recording import TERM_MS, Waiting
from service.commands.replay_preview import Preview
from service.commands.rest import Rest
from service.commands.schema_book import SchemaBook
from service.commands.write_path import WritePath
from service.errors import FabricError, IdempotencyKeyReused
from service.events.publishing import versions_in
from service.events.reading import Reading
from service.events.replaying import Documents, read_again
from service.model.changes import LinkReceipt, Origin, RetractLink
from service.model.events import CanonicalEvent, EventReceipt, RecordEvent
from service.model.evidence import Link
from service.model.identifiers import LinkId
from service.model.replays import Replay, ReplayAct

log = structlog.get_logger()
LEASE: Final = "replays"
READ_EVENTS: Final = 4_000
BATCH_EVENTS: Final = 1_000
LOOK_EVERY_S: Final = 0.5
CANDIDATES_MAX: Final = 500_000
_FOREVER: Final = 2**62


class ReplayStore(Protocol):
    """Replays as they are kept. Raises StoreUnavailable."""

    async def create(self, replay: Replay) -> tuple[Replay, bool]:
        """Keep a new one, which ends at the head as it is now; or the one that is there, and False."""

    async def find(self, replay_id: str) -> Replay | None:
        """One replay."""

    async def newest(self, before: int, limit: int) -> list[Replay]:
        """Replays asked for before a time (ms), the newest first."""

    async def next_running(self) -> Replay | None:
        """The oldest that is to be carried out."""

    async def act(self, replay_id: str, act: ReplayAct) -> Replay | None:
        """Pause, resume or cancel; one that is in no state for it stays as it is."""

    async def advance(self, replay_id: str, more: Mapping[str, Any]) -> bool:
        """Note how far a running one has come; False where it is not running any more."""

    async def made(self, seqs: Sequence[int]) -> dict[int, list[LinkId]]:
        """The links that each of these events spoke for when it was recorded."""

    async def count_waiting(self, upto: int) -> int:
        """How many events are not in the record yet."""


class Links(Protocol):
    """Links as they are kept."""

    async def link(self, link_id: LinkId) -> tuple[Link, Any] | None:
        """A link, and why it is withheld."""


@dataclass(slots=True)
class _Run:
    """What a replay needs to know from its first event to its last; begun anew where another ended in the middle."""

    replay: Replay
    counts: Counter[str] = field(default_factory=Counter)
    derived: set[LinkId] = field(default_factory=set)
    made: set[LinkId] = field(default_factory=set)
    preview: Preview | None = None

    @property
    def gone(self) -> list[LinkId]:
        """Links that the events spoke for, and by today's rules none of them does."""
        return sorted(self.made - self.derived)


class ReplayDesk:
    """Takes replays; whoever has the record carries them out."""

    def __init__(self, store: ReplayStore, note: Note) -> None:
        self.store = store
        self._note = note

    async def begin(self, asked: Replay) -> Replay:
        """Take a replay; one that was taken under this id is answered as it is now.

        Raises StoreUnavailable, and IdempotencyKeyReused where that one was asked for in other words.
        """
        replay, is_new = await self.store.create(asked)
        if replay.fingerprint != asked.fingerprint:
            raise IdempotencyKeyReused()
        if is_new:
            kind = "dry run" if replay.dry_run else "correcting" if replay.corrects else "plain"
            await self._note(replay.actor, "replay.begun", f"{replay.replay_id} {kind}")
        return replay

    async def act(self, replay_id: str, act: ReplayAct, actor: str) -> Replay | None:
        """Pause, resume or cancel. Raises StoreUnavailable."""
        found = await self.store.act(replay_id, act)
        if found is not None:
            await self._note(actor, f"replay.{act}", f"{replay_id} {found.state}")
        return found


class Replayer:
    """Carries replays out. `reading`: under what events are read now, apart from when they came."""

    def __init__(
        self,
        store: ReplayStore,
        waiting: Waiting,
        record: Record,
        links: Links,
        schemas: SchemaBook,
        reading: Callable[[], Reading],
        new_preview: Callable[[], Preview],
        write_path: WritePath,
        note: Note,
        clock: Clock,
    ) -> None:
        self._store = store
        self._waiting = waiting
        self._record = record
        self._links = links
        self._schemas = schemas
        self._reading = reading
        self._new_preview = new_preview
        self._write_path = write_path
        self._note = note
        self._clock = clock
        self._owner = clock.random_token(9)
        self._task: asyncio.Task[None] | None = None
        self._rest = Rest()
        self._run: _Run | None = None

    # ---- life

    def start(self) -> None:
        """Begin to carry replays out."""
        self._rest = Rest()
        self._task = asyncio.create_task(self._go_on(), name="replays")

    async def stop(self) -> None:
        """Stop after the batch under way; whoever starts next goes on."""
        if self._task is not None:
            await self._rest.end(self._task)
            try:
                await self._waiting.end_lease(LEASE, self._owner)
            except FabricError:
                return

    async def _go_on(self) -> None:
        while True:
            worked = False
            try:
                worked = await self.step()
            except FabricError as error:
                log.warning("replay_failed", code=error.code)
            except Exception:
                log.exception("replay_failed")
                await self._fail()
            await self._rest(0.0 if worked else LOOK_EVERY_S)

    async def _fail(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            try:
                await self._store.advance(run.replay.replay_id, {"state": "failed", "reason": "internal"})
            except FabricError:
                return

    # ---- one step

    async def step(self) -> bool:
        """Carry out one batch of the oldest replay that runs; False where there is none. Raises FabricError."""
        replay = await self._store.next_running()
        if replay is None or not await self._waiting.take_lease(LEASE, self._owner, TERM_MS):
            return False
        run = await self._run_of(replay)
        events, upto = await self._events(run.replay)
        for start in range(0, len(events), BATCH_EVENTS):
            part = events[start : start + BATCH_EVENTS]
            await self._apply(run, part)
            run.replay = replace(run.replay, after=part[-1].seq or 0)
            noted = {"after": run.replay.after, "counts": run.counts, "total": run.replay.total}
            if not await self._store.advance(replay.replay_id, noted):
                self._run = None if not self._keeps(run) else run
                return True
            if self._rest.is_over:
                return True
        if upto is None:
            await self._end(run)
        else:
            run.replay = replace(run.replay, after=upto)
        return True

    @staticmethod
    def _keeps(run: _Run) -> bool:
        """Whether a pause must not lose what was gathered: it is gathered anew only from the start."""
        return run.replay.corrects or run.replay.dry_run

    async def _run_of(self, replay: Replay) -> _Run:
        if self._run is None or self._run.replay.replay_id != replay.replay_id:
            total = replay.total
            if total is None:
                total = await asyncio.to_thread(self._record.count, _span_of(replay))
                total += await self._store.count_waiting(replay.upto) if not (replay.types or replay.versions) else 0
            self._run = _Run(replace(replay, total=total), Counter(replay.counts))
            if self._keeps(self._run):  # what was gathered is gone: from the beginning
                self._run = _Run(replace(replay, total=total, after=0))
            if replay.dry_run:
                self._run.preview = self._new_preview()
        return self._run

    async def _events(self, replay: Replay) -> tuple[list[CanonicalEvent], int | None]:
        """The next events by sequence number, and up to which number those are all there are; None: there are no more.

        The graph is read first: what leaves it meanwhile is in the record.
        """
        waiting = await self._waiting.waiting(replay.after, READ_EVENTS)
        recorded = await asyncio.to_thread(self._record.rows, _span_of(replay), READ_EVENTS)
        cut = [part[-1].seq or 0 for part in (waiting, recorded) if len(part) == READ_EVENTS]
        upto = min(cut) if cut else None
        bound = replay.upto if upto is None else upto
        found = {e.seq or 0: e for e in (*waiting, *recorded) if (e.seq or 0) <= bound and _is_in(e, replay)}
        return [found[seq] for seq in sorted(found)], upto if upto is not None and upto < replay.upto else None

    async def _apply(self, run: _Run, events: Sequence[CanonicalEvent]) -> None:
        reading, changes = self._reading(), []
        documents = {kind: versions_in(await self._schemas.of_type(kind)) for kind in {e.type for e in events}}
        for event in events:
            item = read_again(event, _documents(documents, event), reading, run.replay.replay_id)
            if isinstance(item, RecordEvent):
                changes.append(item)
                run.derived.update(link.link_id for link in item.links)
            else:
                run.counts["refused"] += 1
                for code in {error.code for error in item.kept.errors}:
                    run.counts[f"refused:{code}"] += 1
        if self._keeps(run) and len(run.made) < CANDIDATES_MAX:
            for links in (await self._store.made([event.seq or 0 for event in events])).values():
                run.made.update(links)
        if run.preview is not None:
            run.counts.update(await run.preview.carry(changes))
        elif changes:
            origin = Origin("service:replay", run.replay.replay_id)
            answered = await self._write_path.submit(changes, origin, lambda _: (200, b""))
            run.counts.update(_became(outcome) for outcome in answered.outcomes)

    async def _end(self, run: _Run) -> None:
        """Correct what no event speaks for any more, and say that it is over."""
        more: dict[str, Any] = {"state": "completed"}
        if run.replay.corrects:
            gone = [link_id for link_id in run.gone if await self._rests_on_these(link_id, run.replay)]
            if run.preview is not None:
                await run.preview.retract(gone)
            else:
                await self._retract(gone, run)
            run.counts["links_retracted"] = len(gone)
        if run.preview is not None:
            more["report"] = orjson.dumps(run.preview.report(run.gone)).decode()
        more["counts"] = run.counts
        if await self._store.advance(run.replay.replay_id, more):
            told = ", ".join(f"{name} {count}" for name, count in sorted(run.counts.items()))
            await self._note("service:replay", "replay.ended", f"{run.replay.replay_id} {told or 'nothing'}")
        self._run = None

    async def _rests_on_these(self, link_id: LinkId, replay: Replay) -> bool:
        """Whether a link is in force and all that was seen of it was within the replay's time."""
        found = await self._links.link(link_id)
        if found is None or found[0].retracted_at is not None:
            return False
        since = replay.since if replay.since is not None else -_FOREVER
        until = replay.until if replay.until is not None else _FOREVER
        return found[0].first_observed_at >= since and found[0].observed_at < until

    async def _retract(self, gone: Sequence[LinkId], run: _Run) -> None:
        for start in range(0, len(gone), BATCH_EVENTS):
            reason = f"replay {run.replay.replay_id}: no event speaks for it under today's rules"
            changes = [RetractLink(link_id, reason) for link_id in gone[start : start + BATCH_EVENTS]]
            await self._write_path.submit(changes, Origin("service:replay", run.replay.replay_id), lambda _: (200, b""))


def _documents(documents: Mapping[str, Documents], event: CanonicalEvent) -> Documents:
    return documents.get(event.type, {})


def _span_of(replay: Replay) -> Span:
    return Span(replay.after, replay.upto, replay.since, replay.until, replay.types, replay.versions)


def _is_in(event: CanonicalEvent, replay: Replay) -> bool:
    return (
        (event.seq or 0) <= replay.upto
        and (replay.since is None or event.occurred_at >= replay.since)
        and (replay.until is None or event.occurred_at < replay.until)
        and (not replay.types or event.type in replay.types)
        and (not replay.versions or event.schema_version in replay.versions)
    )


def _became(outcome: object) -> str:
    if isinstance(outcome, EventReceipt):
        if outcome.status == "quarantined":
            return "refused"
        return "erased" if outcome.status == "duplicate" else "reduced" if outcome.reduced else "applied"
    return "retracted" if isinstance(outcome, LinkReceipt) else "failed"

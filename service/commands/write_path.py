"""The one write path: change evidence → load the region → resolve → diff → apply → invalidate → announce.

Group commit: while one transaction runs, the next batch gathers. A turn takes the head first, so turns of all instances
are totally ordered; it is bounded in time, so a large request spans turns. No request is answered before the cache
drops of its own turn and of all lower sequences are through, whoever they belong to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from service.clock import Clock
from service.commands.account import Pseudonym, entries_of, expiry_entry
from service.commands.carry_out import Carried, Carrier, Outcome
from service.commands.naming import named_in
from service.commands.newcomers import Newcomers
from service.commands.outbox import Outbox
from service.commands.plan import Entry, Plan, StoredAnswer, plan_of
from service.commands.ports import Head, Journal, Ledger, OutcomeUnknown, Turn
from service.commands.queue import Answered, Job, JobQueue, Render, Slice
from service.commands.world import Erasure, Loaded, Wanted, World
from service.errors import Busy, Erased, FabricError, IdempotencyKeyReused, Internal, NotYetEnforced, StoreUnavailable
from service.model.changes import Change, DecisionReceipt, Origin, Receipt, Remembered
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy
from service.model.policy_versions import InForce
from service.resolution.profile_ids import Births
from service.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class WriteLimits:
    """Bounds of the write path. Times in ms. `batch_min`: a smaller turn costs as much as this one, so turns that are
    slow because the machine is busy must not shrink below it. `linger_ms`: wait after a turn that had company.
    """

    turn_ms: int = 50
    batch_min: int = 250
    linger_ms: int = 3
    batch_max: int = 1_000
    queue_changes_max: int = 50_000
    retry_budget_ms: int = 20_000


@dataclass(slots=True)
class _Attempt:
    """What one committed transaction did."""

    seq: int
    outcomes: list[list[Outcome]]
    replays: dict[Job, StoredAnswer] = field(default_factory=dict)
    answers: dict[Job, tuple[int, bytes]] = field(default_factory=dict)
    refusals: list[tuple[IdentifierKey, ConsentRecord]] = field(default_factory=list)
    erasures: list[Erasure] = field(default_factory=list)


log = structlog.get_logger()
ERASED_STATUS = 410
"""Status of a stored answer that is blank, since it named somebody erased."""
PolicyAt = Callable[[InForce], Awaitable[Policy]]


class WritePath:
    """Takes requests, answers them once they are true everywhere."""

    def __init__(
        self,
        ledger: Ledger,
        outbox: Outbox,
        policy_at: PolicyAt,
        births: Births,
        pseudonym: Pseudonym,
        clock: Clock,
        metrics: Metrics,
        limits: WriteLimits | None = None,
        journal: Journal | None = None,
        erased: Callable[[Sequence[Erasure]], Awaitable[None]] | None = None,
    ) -> None:
        self._journal = journal
        self._erased = erased
        self._ledger = ledger
        self._outbox = outbox
        self._policy_at = policy_at
        self._births = births
        self._pseudonym = pseudonym
        self._clock = clock
        self._metrics = metrics
        self._limits = limits or WriteLimits()
        self._queue = JobQueue(self._limits.queue_changes_max)
        self._budget = 256
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._running: dict[str, Job] = {}
        self._last_seq = -1
        self._alone_since = 0
        self._stopping = False
        self.committed: Callable[[set[str]], None] = lambda destinations: None

    # ---- life

    def start(self) -> None:
        """Begin to take turns."""
        self._loop = asyncio.create_task(self._turns(), name="write path")

    async def stop(self) -> None:
        """Refuse new requests, finish those that wait, and end."""
        self._stopping = True
        self._wake.set()
        if self._loop is not None:
            await self._loop
        await self._outbox.idle()

    # ---- requests

    async def submit(self, changes: Sequence[Change], origin: Origin, render: Render) -> Answered:
        """Carry a request out. Raises FabricError where the whole of it fails: Busy, StoreUnavailable,
        NotYetEnforced, IdempotencyKeyReused. Errors of single changes are among the outcomes that `render` is given.
        """
        if self._stopping:
            raise StoreUnavailable("The service is shutting down.")
        remembered = origin.remembered
        while remembered is not None and (first := self._running.get(remembered.key)) is not None:
            await asyncio.wait([first.future])
            if (stored := _stored_by(first)) is not None:
                return _replayed(stored, remembered)
            if self._stopping:
                raise StoreUnavailable("The service is shutting down.")
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        job = Job(changes, origin, render, future, self._clock.monotonic_s())
        try:
            self._queue.put(job)
        except Busy:
            self._metrics.refused.labels("queue").inc()
            raise
        if remembered is not None:
            self._running[remembered.key] = job
            future.add_done_callback(lambda _: self._running.pop(remembered.key, None))
        self._wake.set()
        return await future

    async def submit_newcomers(self, parts: Sequence[Newcomers], origin: Origin, absent_at: int = -1) -> Answered:
        """Write what was resolved ahead, in one turn. Status 409: it does not stand any more, and nothing was written;
        else 200 with the sequence numbers `[before, after]` as body. Raises FabricError as `submit` does.

        `absent_at`: a sequence number at which the identifiers were found to be unknown, by a caller who knows what
        this instance was asked to write since. Where no other has written since, they are not looked for again.
        """
        if self._stopping:
            raise StoreUnavailable("The service is shutting down.")
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        now = self._clock.monotonic_s()
        self._queue.put(Job((), origin, lambda _: (409, b""), future, now, newcomers=parts, absent_at=absent_at))
        self._wake.set()
        return await future

    # ---- turns

    async def _turns(self) -> None:
        while True:
            slices = self._queue.take(self._budget)
            self._measure_queue()
            if slices:
                await self._take_turn(slices)
                if sum(len(piece.changes) for piece in slices) > 1 and self._queue.changes < self._limits.batch_min:
                    await self._linger()
                continue
            if self._stopping:
                return
            self._wake.clear()
            await self._wake.wait()

    def _measure_queue(self) -> None:
        for lane, changes in self._queue.lengths().items():
            self._metrics.queue_length.labels(lane).set(changes)
        oldest = self._queue.oldest_s()
        self._metrics.queue_age_seconds.set(0 if oldest is None else self._clock.monotonic_s() - oldest)

    async def _linger(self) -> None:
        """Let those who were just answered send again, so that they share the next turn instead of two halves."""
        pause_s = self._limits.linger_ms / 1000
        await asyncio.wait([asyncio.ensure_future(self._outbox.idle())], timeout=5 * pause_s)
        await asyncio.sleep(pause_s)

    async def _take_turn(self, slices: list[Slice]) -> None:
        began = self._clock.monotonic_s()
        try:
            attempt = await self._forget(await self._with_retries(slices))
        except FabricError as error:
            self._metrics.failures.labels(error.code).inc()
            for piece in slices:
                self._fail(piece.job, error)
        except Exception:
            self._metrics.failures.labels("internal_error").inc()
            log.exception("turn_failed", changes=sum(len(piece.changes) for piece in slices))
            await self._one_by_one(slices)
        else:
            noted = bool(attempt.erasures)
            self._outbox.when_through(attempt.seq, self._answering(slices, attempt), noted=noted)
            self._pace(sum(len(piece.changes) for piece in slices), self._clock.monotonic_s() - began)

    async def _one_by_one(self, slices: list[Slice]) -> None:
        """A batch failed: each change is tried alone, so that a poisoned one costs only itself."""
        for piece in slices:
            if piece.job.newcomers:
                self._fail(piece.job, Internal())
                continue
            attempt = _Attempt(0, [[]])
            for index, change in enumerate(piece.changes):
                last = piece.ends_job and index == len(piece.changes) - 1
                alone = Slice(piece.job, (change,), last)
                try:
                    got = await self._forget(await self._with_retries([alone]))
                    attempt.seq, attempt.replays = got.seq, attempt.replays | got.replays
                    attempt.answers |= got.answers
                    outcome = got.outcomes[0][0] if got.outcomes[0] else Internal()
                except FabricError as error:
                    outcome = error
                except Exception:
                    log.exception("change_failed", change=type(change).__name__)
                    outcome = Internal()
                attempt.outcomes[0].append(outcome)
                piece.job.outcomes.append(outcome)
            erased = piece.job.erases
            self._outbox.when_through(attempt.seq, self._answering([piece], attempt, noted=True), noted=erased)

    def _pace(self, changes: int, seconds: float) -> None:
        """Let turns grow or shrink towards their time."""
        self._metrics.turns.labels("committed").inc()
        self._metrics.turn_seconds.observe(seconds)
        self._metrics.batch_size.observe(changes)
        limits = self._limits
        if seconds * 1000 > limits.turn_ms * 1.2:
            self._budget = max(limits.batch_min, int(self._budget * 0.8))
        elif changes >= self._budget and seconds * 1000 < limits.turn_ms * 0.8:
            self._budget = min(limits.batch_max, int(self._budget * 1.25) + 1)

    async def _with_retries(self, slices: list[Slice]) -> _Attempt:
        """One attempt, again while the graph is out of reach. An unknown outcome is settled, not guessed."""
        until = self._clock.monotonic_s() + self._limits.retry_budget_ms / 1000
        pause = 0.05
        while True:
            op = self._clock.random_token(16)
            unknown: _Unsettled | None = None
            try:
                return await self._attempt(slices, op)
            except _Unsettled as sent:
                unknown = sent
                self._metrics.turns.labels("unknown").inc()
            except StoreUnavailable:
                self._metrics.turns.labels("rolled_back").inc()
                if self._clock.monotonic_s() + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)
            if unknown is not None and await self._settle(op, until):
                # Not before it is settled: had it not happened, its number would be another turn's by now.
                self._outbox.owes(unknown.attempt.seq, unknown.drops)
                return unknown.attempt

    async def _remember(self, attempt: _Attempt) -> None:
        """Have refusals on the disk outside the graph before they are committed: one that a failing commit leaves
        behind is the stricter error, and nothing committed can be replayed without it. Raises StoreUnavailable.
        """
        if (attempt.refusals or attempt.erasures) and self._journal is not None:
            try:
                await asyncio.to_thread(self._journal.append, attempt.seq, attempt.refusals, attempt.erasures)
            except OSError as error:
                log.exception("journal_failed")
                raise StoreUnavailable("The journal of refusals can't be written.") from error

    async def _forget(self, attempt: _Attempt) -> _Attempt:
        """Have what was moved out of the graph forget whom a turn erased. Raises StoreUnavailable."""
        if attempt.erasures and self._erased is not None:
            await self._erased(attempt.erasures)
        return attempt

    async def _settle(self, op: str, until: float) -> bool:
        while True:
            try:
                return await self._ledger.happened(op)
            except Exception as error:  # whatever it is, the outcome is as unknown as before
                if self._clock.monotonic_s() > until:
                    raise StoreUnavailable("It could not be settled whether the change was made.") from error
                await asyncio.sleep(0.2)

    async def _attempt(self, slices: list[Slice], op: str) -> _Attempt:
        async with self._ledger.turn(op) as turn:
            head = await turn.take_head()
            policy = await self._policy_at(head.desk.in_force)
            self._outbox.found(head.pending)
            if head.seq != self._last_seq:
                self._alone_since = head.seq
            if slices[0].job.newcomers:
                return await self._found(turn, head, policy, slices[0].job)
            world = World(policy, self._births, head.now, head.seq, head.desk)
            replays = await self._replays(turn, slices)
            changes = [
                (change, piece.job.origin) for piece in slices if piece.job not in replays for change in piece.changes
            ]
            carrier = Carrier(turn, world, lambda prefix: f"{prefix}_{self._clock.random_token(15)}", self._pseudonym)
            carried = Carried()
            expired = await carrier.apply_due(carried) if head.due else 0
            await carrier.carry_out(changes, carried)
            attempt = _Attempt(head.seq, [], replays)
            outcomes = iter(carried.outcomes)
            for piece in slices:
                skipped = piece.job in replays
                attempt.outcomes.append([] if skipped else [next(outcomes) for _ in piece.changes])
            if slices[0].job.is_preview:
                return attempt
            plan = plan_of(world)
            plan.events = carried.events
            self._account(slices, attempt, plan, policy)
            if expired:
                plan.entries.append(Entry(expiry_entry(expired, policy.version)))
            await self._write(turn, head, world, plan, attempt, op)
            return attempt

    async def _write(self, turn: Turn, head: Head, world: World, plan: Plan, attempt: _Attempt, op: str) -> None:
        if not plan.changes_graph and not plan.answers:
            return
        attempt.seq = world.seq + 1
        attempt.refusals = [(key, record) for key, record in plan.consents if record.state != "granted"]
        attempt.erasures = plan.erasures
        marks = self._outbox.marks()
        await turn.write(plan, seq=attempt.seq, at=world.now, dropped=marks)
        await self._remember(attempt)
        try:
            await turn.commit()
        except OutcomeUnknown as error:
            raise _Unsettled(attempt, plan.drops) from error
        self._last_seq = attempt.seq
        self._outbox.marked(marks)
        if plan.dispatch is not None:
            self.committed(plan.dispatch.wakes)
        if plan.drops or plan.events:
            self._outbox.owes(attempt.seq, plan.drops)
        self._metrics.region_size.observe(len(world.states))

    async def _found(self, turn: Turn, head: Head, policy: Policy, job: Job) -> _Attempt:
        """Write what was resolved ahead of this turn, if it still stands."""
        parts, attempt = job.newcomers, _Attempt(head.seq, [[]])
        if not all(part.stands(policy, head.now) for part in parts):
            return attempt
        if job.absent_at < self._alone_since:
            keys = {key for part in parts for key in part.keys}
            if await turn.load(Wanted(identifiers=keys), head.now) != Loaded():
                return attempt
        entries = [Entry(body) for part in parts for body in part.entry(job.origin)]
        drops = [key for part in parts for key in part.drops]
        attempt.seq = head.seq + sum(len(part.events) for part in parts) + 1
        attempt.answers[job] = (200, f"[{head.seq},{attempt.seq}]".encode())
        marks = self._outbox.marks()
        await turn.write_newcomers(parts, entries, after=head.seq, seq=attempt.seq, at=head.now, dropped=marks)
        try:
            await turn.commit()
        except OutcomeUnknown as error:
            raise _Unsettled(attempt, drops) from error
        self._last_seq = attempt.seq
        self._outbox.marked(marks)
        self._outbox.owes(attempt.seq, drops)
        return attempt

    async def _replays(self, turn: Turn, slices: list[Slice]) -> dict[Job, StoredAnswer]:
        keys = {p.job.origin.remembered.key: p.job for p in slices if p.job.origin.remembered is not None}
        if not keys:
            return {}
        stored = await turn.answers(list(keys))
        return {keys[key]: answer for key, answer in stored.items()}

    def _account(self, slices: list[Slice], attempt: _Attempt, plan: Plan, policy: Policy) -> None:
        """Audit entries and stored answers, in the same transaction as what they tell of."""
        for piece, outcomes in zip(slices, attempt.outcomes, strict=True):
            job = piece.job
            if job in attempt.replays:
                continue
            done: list[tuple[Change, Receipt]] = [
                (change, outcome)
                for change, outcome in zip(piece.changes, outcomes, strict=True)
                if not isinstance(outcome, FabricError)
            ]
            bodies = entries_of(job.origin, done, policy.version, self._pseudonym)
            plan.entries += [Entry(body) for body in bodies]
            plan.decisions += [receipt for _, receipt in done if isinstance(receipt, DecisionReceipt)]
            if piece.ends_job:
                status, body = job.render([*job.outcomes, *outcomes])
                attempt.answers[job] = (status, body)
                if job.origin.remembered is not None and 200 <= status < 300:
                    names, profiles = ((), ()) if job.erases else named_in(body)
                    plan.answers.append(StoredAnswer(job.origin.remembered, status, body, names, profiles))

    # ---- answers

    def _answering(self, slices: list[Slice], attempt: _Attempt, *, noted: bool = False) -> Callable[[bool], None]:
        """Note the outcomes now; the callable answers the jobs that are done, once the drops are through or not."""
        for piece, outcomes in zip(slices, attempt.outcomes, strict=True):
            if not noted:
                piece.job.outcomes += outcomes
        for job in attempt.replays:
            self._queue.abandon(job)

        def answer(through: bool) -> None:
            for piece in slices:
                try:
                    self._answer(piece, attempt, through)
                except Exception:
                    log.exception("answer_failed")
                    self._fail(piece.job, Internal())

        return answer

    def _answer(self, piece: Slice, attempt: _Attempt, through: bool) -> None:
        job = piece.job
        if not through:
            self._fail(job, NotYetEnforced())
        elif job in attempt.replays:
            self._replay(job, attempt.replays[job])
        elif piece.ends_job:
            status, body = attempt.answers.get(job) or job.render(job.outcomes)
            self._resolve(job, Answered(status, body, tuple(job.outcomes)))

    def _replay(self, job: Job, stored: StoredAnswer) -> None:
        try:
            self._resolve(job, _replayed(stored, job.origin.remembered))
        except (IdempotencyKeyReused, Erased) as error:
            self._fail(job, error)

    @staticmethod
    def _resolve(job: Job, answered: Answered) -> None:
        if not job.future.done():
            job.future.set_result(answered)

    def _fail(self, job: Job, error: FabricError) -> None:
        self._queue.abandon(job)
        if not job.future.done():
            job.future.set_exception(error)


def _stored_by(job: Job) -> StoredAnswer | None:
    """What a job that is over has stored, or was answered from; None where it stored nothing."""
    remembered = job.origin.remembered
    if remembered is None or job.future.cancelled() or job.future.exception() is not None:
        return None
    answered = job.future.result()
    return StoredAnswer(remembered, answered.status, answered.body) if 200 <= answered.status < 300 else None


def _replayed(stored: StoredAnswer, remembered: Remembered | None) -> Answered:
    """The stored answer, for the same request. Raises IdempotencyKeyReused for another one."""
    if remembered is None or stored.remembered.fingerprint != remembered.fingerprint:
        raise IdempotencyKeyReused()
    if stored.status == ERASED_STATUS:
        raise Erased()
    return Answered(stored.status, stored.body, replayed=True)


class _Unsettled(Exception):
    """The commit of this attempt has an unknown outcome."""

    def __init__(self, attempt: _Attempt, drops: Sequence[IdentifierKey]) -> None:
        super().__init__()
        self.attempt = attempt
        self.drops = drops

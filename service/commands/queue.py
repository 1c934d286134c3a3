"""The queue before the one write path: revocations first, then decisions, then the rest, then background work."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from service.commands.carry_out import Outcome
from service.commands.newcomers import Newcomers
from service.errors import Busy
from service.model.changes import (
    ActivatePolicy,
    Change,
    Decide,
    ExpireDue,
    LookAgain,
    Origin,
    RecordConsent,
    ResolveAnew,
    Revoke,
)
from service.model.delivery_changes import CutOver

WHOLE_MAX = 128  # no turn is smaller than that


class Priority(IntEnum):
    """Which waiting request goes first."""

    REVOCATION = 0
    DECISION = 1
    ORDINARY = 2
    BACKGROUND = 3


@dataclass(frozen=True, slots=True)
class Answered:
    """What a request is answered with. `replayed`: it is the stored answer of the same request."""

    status: int
    body: bytes
    outcomes: tuple[Outcome, ...] = ()
    replayed: bool = False


Render = Callable[[Sequence[Outcome]], tuple[int, bytes]]


@dataclass(slots=True, eq=False)
class Job:
    """One request on its way through the write path; a large one spans several turns."""

    changes: Sequence[Change]
    origin: Origin
    render: Render
    future: asyncio.Future[Answered]
    since_s: float
    outcomes: list[Outcome] = field(default_factory=list)
    taken: int = 0
    newcomers: Sequence[Newcomers] = ()
    absent_at: int = -1

    @property
    def waiting(self) -> int:
        """Changes that no turn has taken yet."""
        return len(self.changes) - self.taken

    @property
    def is_preview(self) -> bool:
        """A preview is carried out in a transaction of its own that is rolled back."""
        return any(getattr(change, "preview", False) for change in self.changes)

    @property
    def alone(self) -> bool:
        """What was resolved ahead, a preview, an erasure, and a change of the policy that turns go by is by itself."""
        activates = isinstance(next(iter(self.changes), None), ActivatePolicy | CutOver)
        return bool(self.newcomers) or self.is_preview or self.erases or activates

    @property
    def erases(self) -> bool:
        """Whether a person is to be erased: nothing else of the same turn may name them."""
        return any(isinstance(change, Revoke) and change.erases for change in self.changes)

    @property
    def is_whole(self) -> bool:
        """What is withdrawn at once, and fits in one turn, counts at once: it is not spread over turns."""
        return self.priority is Priority.REVOCATION and len(self.changes) <= WHOLE_MAX

    @property
    def priority(self) -> Priority:
        """Where it waits."""
        if self.newcomers:
            return Priority.BACKGROUND
        first = self.changes[0] if self.changes else None
        if isinstance(first, Revoke | RecordConsent):
            return Priority.REVOCATION
        if isinstance(first, Decide):
            return Priority.DECISION
        if isinstance(first, ExpireDue):  # a reader that met a due time waits for it; the sweep has time
            return Priority.DECISION if first.keys else Priority.BACKGROUND
        return Priority.BACKGROUND if isinstance(first, ResolveAnew | LookAgain) else Priority.ORDINARY


@dataclass(frozen=True, slots=True)
class Slice:
    """A job's share of one turn."""

    job: Job
    changes: tuple[Change, ...]
    ends_job: bool


class JobQueue:
    """Waiting jobs, bounded by the number of their changes."""

    def __init__(self, changes_max: int) -> None:
        self._changes_max = changes_max
        self._waiting: tuple[deque[Job], ...] = tuple(deque() for _ in Priority)
        self.changes = 0

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._waiting)

    def lengths(self) -> dict[str, int]:
        """Lane → changes that wait in it."""
        return {
            priority.name.lower(): sum(job.waiting for job in queue)
            for priority, queue in zip(Priority, self._waiting, strict=True)
        }

    def oldest_s(self) -> float | None:
        """When the longest waiting job came, on the monotonic clock."""
        return min((queue[0].since_s for queue in self._waiting if queue), default=None)

    def put(self, job: Job) -> None:
        """Let a job wait. Raises Busy when the queue is full."""
        if self.changes + job.waiting > self._changes_max and self.changes:
            raise Busy()
        self._waiting[job.priority].append(job)
        self.changes += job.waiting

    def abandon(self, job: Job) -> None:
        """Forget what still waits of a job that has its answer."""
        self.changes -= job.waiting
        job.taken = len(job.changes)

    def take(self, budget: int) -> list[Slice]:
        """Up to `budget` changes for the next turn, from the most urgent jobs; some alone."""
        slices: list[Slice] = []
        for queue in self._waiting:
            while queue and budget > 0:
                job = queue[0]
                if slices and (job.alone or (job.is_whole and budget < job.waiting)):
                    return slices
                share = tuple(job.changes[job.taken : job.taken + budget])
                job.taken += len(share)
                self.changes -= len(share)
                ends = not job.waiting
                if share or not job.changes:
                    slices.append(Slice(job, share, ends))
                budget -= max(1, len(share))
                if not ends:
                    return slices  # the rest of it stays at the front for the next turn
                queue.popleft()
                if job.alone:
                    return slices
        return slices

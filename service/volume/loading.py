"""An import: rows from a file through the write path, window by window.

While the graph writes one part, a process beside this one reads and resolves the next. Neighbourhoods of identifiers
that the graph does not know are resolved ahead and written whole (`service.commands.newcomers`); all other changes take
the way that every change takes. Either way it is one order, one feed, one audit, and the cache drops are waited for.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

import orjson

from service.clock import monotonic_s
from service.commands.carry_out import Outcome
from service.commands.newcomers import Newcomers
from service.commands.queue import Answered
from service.commands.write_path import WritePath
from service.errors import FabricError, Internal, NotNow
from service.model.changes import LinkReceipt, Origin
from service.model.identifiers import IdentifierKey
from service.volume.checkpoint import Checkpoint
from service.volume.items import Numbered, Refusal
from service.volume.progress import Shown
from service.volume.worker import Read, Task, ask, begin, end

WINDOW_ROWS: Final = 40_000
BATCH_LINKS: Final = 500
_SLICE_ROWS: Final = 1_000
_FIRST_SHARE: Final = 5
_AHEAD: Final = 4
_PARTS_MAX: Final = 12
_TURN_MS_ALONE: Final = 400
_TURN_MS_SHARED: Final = 60
_SHARED_FOR_S: Final = 10.0
_CHANGES_MAX: Final = 1_000
_TRY_FOR_S: Final = 60.0
ACTOR: Final = "service:import"

Known = Callable[[Sequence[IdentifierKey]], Awaitable[tuple[set[IdentifierKey], int]]]


class Asks(Protocol):
    """Asks the worker; answers of one worker come in the order of the questions."""

    def __call__(self, question: str, *arguments: Any) -> asyncio.Future[Any]:
        """The answer."""


@asynccontextmanager
async def asked(task: Task) -> AsyncIterator[Asks]:
    """A worker for the time of an import."""
    loop = asyncio.get_running_loop()
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, mp_context=context, initializer=begin, initargs=(task,))
    try:
        yield lambda question, *arguments: loop.run_in_executor(pool, partial(ask, question, *arguments))
        await loop.run_in_executor(pool, end)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(slots=True)
class Loaded:
    """What came of an import. `first`: rows that were through before. `statuses`: links by what became of them.
    `refused`: rows that were not taken. `ahead`: links that were resolved ahead of their turn.
    """

    first: int = 0
    rows: int = 0
    refused: int = 0
    seconds: float = 0.0
    ahead: int = 0
    statuses: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Pace:
    """How many parts resolved ahead go into one turn: many while nobody else writes, few while others wait."""

    parts: float = 1.0
    last_seq: int | None = None
    shared_until_s: float = 0.0

    def note(self, before: int, after: int, parts: int, seconds: float) -> None:
        """A turn went from sequence number `before` to `after`."""
        if self.last_seq is not None and before != self.last_seq:
            self.shared_until_s = monotonic_s() + _SHARED_FOR_S
        self.last_seq = after
        target_s = (_TURN_MS_SHARED if monotonic_s() < self.shared_until_s else _TURN_MS_ALONE) / 1000
        if seconds > target_s * 1.2:
            self.parts = max(1.0, min(self.parts, parts) * 0.7)
        elif parts >= int(self.parts) and seconds < target_s * 0.8:
            self.parts = min(_PARTS_MAX, self.parts + 1)


class Loading:
    """One import on its way."""

    def __init__(
        self, write_path: WritePath, known: Known, asks: Asks, checkpoint: Checkpoint, shown: Shown, *, links: bool
    ) -> None:
        self._write_path = write_path
        self._known = known
        self._asks = asks
        self._checkpoint = checkpoint
        self._shown = shown
        self._links = links
        self._origin = Origin(ACTOR, "import")
        self._pace = _Pace()
        self._absent_at = -1
        self.loaded = Loaded(first=checkpoint.rows)

    async def run(self, window_rows: int) -> Loaded:
        """All rows from the checkpoint on. Raises FabricError where the stores stay away; what is through stays."""
        began = monotonic_s()
        number = 0
        first = max(1, window_rows // _FIRST_SHARE)  # the graph waits for it
        current = await self._read_window(_Gathering(self._asks, number, first))
        while current.rows or not current.ended:
            gathering = _Gathering(self._asks, number + 1, window_rows, ended=current.ended)
            await self._through(number, current, gathering)
            self._checkpoint.keep(current.rows)
            await self._asks("forget", number)
            number += 1
            current = await self._read_window(gathering)
        self._checkpoint.refuse((), current.broken)
        self.loaded.rows = self._checkpoint.rows
        self.loaded.refused = self._checkpoint.refused
        self.loaded.seconds = monotonic_s() - began
        return self.loaded

    @staticmethod
    async def _read_window(gathering: _Gathering) -> Read:
        """The rest of a window, after what was read of it beside the one before."""
        while not gathering.full:
            gathering.more()
            await gathering.last
        return gathering.read

    # ---- one window

    async def _through(self, number: int, read: Read, gathering: _Gathering) -> None:
        self._checkpoint.refuse(read.refused, read.broken)
        if self._links:
            known, self._absent_at = await self._known(list(read.keys))
            count, others = await self._asks("part", number, known)
            await self._write_ahead(number, count, gathering)
        else:
            others = await self._asks("changes", number)
        await self._write_others(others, gathering)
        self._shown.advance(len(read.refused), self._checkpoint.refused)

    async def _write_ahead(self, number: int, count: int, gathering: _Gathering) -> None:
        """Batches resolved by the worker, in turns; two turns are under way at a time, so that neither side waits."""
        resolving: deque[tuple[int, asyncio.Future[Newcomers]]] = deque()
        writing: deque[asyncio.Task[None]] = deque()
        following = iter(range(count))
        done = False
        while resolving or not done:
            while not done and len(resolving) < _AHEAD + int(self._pace.parts):
                index = next(following, None)
                if index is None:
                    done = True
                    break
                resolving.append((index, self._asks("resolve", number, index)))
                gathering.more()
            parts: list[tuple[int, Newcomers]] = []
            while resolving and len(parts) < int(self._pace.parts):
                index, found = resolving.popleft()
                parts.append((index, await found))
            if parts:
                writing.append(asyncio.create_task(self._write_parts(number, parts)))
            while len(writing) > 1:
                await writing.popleft()
        for task in writing:
            await task

    async def _write_parts(self, number: int, parts: list[tuple[int, Newcomers]]) -> None:
        began = monotonic_s()
        try:
            made = [part for _, part in parts]
            answered = await self._write_path.submit_newcomers(made, self._origin, self._absent_at)
        except (NotNow, Internal):
            answered = Answered(409, b"")  # the ordinary way finds out what is there
        if answered.status != 200:
            for index, _ in parts:
                await self._write_others(await self._asks("batch", number, index), None)
            return
        before, after = orjson.loads(answered.body)
        self._pace.note(before, after, len(parts), monotonic_s() - began)
        for _, part in parts:
            self.loaded.statuses.update(part.statuses)
            self.loaded.ahead += part.links
        self._shown.advance(sum(part.links for _, part in parts), self._checkpoint.refused)

    async def _write_others(self, changes: Sequence[Numbered], gathering: _Gathering | None) -> None:
        """Changes by the way that every change takes; two requests are under way at a time."""
        writing: deque[asyncio.Task[None]] = deque()
        for start in range(0, len(changes), _CHANGES_MAX):
            if gathering is not None:
                gathering.more()
            writing.append(asyncio.create_task(self._write(changes[start : start + _CHANGES_MAX])))
            if len(writing) > 1:
                await writing.popleft()
        for task in writing:
            await task

    async def _write(self, changes: Sequence[Numbered]) -> None:
        until = monotonic_s() + _TRY_FOR_S
        pause = 0.2
        while True:
            try:
                answered = await self._write_path.submit([one.change for one in changes], self._origin, _render)
                break
            except NotNow:
                if monotonic_s() > until:
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, 5.0)
        self._pace.last_seq = None
        refused = []
        for one, outcome in zip(changes, answered.outcomes, strict=True):
            if isinstance(outcome, FabricError):
                refused.append(Refusal(one.row, outcome.pointed))
            else:
                self.loaded.statuses[outcome.status if isinstance(outcome, LinkReceipt) else "recorded"] += 1
        self._checkpoint.refuse(refused)
        self._shown.advance(len(changes), self._checkpoint.refused)


class _Gathering:
    """The next window, read in slices between what else the worker is asked."""

    def __init__(self, asks: Asks, number: int, rows: int, *, ended: bool = False) -> None:
        self._asks = asks
        self._number = number
        self._rows = rows
        self._asked = 0
        self.read = Read(0, set(), [], ended)
        self.last: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.last.set_result(None)

    @property
    def full(self) -> bool:
        """Whether it is whole, and all of it is here."""
        return (self.read.ended or self.read.rows >= self._rows) and self.last.done()

    def more(self) -> None:
        """Have the worker read another slice."""
        rows = min(_SLICE_ROWS, self._rows - self._asked)
        if not self.read.ended and rows > 0:
            self._asked += rows
            self.last = asyncio.ensure_future(self._take(self._asks("read", self._number, rows)))

    async def _take(self, reading: asyncio.Future[Read]) -> None:
        got, have = await reading, self.read
        have.keys.update(got.keys)
        have.refused.extend(got.refused)
        self.read = Read(
            have.rows + got.rows, have.keys, have.refused, have.ended or got.ended, have.broken + got.broken
        )


def _render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
    """Nobody reads the body: the outcomes are looked at."""
    return 200, b""

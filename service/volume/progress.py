"""How far an import is: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from service.clock import monotonic_s

_LINE_EVERY_S: Final = 5.0


def told(seconds: float) -> str:
    """A time left, as one says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"


class Shown:
    """Rows done of about `total`, beginning at `first`. Use as a context."""

    def __init__(
        self,
        name: str,
        total: int,
        first: int,
        say: Callable[[str], None],
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        self._name = name
        self._total = max(total, first, 1)
        self._first = self._done = first
        self._say = say
        self._clock = clock
        self._began = self._said = clock()
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        console = Console(stderr=True)
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=console,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._name, total=self._total, completed=self._first, rate="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def rate(self) -> float:
        """Rows a second since the beginning."""
        return (self._done - self._first) / max(self._clock() - self._began, 1e-6)

    def advance(self, rows: int, refused: int) -> None:
        """So many more rows are through; `refused` in all."""
        self._done += rows
        trouble = f", {refused:,} refused" if refused else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, rate=f"{self.rate:,.0f} rows/s{trouble}")
        elif self._clock() - self._said >= _LINE_EVERY_S:
            self._said = self._clock()
            left = told(max(0, self._total - self._done) / max(self.rate, 1e-6))
            self._say(f"{self._done:,} of about {self._total:,} rows, {self.rate:,.0f} rows/s, {left} left{trouble}")

"""A process beside the import: reads, normalises and resolves ahead while the graph writes.

One process, told what to do next by its parent; it holds the window of rows that the parent is at, and the next one. It
reads no graph: which identifiers are known it is told.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any

from service.clock import now_ms
from service.commands.newcomers import Newcomers, RowsOf, resolve_newcomers
from service.commands.terms import Terms
from service.control.link_ids import link_ids_under
from service.control.policy_document import compile_policy
from service.model.changes import ObserveLink
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy
from service.resolution.profile_ids import Births, births_under
from service.volume.columns import Columns
from service.volume.items import ConsentRows, ItemReader, LinkRows, Numbered, ReadItem, ReadJson, Refusal
from service.volume.neighbourhoods import batches, parted
from service.volume.rows import Broken, Rows


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is started with. `opened_at`: ms, the head's time when the import began."""

    path: Path
    columns: Columns
    skip: int
    opened_at: int
    document: dict[str, object]
    policy_version: int
    secret: bytes = field(repr=False)
    actor: str
    batch: int
    rows_of: RowsOf
    read_item: ReadItem
    read_json: ReadJson


@dataclass(frozen=True, slots=True)
class Read:
    """What one reading brought. `keys`: the identifiers it names. `ended`: the file has no more."""

    rows: int
    keys: set[IdentifierKey]
    refused: list[Refusal]
    ended: bool
    broken: list[Broken] = field(default_factory=list)


@dataclass(slots=True)
class _Window:
    changes: list[Numbered] = field(default_factory=list)
    batches: list[list[Numbered]] = field(default_factory=list)


class Worker:
    """Reads a file window by window. See the functions below for what the parent asks."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._policy: Policy = compile_policy(task.document, task.policy_version)
        self._births: Births = births_under(task.secret)
        terms = Terms(lambda: self._policy, link_ids_under(task.secret), now_ms)
        self._rows = Rows(task.path, task.columns)
        kind = LinkRows if task.columns.kind == "links" else ConsentRows
        read_json = task.read_json if self._rows.format == "ndjson" else None
        reading = kind(task.columns, terms, task.read_item, task.opened_at)
        self._items = ItemReader(reading, self._rows.fields, read_json)
        gathered = task.columns.kind == "links"
        self._next: Iterator[tuple[int, Any]] = self._rows.read(task.skip, gathered=gathered)
        self._windows: dict[int, _Window] = {}

    def count(self) -> int:
        """How many rows the file has, about."""
        return self._rows.count()

    def read(self, number: int, rows_max: int) -> Read:
        """Read up to so many rows into window `number`."""
        window = self._windows.setdefault(number, _Window())
        keys: set[IdentifierKey] = set()
        refused: list[Refusal] = []
        rows = 0
        for number_of_row, row in self._next:
            rows += 1
            change = self._items.read(row)
            if isinstance(change, tuple):
                refused.append(Refusal(number_of_row, change))
            elif change is not None:
                window.changes.append(Numbered(number_of_row, change))
                if isinstance(change, ObserveLink):
                    keys.update((change.a, change.b))
            if rows == rows_max:
                return Read(rows, keys, refused, False)
        return Read(rows, keys, refused, True, self._rows.broken())

    def part(self, number: int, known: set[IdentifierKey]) -> tuple[int, list[Numbered]]:
        """How many batches of neighbourhoods there are that touch nothing known, and all other changes."""
        window = self._windows[number]
        new, others = parted(window.changes, known)
        window.batches = batches(new, self._task.batch)
        window.changes = []
        gc.collect()
        return len(window.batches), others

    def changes(self, number: int) -> list[Numbered]:
        """All changes of a window, in their order."""
        return self._windows.pop(number).changes

    def resolve(self, number: int, index: int) -> Newcomers:
        """One batch, resolved ahead."""
        task = self._task
        links = [change for _, change in self._windows[number].batches[index] if isinstance(change, ObserveLink)]
        return resolve_newcomers(links, self._policy, self._births, task.opened_at, task.actor, task.rows_of)

    def batch(self, number: int, index: int) -> list[Numbered]:
        """The changes of one batch."""
        return self._windows[number].batches[index]

    def close(self) -> None:
        """No more is asked."""
        self._next = iter(())
        self._rows.close()

    def forget(self, number: int) -> None:
        """This window is through."""
        self._windows.pop(number, None)


_worker: list[Worker] = []


def begin(task: Task) -> None:
    """What the process starts with."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process when it ends
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    gc.disable()  # everything here is made by the million and kept for a window
    _worker[:] = [Worker(task)]


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def end() -> None:
    """Give back what DuckDB holds."""
    for worker in _worker:
        worker.close()
    _worker.clear()
    gc.collect()


def ask(question: str, *arguments: Any) -> Any:
    """One of the worker's methods, by name."""
    return getattr(_worker[0], question)(*arguments)

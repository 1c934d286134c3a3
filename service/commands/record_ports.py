"""What commands need of the record of events. The docstrings are the contract; `service.record` keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

RecordedRow = Mapping[str, Any]
"""An event by column name, see `service.record.layout`; times in ms. Read back: the counted columns, type, source, id,
digest and body.
"""


class AnotherWriter(Exception):
    """Somebody else wrote to the record since it was read; nothing was written."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which events: sequence numbers above `after` up to `upto`; occurred from `since` until before `until` (ms);
    types and schema versions, empty for all.
    """

    after: int
    upto: int
    since: int | None = None
    until: int | None = None
    types: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


class Held(NamedTuple):
    """What the record holds: events, files, and their size in bytes."""

    events: int
    files: int
    bytes: int


class Record(Protocol):
    """The record. Calls block. All raise StoreUnavailable; those that write also AnotherWriter."""

    def last(self) -> int:
        """The sequence number up to which events are here; 0 for none."""

    def append(self, rows: Sequence[RecordedRow]) -> None:
        """Add events with sequence numbers above `last`, in order, all or none."""

    def remove(self, seqs: Sequence[int]) -> int:
        """Take events out of the newest version; returns how many were there."""

    def expire(self, retention: Sequence[str], before: int, *, all_others: bool = False) -> int:
        """Take out what occurred before a time (ms) and is kept under these terms, or under any but these."""

    def purge(self) -> None:
        """Delete every file that the newest version does not name."""

    def tidy(self) -> None:
        """Write small files together, and delete those that no version of the last day names."""

    def rows(self, span: Span, limit: int) -> list[RecordedRow]:
        """Events by sequence number, at most so many."""

    def seqs_naming(self, is_one: Callable[[str], bool], below: int) -> list[int]:
        """Sequence numbers below one, of events that name an identifier for which `is_one` holds."""

    def held(self) -> Held:
        """What the newest version holds."""

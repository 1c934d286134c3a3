"""What commands need of the record of events. The docstrings are the contract; `service.record` keeps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from service.model.events import CanonicalEvent


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

    def append(self, events: Sequence[CanonicalEvent]) -> int:
        """Add events, ordered by sequence number, all or none; what is here already is passed over. Returns how many
        were added.
        """

    def remove(self, seqs: Sequence[int]) -> int:
        """Take events out of the newest version; returns how many were there."""

    def expire(self, retention: Sequence[str], before: int, *, all_others: bool = False) -> int:
        """Take out what occurred before a time (ms) and is kept under these terms, or under any but these."""

    def purge(self) -> None:
        """Delete every file that the newest version does not name."""

    def tidy(self) -> None:
        """Write small files together, and delete those that no version of the last day names."""

    def rows(self, span: Span, limit: int) -> list[CanonicalEvent]:
        """Events by sequence number, at most so many."""

    def count(self, span: Span) -> int:
        """How many events there are."""

    def seqs_naming(self, is_one: Callable[[str], bool], below: int) -> list[int]:
        """Sequence numbers below one, of events that name an identifier for which `is_one` holds."""

    def held(self) -> Held:
        """What the newest version holds."""

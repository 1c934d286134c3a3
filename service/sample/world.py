"""The sample world: invented people over two years, made anew from a seed. No I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass

from service.model.changes import ObserveLink
from service.sample.cast import NUMBERS, tell_cast
from service.sample.crowd import Crowd
from service.sample.diary import Diary, Entry
from service.sample.draws import Draws

CROWD = 290
VISITORS = 50


@dataclass(frozen=True, slots=True)
class World:
    """`entries` in the order of their times. Links have no id yet: it is keyed, so whoever loads them gives it."""

    people: int
    entries: tuple[Entry, ...]

    @property
    def links(self) -> int:
        """How many observations of links there are."""
        return sum(isinstance(entry.told, ObserveLink) for entry in self.entries)


def world(seed: int, now_ms: int) -> World:
    """The world as it is at `now_ms` (ms since the epoch, UTC): the same for the same seed, moved to that time."""
    diary = Diary(now_ms)
    tell_cast(diary)
    Crowd(diary, Draws(seed)).live(CROWD, VISITORS)
    return World(CROWD + len(NUMBERS), tuple(sorted(diary.entries, key=lambda entry: entry.at)))

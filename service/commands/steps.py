"""How a change is carried out: as a generator that asks for what is missing and for the profiles to be settled.

A step yields `Wanted` to have it loaded, or `SETTLE` to have what it changed resolved together with what the other
changes of its segment did; it returns the receipt. It checks before it changes anything: an error raised after a
change would leave half of it behind.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

from service.commands.world import Wanted
from service.model.changes import Grouping, Receipt
from service.model.identifiers import IdentifierKey, ProfileId


class Settle:
    """The request to resolve what has been touched."""


SETTLE = Settle()


class Move(NamedTuple):
    """An identifier goes from one profile to another; None: it is in none (yet, or any more)."""

    key: IdentifierKey
    source: ProfileId | None
    target: ProfileId | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What resolving changed. `before` and `after` hold the profiles of the region, unchanged ones too."""

    at: int
    before: dict[ProfileId, frozenset[IdentifierKey]]
    after: dict[ProfileId, frozenset[IdentifierKey]]
    moves: tuple[Move, ...]
    touched: frozenset[IdentifierKey]


Step = Generator[Wanted | Settle, Settlement | None, Receipt]
Loading = Generator[Wanted, None, None]


def groupings(profiles: dict[ProfileId, frozenset[IdentifierKey]]) -> tuple[Grouping, ...]:
    """Profiles as a steward is shown them, in a stable order."""
    return tuple(Grouping(pid, tuple(sorted(members))) for pid, members in sorted(profiles.items()) if members)

"""Versions of the policy, the one in force, and how far profiles follow it. All frozen; times in ms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

PolicyStatus = Literal["draft", "active", "former"]
FORMER_MAX = 100


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One version of the document. It never changes; `activated_at`: when it last came into force (None: never)."""

    version: int
    status: PolicyStatus
    document: str
    created_at: int
    activated_at: int | None = None


class InForce(NamedTuple):
    """A version and the sequence number of the turn that put it in force; 0 for the first of a graph."""

    version: int
    since: int


NONE_YET = InForce(0, 0)


@dataclass(frozen=True, slots=True)
class Pass:
    """How far the profiles have been resolved anew since the identity section changed.

    `stages`: what is gone through, in order: `links` and `records` (all of them), then each namespace whose identifiers
    are looked at again, as `crm_id:`. `stage` and `after`: where to go on. `done` and `total` count links and
    identifiers.
    """

    stages: tuple[str, ...] = ()
    stage: int = 0
    after: str = ""
    done: int = 0
    total: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to look at."""
        return self.stage >= len(self.stages)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the head of the graph says of policies, as read under its lock.

    `last`: the highest version ever drafted. `former`: versions that were in force before, the latest last; a roll-back
    takes it from there.
    """

    in_force: InForce = NONE_YET
    last: int = 0
    former: tuple[int, ...] = ()
    running: Pass = Pass()

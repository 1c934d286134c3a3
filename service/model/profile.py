"""A resolved profile as it is kept: all that any lookup or decision about it needs, in one piece.

It is derived, never edited: the write path makes it anew from the evidence and stores it as one value, so that no
reader can see half of a change.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.traits import Trait


@dataclass(frozen=True, slots=True)
class Member:
    """An identifier of the profile. Times in ms; `consents` newest knowledge per purpose and regulation."""

    key: IdentifierKey
    first_seen: int
    last_seen: int
    sources: tuple[str, ...]
    consents: tuple[ConsentRecord, ...] = ()
    traits: tuple[Trait, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """Members in seniority order; `edges` are the accepted pairs as (index, index, best confidence).

    `stamp`: sequence number of the change that made it. `due`: the first time (ms) at which a link expires that it or a
    neighbouring profile rests on. `audiences`: those it was last found to be in. `policy_version`: what it was resolved
    under.
    """

    profile_id: ProfileId
    members: tuple[Member, ...]
    edges: tuple[tuple[int, int, float], ...] = ()
    households: tuple[IdentifierKey, ...] = ()
    resolved_at: int = 0
    stamp: int = 0
    due: int | None = None
    policy_version: int = 0
    audiences: tuple[str, ...] = ()

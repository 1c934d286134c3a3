"""Who owns a person at a destination while it is cut over: the new path or the old stack. Pure.

Each person stands at a place on a scale from 0 to 1, and the new path owns those below the share. So raising the share
adds people, and lowering it gives back those added last. A place is kept with every identifier that the person had
when it was given, so it outlives merges and splits; where several meet, the one given first counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from service.model.delivery import Assignment, DeliveryRule, Owner
from service.model.identifiers import IdentifierKey
from service.model.profile import Profile

Pseudonym = Callable[[str], str]
_BITS = 64


def place_at(destination: str, key: str, pseudonym: Pseudonym) -> str:
    """What the assignment of an identifier is kept under; it does not show the identifier."""
    return f"{destination}|{pseudonym(key)}"


def rank_of(destination: str, key: str, pseudonym: Pseudonym) -> float:
    """Where somebody stands who was never assigned, from 0 up to 1; evenly spread."""
    digest = pseudonym(f"rank\0{destination}\0{key}").removeprefix("sub_")
    return int(digest[: _BITS // 4], 16) / (1 << _BITS)


def assign(
    destination: str,
    rule: DeliveryRule,
    asked: IdentifierKey,
    profile: Profile | None,
    known: Mapping[str, Assignment],
    pseudonym: Pseudonym,
    now: int,
) -> tuple[Owner, Sequence[Assignment]]:
    """The owner, and the assignments that are to be kept so that it stays so."""
    if rule.mode != "live" or rule.share <= 0:
        return "legacy", ()
    if rule.share >= 1:
        return "new", ()
    if profile is None:
        return ("new" if rank_of(destination, asked, pseudonym) < rule.share else "legacy"), ()
    places = [place_at(destination, member.key, pseudonym) for member in profile.members]
    given = [known[place] for place in places if place in known]
    if given:
        first = min(given, key=lambda one: (one.at, one.rank))
    else:
        first = Assignment(places[0], rank_of(destination, profile.members[0].key, pseudonym), now)
    more = [Assignment(p, first.rank, first.at) for p in places if known.get(p) != Assignment(p, first.rank, first.at)]
    return ("new" if first.rank < rule.share else "legacy"), more

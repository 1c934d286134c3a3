"""Which of several reports of a trait counts, and who is in an audience. Pure; no arrival order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import orjson

from service.control.conditions import moment
from service.control.effective_consent import usable
from service.model.policy import Policy
from service.model.profile import Profile
from service.model.times import rfc3339
from service.model.traits import Trait, TraitValue


def _weight(trait: Trait) -> tuple[int, bytes]:
    return (trait.at, orjson.dumps(trait.value))


def with_traits(known: Sequence[Trait], seen: Iterable[Trait]) -> tuple[Trait, ...]:
    """The reports with more: of one name and source the newest counts. `known` itself where nothing changes."""
    best = {(trait.name, trait.source): trait for trait in known}
    for trait in seen:
        place = (trait.name, trait.source)
        if place not in best or _weight(trait) > _weight(best[place]):
            best[place] = trait
    found = tuple(best[place] for place in sorted(best))
    return tuple(known) if found == tuple(known) else found


def traits_of(profile: Profile, members: Collection[int], policy: Policy) -> dict[str, Trait]:
    """Name → the report that counts among some members: of the source that is believed first, and then the newest."""
    best: dict[str, tuple[tuple[object, ...], Trait]] = {}
    for index in sorted(members):
        for trait in profile.members[index].traits:
            at, value = _weight(trait)
            rank = (-policy.priority_of_source(trait.source), at, value, trait.source)
            known = best.get(trait.name)
            if known is None or rank > known[0]:
                best[trait.name] = (rank, trait)
    return {name: trait for name, (_, trait) in sorted(best.items()) if trait.value is not None}


def traits_json(found: dict[str, Trait]) -> dict[str, object]:
    """Traits as they are shown."""
    return {t.name: {"value": t.value, "source": t.source, "at": rfc3339(t.at)} for t in found.values()}


def audiences_of(profile: Profile, policy: Policy, now: int, names: Collection[str] | None = None) -> tuple[str, ...]:
    """The audiences that the profile is in at `now` (ms), of `names` or of all.

    Only where consent permits the audience's purpose: for the profile, or where each identifier speaks for itself, for
    some of them, whose traits alone are looked at.
    """
    found = []
    for name in sorted(policy.audiences if names is None else names):
        audience = policy.audiences.get(name)
        if audience is None:
            continue
        members = usable(profile, audience.purpose, policy, now)
        if not members:
            continue
        values: dict[str, TraitValue] = {t.name: t.value for t in traits_of(profile, members, policy).values()}
        if audience.holds({"traits": values, "now": moment(now)}):
            found.append(name)
    return tuple(found)

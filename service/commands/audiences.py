"""Traits are evidence, and which audiences a profile is in follows from them, its consents and the time.

Membership is worked out whenever a turn notes how a profile looks, and again as time goes by (`refreshing`). Who reads
members works it out once more: a withdrawal counts at once, whatever is noted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from service.commands.announce import Event
from service.commands.steps import SETTLE, Step
from service.commands.world import Wanted, World
from service.control.traits import audiences_of, with_traits
from service.errors import Erased, Invalid
from service.model.changes import LookAgain, ObserveTraits, SweepReceipt, TraitsReceipt
from service.model.identifiers import ProfileId
from service.model.traits import Trait

TRAITS_MAX = 200
"""Of one identifier, over all sources."""


def wanted_by_traits(change: ObserveTraits) -> Wanted:
    """The identifier with its profile."""
    return Wanted(identifiers={change.identifier}, around=True)


def observe_traits(world: World, change: ObserveTraits) -> Step:
    """Note what a source reports; the newest of each source counts, in any order of arrival. Raises Invalid, Erased."""
    at = change.observed_at if change.observed_at is not None else world.now
    state = world.state(change.identifier)
    if state.refuses(at):
        raise Erased("This evidence is about a person who has been erased.")
    traits = with_traits(state.traits, (Trait(name, change.source, value, at) for name, value in change.traits))
    if len(traits) > TRAITS_MAX:
        raise Invalid.at("/traits", f"would be more than {TRAITS_MAX} of one identifier")
    first = at if state.first_seen is None else min(state.first_seen, at)
    last = at if state.last_seen is None else max(state.last_seen, at)
    sources = tuple(sorted({*state.sources, change.source}))
    accepted = (traits, first, last, sources) != (state.traits, state.first_seen, state.last_seen, state.sources)
    if accepted:
        state = state._replace(traits=traits, first_seen=first, last_seen=last, sources=sources)
        world.change(state)
        world.touched.add(change.identifier)
        world.restructured.add(change.identifier)  # what is known of it is part of how the profile looked
    yield SETTLE
    return TraitsReceipt(accepted, world.state(change.identifier).profile)


def wanted_by_looking(change: LookAgain) -> Wanted:
    """The identifiers with their profiles."""
    return Wanted(identifiers=set(change.keys), around=True)


def look_again(world: World, change: LookAgain) -> Step:
    """Note anew how the profiles of some identifiers look now."""
    profiles = {profile for key in change.keys if (profile := world.state(key).profile) is not None}
    world.unversioned |= profiles
    yield SETTLE
    return SweepReceipt(len(profiles))


def regrouped(world: World, noted: Iterable[ProfileId]) -> list[Event]:
    """Work out which audiences the profiles just noted are in; what the feed is told of it."""
    events: list[Event] = []
    for profile_id in noted:
        version = world.versions[profile_id][-1]
        profile = version.profile
        now = () if profile is None else audiences_of(profile, world.policy, world.now)
        if profile is not None and now != profile.audiences:
            world.versions[profile_id][-1] = replace(version, profile=replace(profile, audiences=now))
        was = set(world.audiences.get(profile_id, ()))
        world.audiences[profile_id] = now
        for kind, names in (("audience.left", was - set(now)), ("audience.entered", set(now) - was)):
            events += [{"type": kind, "profile_id": profile_id, "audience": name} for name in sorted(names)]
    return events

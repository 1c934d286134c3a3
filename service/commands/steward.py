"""A steward's word: merge, split, undo. Each is an assertion; the profiles follow from it like from any evidence."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace

from service.commands.inherit import disinherit_across
from service.commands.settle import partition
from service.commands.steps import SETTLE, Settlement, Step, groupings
from service.commands.world import Wanted, World
from service.errors import AssertedDifferent, Invalid, ProfileTooLarge, UnknownAssertion, UnknownProfile
from service.model.changes import Merge, Split, StewardReceipt, Undo
from service.model.evidence import Assertion, Hand
from service.model.identifiers import AssertionId, IdentifierKey, ProfileId
from service.resolution.profile_ids import held_by, in_force, senior_of

Load = Generator[Wanted, None, ProfileId]


def wanted_by_merge(change: Merge) -> Wanted:
    """The profiles named, and where their ids lead."""
    return Wanted(ids=set(change.profiles))


def wanted_by_split(change: Split) -> Wanted:
    """The profile named, and where its id leads."""
    return Wanted(ids={change.profile}, identifiers=set(change.identifiers))


def wanted_by_undo(change: Undo) -> Wanted:
    """The assertion."""
    return Wanted(assertions={change.assertion_id})


def _today(world: World, profile_id: ProfileId) -> Load:
    """The profile that an id ever handed out leads to now, loaded. Raises UnknownProfile."""
    holder = world.holder(profile_id)
    if holder is None:
        raise UnknownProfile()
    yield Wanted(identifiers={holder})
    current = world.state(holder).profile
    if current is None:
        raise UnknownProfile()
    yield Wanted(profiles={current})
    return current


def _senior(world: World, members: Iterable[IdentifierKey]) -> IdentifierKey:
    members = list(members)
    return senior_of(members, {key: world.state(key).first_seen or 0 for key in members}, world.policy)


def set_hand(world: World, hand: Hand, *, in_force_now: bool) -> Generator[Wanted, None, None]:
    """Put a hand in force or take it back, and work out anew which ids its holders, before and after, hold."""
    profile_id = hand.profile_id
    yield Wanted(ids={profile_id}, identifiers={hand.to})
    was = world.holder(profile_id)
    rest = tuple(other for other in world.hands[profile_id] if other != hand)
    world.hands[profile_id] = (*rest, hand) if in_force_now else rest
    world.changed_ids.add(profile_id)
    state = world.state(hand.to)
    handed = tuple(i for i in state.handed if i != profile_id)
    if any(other.to == hand.to for other in world.hands[profile_id]):
        handed = (*handed, profile_id)
    world.change(state._replace(handed=handed))
    affected = {key for key in (was, world.holder(profile_id), hand.to) if key is not None}
    yield Wanted(identifiers=affected)
    for key in sorted(affected):
        yield from _rehold(world, key)


def _rehold(world: World, key: IdentifierKey) -> Generator[Wanted, None, None]:
    """Work out anew which id an identifier holds, loading the hands that decide it."""
    yield Wanted(ids=set(world.state(key).handed))
    hands = [hand for profile_id in world.state(key).handed for hand in world.hands[profile_id]]
    base = counter = world.state(key).base
    while True:
        born = world.births(key, counter)
        yield Wanted(ids={born})
        hands += world.hands[born]
        latest = in_force(hands).get(born)
        if latest is None or latest.to == key:
            break
        counter += 1
    held = held_by(key, hands, world.births, base)
    world.change(world.state(key)._replace(holds=None if held == world.births(key, base) else held))
    if world.state(key).first_seen is not None:
        world.touched.add(key)


def _receipt(settled: Settlement, assertion_id: AssertionId | None, *, applied: bool) -> StewardReceipt:
    return StewardReceipt(assertion_id, groupings(settled.before), groupings(settled.after), applied)


def against(world: World, profiles: Iterable[ProfileId]) -> list[AssertionId]:
    """The assertions in force that have members of these profiles on opposite sides."""
    sides = {side for pid in profiles for key in world.members[pid] for side in world.state(key).sides}
    return sorted({assertion for assertion, side in sides if (assertion, 1 - side) in sides})


def refuse_different(world: World, profiles: Iterable[ProfileId]) -> None:
    """Raises AssertedDifferent where members on opposite sides of an assertion in force would come together."""
    if said := against(world, profiles):
        raise AssertedDifferent(said[0])


def refuse_too_large(world: World, profiles: Iterable[ProfileId]) -> frozenset[IdentifierKey]:
    """All members of the profiles. Raises ProfileTooLarge where they are more than one profile may hold."""
    members = frozenset(key for profile_id in profiles for key in world.members[profile_id])
    if len(members) > world.policy.max_profile_size:
        raise ProfileTooLarge(world.policy.max_profile_size)
    return members


def merge(world: World, change: Merge, actor: str, new_id: AssertionId) -> Step:
    """Say that profiles are one person. Raises UnknownProfile, Invalid, AssertedDifferent, ProfileTooLarge."""
    profiles = []
    for profile_id in change.profiles:
        current = yield from _today(world, profile_id)
        profiles.append(current)
    if len(profiles) < 2:
        raise Invalid.at("/profiles", "names fewer than two")
    if len(set(profiles)) < len(profiles):
        raise Invalid.at("/profiles", "names one profile twice")
    survivor = None
    if change.survivor is not None:
        if change.survivor not in change.profiles:
            raise Invalid.at("/survivor", "is not one of the profiles")
        survivor = profiles[change.profiles.index(change.survivor)]
    refuse_different(world, profiles)
    named = refuse_too_large(world, profiles)
    world.seq += 1
    assertion = Assertion(
        new_id,
        "same",
        world.seq,
        world.now,
        seniors=tuple(sorted(_senior(world, world.members[pid]) for pid in profiles)),
        named=named,
        reason=change.reason,
        actor=actor,
    )
    world.set_assertion(assertion)
    if survivor is not None:
        resolution = (yield from partition(world)).resolution
        keeper = _senior(world, world.members[survivor])  # linking may be withdrawn, so that the others don't join it
        result = next(cluster for cluster in resolution.clusters if keeper in cluster)
        hand = Hand(assertion.at, survivor, _senior(world, result))
        world.set_assertion(replace(assertion, hand=hand))
        yield from set_hand(world, hand, in_force_now=True)
    settled = yield SETTLE
    assert settled is not None
    return _receipt(settled, None if change.preview else new_id, applied=not change.preview)


def split(world: World, change: Split, actor: str, new_id: AssertionId) -> Step:
    """Say that identifiers of a profile are somebody else's. Raises UnknownProfile, Invalid."""
    current = yield from _today(world, change.profile)
    members = world.members[current]
    leaving = frozenset(change.identifiers)
    for index, key in enumerate(change.identifiers):
        if key not in members:
            raise Invalid.at(f"/identifiers/{index}", "is not in the profile")
    if not leaving:
        raise Invalid.at("/identifiers", "names none")
    if leaving == members:
        raise Invalid.at("/identifiers", "names all of the profile: nobody would stay")
    staying = members - leaving
    world.seq += 1
    hand = Hand(world.seq, current, _senior(world, staying))
    assertion = Assertion(
        new_id,
        "different",
        world.seq,
        world.now,
        sides=(leaving, staying),
        hand=hand,
        reason=change.reason,
        actor=actor,
    )
    yield from disinherit_across(world, assertion)
    world.set_assertion(assertion)
    yield from set_hand(world, hand, in_force_now=True)
    settled = yield SETTLE
    assert settled is not None
    return _receipt(settled, None if change.preview else new_id, applied=not change.preview)


def undo(world: World, change: Undo) -> Step:
    """Take an assertion back; what remains is what the other evidence says. Raises UnknownAssertion."""
    assertion = world.assertions.get(change.assertion_id)
    if assertion is None:
        raise UnknownAssertion()
    if assertion.undone:
        yield SETTLE
        return StewardReceipt(None if change.preview else assertion.assertion_id, (), (), applied=False)
    yield Wanted(identifiers={*assertion.named, *assertion.sides[0], *assertion.sides[1]})
    world.set_assertion(replace(assertion, undone=True))
    if assertion.hand is not None:
        yield from set_hand(world, assertion.hand, in_force_now=False)
    settled = yield SETTLE
    assert settled is not None
    return _receipt(settled, None if change.preview else assertion.assertion_id, applied=not change.preview)

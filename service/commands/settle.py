"""From touched identifiers to profiles: region, ring, resolve, ids, moves (design, "The region: exact and small").

The region is the profiles whose evidence changed, the ring those one live link away. Both are resolved together; where
a profile of the ring does not come out as it went in it joins the region, and again. So the partition reached is the
global one, at the cost of a few neighbouring profiles.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from service.commands.barring import keep_promises
from service.commands.compose import due_among
from service.commands.inherit import bequeath, companies
from service.commands.matching import matched
from service.commands.steps import Move, Settlement
from service.commands.waiting import beyond, worth_in
from service.commands.world import Wanted, World
from service.model.evidence import Bond, Tier
from service.model.identifiers import IdentifierKey, ProfileId
from service.resolution.activity import falls_due
from service.resolution.profile_ids import senior_of
from service.resolution.resolve import Resolution, resolve

Unit = str  # a profile id, or the key of an identifier that is in no profile yet; only a key has a colon


def _takes_part(world: World, key: IdentifierKey) -> bool:
    return world.state(key).first_seen is not None and not world.is_household(key)


def _unit_of(world: World, key: IdentifierKey) -> Unit:
    return world.state(key).profile or key


def _members(world: World, unit: Unit) -> frozenset[IdentifierKey]:
    return frozenset((IdentifierKey(unit),)) if ":" in unit else world.members[ProfileId(unit)]


def _ids(units: Iterable[Unit]) -> set[ProfileId]:
    return {ProfileId(unit) for unit in units if ":" not in unit}


def _keys(world: World, units: Iterable[Unit]) -> set[IdentifierKey]:
    return {key for unit in units for key in _members(world, unit)}


def _live(world: World, keys: Iterable[IdentifierKey]) -> Iterator[Bond]:
    """The bonds at `keys` that may bridge: rule 1 is applied, so those of identifiers that bridge nothing are out."""
    for key in keys:
        bar = world.bar(key)
        if bar == "link_not_permitted":
            continue
        for bond in world.bonds_of(key):
            other = bond.b if bond.a == key else bond.a
            if not _takes_part(world, other):
                continue
            beyond = world.bar(other)
            if beyond == "link_not_permitted" or (bond.tier is not Tier.STEWARD and (bar or beyond)):
                continue
            yield bond


def _complete(world: World, region: set[Unit]) -> Generator[Wanted, None, None]:
    """Load what following the region's links needs: its members, links of those that bridge again, assertions.

    The links of one that bridges nothing for another reason than before are wanted too, since they say the reason.
    """
    yield Wanted(profiles=_ids(region))
    keys = _keys(world, region)
    yield Wanted(
        links_of={key for key in keys if not world.follows(key) and world.bar(key) != world.stored_bars.get(key)}
    )
    named = {assertion for key in keys for assertion in world.state(key).named}
    if named:
        yield Wanted(assertions=named)
        yield Wanted(identifiers={key for a in named for key in world.assertions[a].seniors})


def _ring(world: World, region: set[Unit]) -> set[Unit]:
    ends = {end for bond in _live(world, _keys(world, region)) for end in (bond.a, bond.b)}
    return {_unit_of(world, end) for end in ends} - region


def _flipped(world: World, keys: set[IdentifierKey]) -> Generator[Wanted, None, bool]:
    """Flip what a turn that is behind has left due here, so that what it records is true; whether there was any."""
    ids = {link_id for key in keys for link_id in world.links_at.get(key, ())}
    due = [world.links[link_id] for link_id in sorted(ids) if falls_due(world.links[link_id], world.now)]
    yield Wanted({end for link in due for end in link.pair}, {link.pair for link in due})
    for link in due:
        world.set_link(world.links[link.link_id])
    return bool(due)


@dataclass(frozen=True, slots=True)
class Partition:
    """The resolution over region and ring, and the units of both as they went in."""

    resolution: Resolution
    region: set[Unit]
    ring: set[Unit]


def partition(world: World) -> Generator[Wanted, None, Partition]:
    """Resolve what has been touched."""
    region = {_unit_of(world, key) for key in world.touched if _takes_part(world, key)}
    while True:
        yield from _complete(world, region)
        ring = _ring(world, region)
        yield from _complete(world, ring)
        keys = _keys(world, region | ring)
        if world.behind and (yield from _flipped(world, keys)):
            region |= {_unit_of(world, key) for key in world.touched if _takes_part(world, key)}
            continue
        bonds = [bond for key in keys for bond in world.bonds_of(key) if key == bond.a]
        across = None
        if world.policy.matching is not None and any(bond.tier is Tier.PROBABILISTIC for bond in bonds):
            yield Wanted(dossiers=keys)
            across = world.dossiers.odds_across
        resolution = resolve({key: world.state(key).standing for key in keys}, bonds, world.policy, across)
        clusters = set(resolution.clusters)
        disturbed = {unit for unit in ring if _members(world, unit) not in clusters}
        if not disturbed:
            return Partition(resolution, region, ring)
        region |= disturbed


def conclude(world: World, found: Partition) -> Settlement:
    """Give every cluster of the region its id, and put the outcome into the world."""
    resolution, region = found.resolution, found.region
    keys = _keys(world, region)
    before = {pid: world.members[pid] for pid in _ids(region)}
    first_seen = {key: world.state(key).first_seen or 0 for key in keys}
    after: dict[ProfileId, frozenset[IdentifierKey]] = {}
    seniors: dict[ProfileId, IdentifierKey] = {}
    moves = []
    for cluster in resolution.clusters:
        if cluster.isdisjoint(keys):
            continue
        senior = senior_of(cluster, first_seen, world.policy)
        profile_id = world.holds(senior)
        after[profile_id], seniors[profile_id] = cluster, senior
        for key in sorted(cluster):
            state = world.state(key)
            if state.profile != profile_id:
                moves.append(Move(key, state.profile, profile_id))
    world.settled(before, after, seniors, moves)
    for key in keys:
        _withhold(world, resolution, key)
    _note_dues(world, after, _ids(found.ring))
    touched = frozenset(world.touched)
    world.touched.clear()
    return Settlement(world.now, before, after, tuple(moves), touched)


def _withhold(world: World, resolution: Resolution, key: IdentifierKey) -> None:
    """Note at the links of one identifier which of them do not bridge, and why."""
    for link_id in world.links_at.get(key, ()):
        link = world.links[link_id]
        refusal = resolution.withheld.get(link.pair) if link.inactive is None else None
        reason = refusal.reason if refusal else None
        if reason is None and link.inactive is None:
            ends = (world.bar(link.a), world.bar(link.b))
            if not (world.is_household(link.a) or world.is_household(link.b)):
                reason = ends[0] or ends[1]
        world.withheld[link_id] = reason
        world.reviews[link_id] = worth_in(world, link, reason)


def _note_dues(world: World, after: Iterable[ProfileId], ring: Iterable[ProfileId]) -> None:
    """Until when the profiles of the region hold: the first due time among their links and those of their neighbours.

    A neighbour that would have to be asked again sooner than it knows is told so; one that need not any more finds out
    when it is asked.
    """
    own = {profile_id: due_among(world, world.members[profile_id]) for profile_id in (*after, *ring)}
    soonest = dict(own)
    for profile_id in after:
        for bond in _live(world, world.members[profile_id]):
            for end in (bond.a, bond.b):
                other = world.state(end).profile
                if other is not None and other != profile_id and other in own:
                    soonest[profile_id] = _sooner(soonest[profile_id], own[other])
                    soonest[other] = _sooner(soonest[other], own[profile_id])
    for profile_id in after:
        world.dues[profile_id] = soonest[profile_id]
    for profile_id in ring:
        if (due := soonest[profile_id]) is not None:
            world.lower(profile_id, due)


def _sooner(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


def settle(world: World) -> Generator[Wanted, None, Settlement]:
    """Resolve what has been touched and put the outcome into the world; links that follow from records come first."""
    yield from matched(world)
    found = yield from partition(world)
    keys = _keys(world, found.region)
    yield from keep_promises(world, keys)
    yield Wanted(profiles=beyond(world, keys))
    former = companies(world, _ids(found.region))
    settled = conclude(world, found)
    bequeath(world, former)
    return settled

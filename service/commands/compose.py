"""From the world to a profile as it is stored: members, accepted edges, households, and until when it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from service.commands.barring import barred, promises_at
from service.commands.world import FOREVER, Version, World
from service.model.identifiers import IdentifierKey, Pair, ProfileId
from service.model.profile import Member, Profile
from service.resolution.profile_ids import seniority


def due_among(world: World, members: Iterable[IdentifierKey]) -> int | None:
    """The first time (ms) at which an active link at one of `members` expires, accepted or withheld, or one of them or
    of their neighbours may begin to bridge. Links of a member that bridges nothing bear on nobody but by their number.
    """
    dues: list[int] = []
    for key in members:
        if barred(world, key):
            dues.append(world.state(key).barred_until or FOREVER)
            continue
        dues += promises_at(world, key)
        grant = world.state(key).linking_until
        dues += [] if grant is None else [grant]
        links = (world.links[link_id] for link_id in world.links_at.get(key, ()))
        dues += [link.due for link in links if link.inactive is None and link.due is not None]
    soonest = min(dues, default=FOREVER)
    return None if soonest == FOREVER else soonest


def compose(world: World, profile_id: ProfileId, dues: Mapping[ProfileId, int | None]) -> Profile:
    """The profile as it is now: members in seniority order, accepted edges with the best confidence of their links."""
    members = world.members[profile_id]
    states = sorted(
        (world.state(key) for key in members), key=lambda s: seniority(s.key, s.first_seen or 0, world.policy)
    )
    index = {state.key: i for i, state in enumerate(states)}
    best: dict[Pair, float] = {}
    households: set[IdentifierKey] = set()
    for key in members:
        for link_id in world.links_at.get(key, ()):
            link = world.links[link_id]
            if link.inactive is not None:
                continue
            other = link.b if link.a == key else link.a
            if other in index:
                if link.a == key and world.withheld.get(link_id) is None:
                    best[link.pair] = max(best.get(link.pair, 0.0), link.confidence)
            elif world.is_household(other) and world.bar(key) is None:
                households.add(other)
        for bond in world.steward_bonds_of(key):
            if bond.a == key and bond.b in index:
                best[bond.pair] = 1.0
    return Profile(
        profile_id,
        tuple(Member(s.key, s.first_seen or 0, s.last_seen or 0, s.sources, s.consents, s.traits) for s in states),
        tuple((index[a], index[b], confidence) for (a, b), confidence in sorted(best.items())),
        tuple(sorted(households)),
        world.now,
        world.seq,
        dues.get(profile_id),
        policy_version=world.policy.version,
    )


def note_versions(world: World) -> list[ProfileId]:
    """Note how the profiles changed since the last call look now; the end of a segment. Returns their ids."""
    noted = sorted(world.unversioned)
    for profile_id in noted:
        members = world.members[profile_id]
        profile = compose(world, profile_id, world.dues) if members else None
        restructured = profile is None or not world.restructured.isdisjoint(members)
        world.versions.setdefault(profile_id, []).append(Version(world.now, profile, restructured))
    world.unversioned.clear()
    world.restructured.clear()
    return noted

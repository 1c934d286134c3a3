"""What a turn writes: the difference between the world as loaded and as it is now. Pure; the graph only carries it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from service.commands.capture import Capture
from service.commands.desk import Deskwork
from service.commands.dispatch import Dispatch
from service.commands.world import Erasure, Version, World
from service.model.cached import POLICY_KEY
from service.model.changes import DecisionReceipt, Remembered, Revocation
from service.model.evidence import Assertion, ConsentRecord, Hand, Link, Reason
from service.model.identifiers import IdentifierKey, LinkId, ProfileId
from service.model.matching_models import KeptModel
from service.model.profile import Profile
from service.model.records import Dossier
from service.model.state import IdentifierState, Tomb


@dataclass(frozen=True, slots=True)
class StoredLink:
    """A link with the outcome that is kept beside it."""

    link: Link
    withheld: Reason | None
    review: float | None = None


@dataclass(frozen=True, slots=True)
class StoredId:
    """A profile id with the hands in force on it."""

    profile_id: ProfileId
    born: IdentifierKey
    holder: IdentifierKey
    hands: tuple[Hand, ...]


@dataclass(frozen=True, slots=True)
class Stay:
    """An identifier's time in a profile. `until` None: it is there now."""

    key: IdentifierKey
    profile_id: ProfileId
    since: int
    until: int | None = None


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """How a profile is from now on. `profile` None: its id is shown no more.

    `since`: when its structure last changed; `closes_at`: when what was stored before stopped being true, None where
    only times of observation changed. `passed`: versions between, each with when it began and ended.
    """

    profile_id: ProfileId
    profile: Profile | None
    born: IdentifierKey | None
    since: int | None
    closes_at: int | None
    passed: tuple[tuple[Profile, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """An audit entry before it is chained; `body` holds no personal value."""

    body: dict[str, object]


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer kept for its Idempotency-Key. `names`: the identifiers in it, `profiles`: the ids of profiles."""

    remembered: Remembered
    status: int
    body: bytes
    names: tuple[IdentifierKey, ...] = ()
    profiles: tuple[ProfileId, ...] = ()


@dataclass(slots=True)
class Plan:
    """The writes of one turn. Lists may be empty; with all of them empty there is nothing to commit."""

    identifiers_new: list[IdentifierState] = field(default_factory=list)
    identifiers: list[IdentifierState] = field(default_factory=list)
    bars: dict[IdentifierKey, Reason | None] = field(default_factory=dict)
    bars_changed: dict[IdentifierKey, Reason | None] = field(default_factory=dict)
    links_new: list[StoredLink] = field(default_factory=list)
    links: list[StoredLink] = field(default_factory=list)
    left: list[tuple[IdentifierKey, int]] = field(default_factory=list)
    passed: list[Stay] = field(default_factory=list)
    joined: list[Stay] = field(default_factory=list)
    profiles: list[StoredProfile] = field(default_factory=list)
    lowered: dict[ProfileId, int] = field(default_factory=dict)
    ids: list[StoredId] = field(default_factory=list)
    assertions_new: list[Assertion] = field(default_factory=list)
    assertions: list[Assertion] = field(default_factory=list)
    consents: list[tuple[IdentifierKey, ConsentRecord]] = field(default_factory=list)
    revocations: list[Revocation] = field(default_factory=list)
    events: list[dict[str, object]] = field(default_factory=list)
    decisions: list[DecisionReceipt] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    answers: list[StoredAnswer] = field(default_factory=list)
    drops: list[IdentifierKey] = field(default_factory=list)
    desk: Deskwork | None = None
    dispatch: Dispatch | None = None
    capture: Capture | None = None
    memberships: list[tuple[ProfileId, list[str], list[str]]] = field(default_factory=list)
    reviews_more: int = 0
    erasures: list[Erasure] = field(default_factory=list)
    tombs: list[tuple[IdentifierKey, Tomb]] = field(default_factory=list)
    unlinked: list[LinkId] = field(default_factory=list)
    dossiers: list[tuple[Dossier, Dossier]] = field(default_factory=list)
    models: list[KeptModel] = field(default_factory=list)

    @property
    def changes_graph(self) -> bool:
        """Whether anything beside stored answers is written."""
        return bool(
            self.identifiers_new
            or self.identifiers
            or self.links_new
            or self.links
            or self.profiles
            or self.lowered
            or self.assertions_new
            or self.assertions
            or self.consents
            or self.revocations
            or self.entries
            or self.ids
            or self.desk
            or self.dispatch
            or self.capture
            or self.erasures
            or self.tombs
            or self.dossiers
            or self.unlinked
            or self.models
        )


def _stored(world: World, profile_id: ProfileId, versions: list[Version]) -> StoredProfile:
    """The versions of one profile in this turn, folded into what is stored."""
    changes = [version for version in versions if version.restructured]
    last = versions[-1].profile
    passed = tuple(
        (version.profile, version.since, after.since)
        for version, after in pairwise(changes)
        if version.profile is not None and version.since < after.since
    )
    born = world.born.get(profile_id)  # also of an id that was shown within the turn only
    if not changes:
        return StoredProfile(profile_id, last, born, None, None)
    return StoredProfile(profile_id, last, born, changes[-1].since, changes[0].since, passed)


def _stays(world: World, plan: Plan) -> None:
    """Turn moves, in their order, into time spent: what was left, passed through, and joined."""
    moves: dict[IdentifierKey, list[tuple[ProfileId | None, ProfileId | None, int]]] = {}
    for key, source, target, at in world.moves:
        moves.setdefault(key, []).append((source, target, at))
    for key, steps in moves.items():
        stored = world.stored_states.get(key)
        if stored is not None and stored.profile is not None:
            plan.left.append((key, steps[0][2]))
        for (_, target, since), (_, _, until) in pairwise(steps):
            if target is not None:
                plan.passed.append(Stay(key, target, since, until))
        _, target, since = steps[-1]
        if target is not None:
            plan.joined.append(Stay(key, target, since))


def _changed_states(world: World, plan: Plan) -> None:
    for key, state in world.states.items():
        stored = world.stored_states.get(key)
        if stored is state:
            continue
        if state.dead:
            plan.tombs.append((key, Tomb(state.erased_at or 0, state.base, state.consents)))
            continue
        bar = world.bar(key)
        plan.bars[key] = bar
        if stored is None:
            plan.identifiers_new.append(state)
            continue
        plan.identifiers.append(state)
        if bar is not None and not world.follows(key):
            continue  # it bridged nothing before either: its links say so already
        if bar is not None:
            plan.bars_changed[key] = bar


def _changed_links(world: World, plan: Plan) -> None:
    for link_id, link in world.links.items():
        reason, review = world.withheld.get(link_id), world.reviews.get(link_id)
        stored = world.stored_links.get(link_id)
        if stored is None:
            plan.links_new.append(StoredLink(link, reason, review))
        elif stored[0] is not link or stored[1:] != (reason, review):
            plan.links.append(StoredLink(link, reason, review))
        plan.reviews_more += (review is not None) - (stored is not None and stored[2] is not None)
    plan.unlinked = [link_id for link_id in world.unlinked if link_id not in world.links]
    plan.reviews_more -= sum(world.unlinked[link_id] is not None for link_id in plan.unlinked)


def _changed_assertions(world: World, plan: Plan) -> None:
    for assertion_id, assertion in world.assertions.items():
        stored = world.stored_assertions.get(assertion_id)
        if stored is None:
            plan.assertions_new.append(assertion)
        elif stored is not assertion:
            plan.assertions.append(assertion)
    for profile_id in sorted(world.changed_ids):
        holder = world.holder(profile_id)
        if holder is not None:
            born = world.born.get(profile_id, holder)
            plan.ids.append(StoredId(profile_id, born, holder, world.hands[profile_id]))


def _memberships(world: World) -> list[tuple[ProfileId, list[str], list[str]]]:
    """Which profiles entered and left which audiences."""
    found = []
    for profile_id, names in sorted(world.audiences.items()):
        before, now = set(world.stored_audiences.get(profile_id, ())), set(names)
        if before != now:
            found.append((profile_id, sorted(now - before), sorted(before - now)))
    return found


def plan_of(world: World) -> Plan:
    """The writes that carry the world into the graph, and the cached answers that they end."""
    plan = Plan()
    _changed_states(world, plan)
    _changed_links(world, plan)
    _changed_assertions(world, plan)
    _stays(world, plan)
    plan.profiles = [_stored(world, profile_id, world.versions[profile_id]) for profile_id in sorted(world.versions)]
    plan.lowered = {pid: due for pid, due in world.lowered.items() if pid not in world.versions}
    plan.consents = list(world.recorded)
    plan.revocations = list(world.revocations)
    plan.erasures = list(world.erasures)
    plan.models = list(world.models_set)
    plan.dossiers = world.dossiers.changed()
    drops = set(world.seen_before)
    for stored in plan.profiles:
        if stored.profile is not None:
            drops.update(member.key for member in stored.profile.members)
    for profile_id in plan.lowered:
        drops |= world.members[profile_id]
    plan.memberships = _memberships(world)
    if world.desk.changed:
        plan.desk = world.desk
    if world.dispatch.changed:
        plan.dispatch = world.dispatch
    plan.decisions += world.dispatch.decisions
    plan.entries += [Entry(body) for body in world.dispatch.entries]
    if world.capture.changed:
        plan.capture = world.capture
    if world.desk.activated is not None:
        drops.add(IdentifierKey(POLICY_KEY))  # what look-ups know of the version in force
    plan.drops = sorted(drops)
    return plan

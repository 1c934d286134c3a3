"""The write path's turns, carried out without a store.

`Ledger` is all that would be stored, in plain dictionaries: it answers a `Wanted` as the docstrings of service.commands
say a graph does, and takes over a `Plan`. `Bench` runs turns over it, each in a new `World`, so that every turn sees
only what it asked for. Whether the outcome is right is not its concern: `evidence_model` says that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, TypeVar, cast

from service.commands.carry_out import Carried, Carrier
from service.commands.compose import note_versions
from service.commands.desk import DeskLoaded, Stretch
from service.commands.dossiers import BlockLoaded, DossiersLoaded
from service.commands.plan import Plan, StoredProfile, plan_of
from service.commands.ports import Turn
from service.commands.revoke import record_consents
from service.commands.steps import SETTLE, Step
from service.commands.world import Loaded, Wanted, World
from service.control.policy_scope import pass_after, stages_between
from service.errors import FabricError
from service.model.changes import Change, Origin, Receipt, ResolveAnew, SweepReceipt
from service.model.evidence import Assertion, ConsentRecord, Hand, Link, Reason
from service.model.identifiers import AssertionId, IdentifierKey, LinkId, Pair, ProfileId
from service.model.policy import Policy
from service.model.policy_versions import Desk
from service.model.profile import Profile
from service.model.records import SOURCE, Dossier
from service.model.state import IdentifierState, Tomb

T = TypeVar("T")
DAY = 86_400_000
STEWARD = Origin("steward")


def readable_birth(key: IdentifierKey, counter: int) -> ProfileId:
    """Birth ids that a person can read in a failing example."""
    return ProfileId(f"prf_{key.replace(':', '.')}/{counter}")


@dataclass(frozen=True, slots=True)
class Grant:
    """Consent recorded for one identifier; not a change of the API yet, so the bench drives `record_consents`."""

    identifier: IdentifierKey
    record: ConsentRecord


Act = Change | Grant


@dataclass(slots=True)
class Ledger:
    """Everything stored. `bars`: why an identifier bridged nothing when it was last written."""

    policy: Policy
    kept: dict[IdentifierKey, IdentifierState] = field(default_factory=dict)
    bars: dict[IdentifierKey, Reason] = field(default_factory=dict)
    links: dict[LinkId, Link] = field(default_factory=dict)
    links_at: dict[IdentifierKey, set[LinkId]] = field(default_factory=lambda: defaultdict(set))
    withheld: dict[LinkId, Reason] = field(default_factory=dict)
    within: dict[IdentifierKey, ProfileId] = field(default_factory=dict)
    members: dict[ProfileId, set[IdentifierKey]] = field(default_factory=lambda: defaultdict(set))
    views: dict[ProfileId, Profile] = field(default_factory=dict)
    dues: dict[ProfileId, int | None] = field(default_factory=dict)
    born: dict[ProfileId, IdentifierKey] = field(default_factory=dict)
    hands: dict[ProfileId, tuple[Hand, ...]] = field(default_factory=dict)
    assertions: dict[AssertionId, Assertion] = field(default_factory=dict)
    tombs: dict[IdentifierKey, Tomb] = field(default_factory=dict)
    dossiers: dict[IdentifierKey, Dossier] = field(default_factory=dict)

    # ---- what a look-up would read

    @property
    def profiles(self) -> dict[ProfileId, frozenset[IdentifierKey]]:
        """Profile id → members."""
        return {profile_id: frozenset(members) for profile_id, members in self.members.items() if members}

    @property
    def states(self) -> dict[IdentifierKey, IdentifierState]:
        """Every identifier, with the profile it is in; promises aside, which may be sooner than they could be."""
        return {key: self.state(key)._replace(barred_until=None, lasting={}) for key in self.kept}

    def state(self, key: IdentifierKey) -> IdentifierState:
        """One identifier, with the profile it is in."""
        return self.kept[key]._replace(profile=self.within.get(key))

    def withheld_pairs(self) -> dict[Pair, Reason]:
        """The pairs with an active link that does not bridge."""
        return {
            link.pair: self.withheld[link.link_id]
            for link in self.links.values()
            if link.inactive is None and link.link_id in self.withheld
        }

    def due(self, now: int) -> list[Link]:
        """The active links whose time is over, the first ones first."""
        found = [x for x in self.links.values() if x.inactive is None and x.due is not None and x.due <= now]
        return sorted(found, key=lambda link: (link.due or 0, link.link_id))

    def run_out(self, now: int) -> list[IdentifierKey]:
        """The identifiers whose grant of linking has run out, the first ones first."""
        until = {key: state.linking_until for key, state in self.kept.items() if state.linking_until is not None}
        return sorted((key for key, at in until.items() if at <= now), key=lambda key: (until[key], key))

    # ---- what a turn reads

    async def load(self, wanted: Wanted, now: int) -> Loaded:
        """What `wanted` names."""
        loaded = Loaded()
        links: dict[LinkId, Link] = {i: self.links[i] for i in wanted.links if i in self.links}
        keys = set(wanted.identifiers)
        for a, b in wanted.pairs:
            links |= {i: self.links[i] for i in self.links_at[a] & self.links_at[b]}
        for key in wanted.links_of:
            for link in self._links_of(key, (None, "link_not_permitted")):
                links[link.link_id] = link
                keys.update(link.pair)
        for key in wanted.matched:
            for link in (self.links[i] for i in self.links_at[key] if self.links[i].source == SOURCE):
                links[link.link_id] = link
                keys.update(link.pair)
        loaded.records = self._records(wanted)
        for profile_id in wanted.profiles:
            members = self.members.get(profile_id, set())
            loaded.profiles[profile_id] = sorted(members)
            loaded.dues[profile_id] = self.dues.get(profile_id)
            keys |= members
            loaded.unfollowed |= members & self.bars.keys()
            for key in members - self.bars.keys():
                for link in self._links_of(key, (None,)):
                    links[link.link_id] = link
                    keys.update(link.pair)
        for key in wanted.ends_of:
            loaded.ends_of[key] = [
                (link.link_id, other, link.due, self.within.get(other))
                for link in self._links_of(key, (None,))
                for other in link.pair
                if other != key
            ]
        for profile_id in wanted.ids:
            if profile_id in self.born:
                loaded.born[profile_id] = self.born[profile_id]
            if profile_id in self.hands:
                loaded.hands[profile_id] = self.hands[profile_id]
        if wanted.due:
            due = self.due(now)[: wanted.due]
            loaded.due = [link.link_id for link in due]
            loaded.run_out = self.run_out(now)[: wanted.due]
            keys.update(loaded.run_out)
            links |= {link.link_id: link for link in due}
        loaded.bars = {key: self.bars[key] for key in keys if key in self.bars}
        loaded.tombs = {key: self.tombs[key] for key in wanted.identifiers & self.tombs.keys() if key not in self.kept}
        loaded.identifiers = [self.state(key) for key in sorted(keys) if key in self.kept]
        loaded.links = list(links.values())
        if wanted.desk is not None:
            loaded.desk = DeskLoaded(stretch=self._stretch(wanted.desk.stretch))
        loaded.withheld = {i: self.withheld[i] for i in links if i in self.withheld}
        loaded.assertions = [self.assertions[i] for i in wanted.assertions if i in self.assertions]
        return loaded

    def _records(self, wanted: Wanted) -> DossiersLoaded:
        """Dossiers, and blocks with the dossiers of those that are not too large."""
        found = DossiersLoaded()
        keys = set(wanted.dossiers)
        for block, limit in wanted.blocks.items():
            members = frozenset(key for key, dossier in self.dossiers.items() if block in dossier.blocks)
            found.blocks[block] = BlockLoaded(len(members), members if len(members) <= limit else None)
            keys |= members if len(members) <= limit else set()
        found.dossiers = [self.dossiers[key] for key in sorted(keys & self.dossiers.keys())]
        found.resting = {dossier.key for dossier in found.dossiers if not self.kept[dossier.key].linking}
        return found

    def _stretch(self, stretch: Stretch | None) -> tuple[str, ...]:
        """A part of a stage of a pass."""
        if stretch is None:
            return ()
        everything: dict[str, set[str]] = {"links": set(self.links), "records": set(self.dossiers)}
        names = everything.get(stretch.stage, set(self.kept))
        if stretch.stage not in everything:
            names = {key for key in names if key.startswith(stretch.stage)}
        return tuple(sorted(name for name in names if name > stretch.after)[: stretch.limit])

    def _links_of(self, key: IdentifierKey, inactive: tuple[Reason | None, ...]) -> Iterator[Link]:
        return (link for i in self.links_at[key] if (link := self.links[i]).inactive in inactive)

    # ---- what a turn writes

    def write(self, plan: Plan) -> None:
        """Take a plan over, in the order in which a graph is written."""
        for state in (*plan.identifiers_new, *plan.identifiers):
            self.kept[state.key] = state
        for key, bar in plan.bars.items():
            if bar is None:
                self.bars.pop(key, None)
            else:
                self.bars[key] = bar
        for key, _ in plan.left:
            self.members[self.within.pop(key)].remove(key)
        for stay in plan.joined:
            assert stay.key not in self.within, "one profile at a time"
            self.within[stay.key] = stay.profile_id
            self.members[stay.profile_id].add(stay.key)
        for stored in plan.profiles:
            self._write_profile(stored)
        self.dues.update(plan.lowered)
        for linked in (*plan.links_new, *plan.links):
            link = linked.link
            self.links[link.link_id] = link
            for end in link.pair:
                self.links_at[end].add(link.link_id)
            self._withhold(link.link_id, linked.withheld)
        for link_id in plan.unlinked:
            for end in self.links.pop(link_id).pair:
                self.links_at[end].discard(link_id)
            self.withheld.pop(link_id, None)
        for was, dossier in plan.dossiers:
            assert self.dossiers.get(was.key, Dossier(was.key)) == was
            self.dossiers.pop(was.key, None)
            if dossier.records:
                self.dossiers[dossier.key] = dossier
        for key, bar in plan.bars_changed.items():
            for link in self._links_of(key, (None,)):
                if not any(self.policy.namespace_of_key(end).is_household for end in link.pair):
                    self._withhold(link.link_id, bar)
        for identity in plan.ids:
            self.born.setdefault(identity.profile_id, identity.born)
            self.hands[identity.profile_id] = identity.hands
        for assertion in (*plan.assertions_new, *plan.assertions):
            self.assertions[assertion.assertion_id] = assertion
        for erasure in plan.erasures:
            self._erase(erasure.key)
        self.tombs.update(plan.tombs)

    def _erase(self, key: IdentifierKey) -> None:
        self.kept.pop(key, None)
        self.bars.pop(key, None)
        if key in self.within:
            self.members[self.within.pop(key)].remove(key)
        for link_id in self.links_at.pop(key, set()):
            for end in self.links.pop(link_id).pair:
                self.links_at[end].discard(link_id)
            self.withheld.pop(link_id, None)
        self.links_at.pop(key, None)
        self.born = {profile_id: born for profile_id, born in self.born.items() if born != key}

    def _write_profile(self, stored: StoredProfile) -> None:
        if stored.born is not None:
            self.born.setdefault(stored.profile_id, stored.born)
        if stored.profile is None:
            self.views.pop(stored.profile_id, None)
            self.dues.pop(stored.profile_id, None)
            return
        self.views[stored.profile_id] = stored.profile
        self.dues[stored.profile_id] = stored.profile.due

    def _withhold(self, link_id: LinkId, reason: Reason | None) -> None:
        if reason is None:
            self.withheld.pop(link_id, None)
        else:
            self.withheld[link_id] = reason


@dataclass(slots=True)
class Outcome:
    """What became of one change of a turn: its receipt, or the error that refused it."""

    receipt: Receipt | None = None
    error: FabricError | None = None


class Bench:
    """Turns over a ledger."""

    def __init__(self, policy: Policy, now: int = 1_000 * DAY) -> None:
        self.policy = policy
        self.ledger = Ledger(policy)
        self.now = now
        self.seq = 0
        self.named = 0
        self.shown: set[ProfileId] = set()
        self.loaded: list[int] = []
        self.moves: list[tuple[IdentifierKey, ProfileId | None, ProfileId | None, int]] = []
        self.desk = Desk()

    def activate(self, policy: Policy) -> None:
        """Another policy from now on; profiles follow with `follow`."""
        stages = stages_between(self.policy, policy)
        self.policy = self.ledger.policy = policy
        self.desk = replace(self.desk, running=pass_after(self.desk.running, stages, (0, 0)))

    def follow(self, limit: int) -> bool:
        """The next turn of the pass; whether it is over."""
        if not self.desk.running.is_over:
            (outcome,) = self.turn(ResolveAnew(limit))
            assert outcome.error is None
        return self.desk.running.is_over

    def turn(self, *acts: Act) -> list[Outcome]:
        """Carry changes out in one turn. What has fallen due is flipped first."""
        world, outcomes = self._carry_out(acts)
        plan = plan_of(world)
        self.ledger.write(plan)
        self.seq = world.seq
        self.desk = world.desk.desk
        if plan.changes_graph:
            self.now = world.now + 1
        if acts:
            self.loaded.append(len(world.stored_states))
        self.moves += world.moves
        self.shown.update(target for _, _, target, _ in world.moves if target is not None)
        return outcomes

    def preview(self, act: Change) -> Outcome:
        """Carry a change out and forget it."""
        named = self.named
        _, (outcome,) = self._carry_out((act,))
        self.named = named
        return outcome

    def advance(self, ms: int) -> None:
        """Let time go by, and flip what has fallen due."""
        self.now += ms
        self.sweep()

    def sweep(self) -> None:
        """Flip what has fallen due, in turns."""
        while self.ledger.due(self.now) or self.ledger.run_out(self.now):
            self.turn()

    def clusters(self) -> set[frozenset[IdentifierKey]]:
        """The profiles, without their ids."""
        return set(self.ledger.profiles.values())

    def profile_of(self, key: str) -> ProfileId:
        """The id that the profile of an identifier shows."""
        return self.ledger.within[IdentifierKey(key)]

    def leads_to(self, profile_id: ProfileId) -> ProfileId | None:
        """The profile that an id ever handed out leads to."""
        world = self._world()
        finished(self._carrier(world).load(Wanted(ids={profile_id})))
        holder = world.holder(profile_id)
        return None if holder is None else self.ledger.within.get(holder)

    # ---- driving

    def _world(self) -> World:
        return World(self.policy, readable_birth, self.now, self.seq, self.desk)

    def _carrier(self, world: World) -> Carrier:
        return Carrier(cast(Turn, self.ledger), world, self._new_id)  # of a turn, the carrier loads and nothing else

    def _new_id(self, prefix: str) -> str:
        self.named += 1
        return f"{prefix}_{self.named:04}"

    def _carry_out(self, acts: tuple[Act, ...]) -> tuple[World, list[Outcome]]:
        world, carried = self._world(), Carried()
        carrier = self._carrier(world)
        if self.ledger.due(world.now) or self.ledger.run_out(world.now):
            finished(carrier.apply_due(carried))
        outcomes: list[Outcome] = []
        runs = [(granted, list(run)) for granted, run in groupby(acts, lambda act: isinstance(act, Grant))]
        for index, (granted, run) in enumerate(runs):
            world.now += index > 0
            if granted:
                outcomes += _grant(world, carrier, cast("list[Grant]", run))
                continue
            carried.outcomes.clear()
            finished(carrier.carry_out([(cast(Change, act), STEWARD) for act in run], carried))
            for found in carried.outcomes:
                refused = isinstance(found, FabricError)
                outcomes.append(Outcome(error=found) if refused else Outcome(found))  # type: ignore[arg-type]
        assert not world.touched and not world.unversioned
        return world, outcomes


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    raise AssertionError("it waits for something")


def _grant(world: World, carrier: Carrier, grants: list[Grant]) -> list[Outcome]:
    """A segment of grants, driven as the carrier drives its segments."""

    def step(act: Grant) -> Step:
        yield from record_consents(world, act.identifier, [act.record])
        yield SETTLE
        return SweepReceipt(0)

    outcomes = []
    for act in grants:
        finished(carrier.load(Wanted(identifiers={act.identifier})))
        finished(carrier._begin(step(act)))
        outcomes.append(Outcome(SweepReceipt(0)))
    finished(carrier._settle())
    note_versions(world)
    return outcomes

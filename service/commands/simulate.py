"""What would change if a version of the policy were put in force: the same code, on what is there, without a write.

The pass that an activation would begin runs in a world of its own that is never written, stretch by stretch; then every
profile is decided about under both policies, for every destination. What changes meanwhile is seen as it was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final

from service.clock import Clock
from service.commands.carry_out import Carried, Carrier
from service.commands.policies import Policies
from service.commands.ports import Turn
from service.commands.world import World
from service.control.decide import decide
from service.control.policy_scope import stages_between
from service.errors import FabricError, UnknownPolicy
from service.model.changes import Origin, ResolveAnew
from service.model.decision import Decision
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.policy import Policy
from service.model.policy_versions import Desk, Pass
from service.model.profile import Profile
from service.resolution.profile_ids import Births

RESOLVED_S_MAX: Final = 30
SIMULATED_S_MAX: Final = 45
STRETCH: Final = 100
IDENTIFIERS_MAX: Final = 200_000
"""Loaded identifiers; with more, what was looked at until then is told, and that it is not all."""

EXAMPLES_MAX: Final = 3
"""Of each kind."""

_ORIGIN = Origin("service:simulation")
Look = Callable[[], AbstractAsyncContextManager[Turn]]
Flip = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Regrouped:
    """A profile that would be split (`into` several), or merged with others (`into` one)."""

    profile_id: ProfileId
    change: str
    into: tuple[ProfileId, ...]
    identifiers: int


@dataclass(frozen=True, slots=True)
class Flipped:
    """A decision that would come out otherwise."""

    profile_id: ProfileId
    destination: str
    before: Decision
    after: Decision


@dataclass(slots=True)
class Simulation:
    """What would change. `complete`: all that is there was looked at, within the time."""

    merged: int = 0
    split: int = 0
    examined: int = 0
    flips: Counter[Flip] = field(default_factory=Counter)
    regrouped: list[Regrouped] = field(default_factory=list)
    flipped: list[Flipped] = field(default_factory=list)
    complete: bool = True
    changed: set[ProfileId] = field(default_factory=set)

    @property
    def unchanged(self) -> int:
        """Profiles looked at that hold the same identifiers."""
        return max(0, self.examined - len(self.changed))


class Simulator:
    """Tries versions out."""

    def __init__(self, policies: Policies, look: Look, births: Births, clock: Clock) -> None:
        self._policies = policies
        self._look = look
        self._births = births
        self._clock = clock

    async def simulate(self, version: int) -> Simulation:
        """Under this version instead of the one in force. Raises UnknownPolicy, StoreUnavailable."""
        if await self._policies.store.version(version) is None:
            raise UnknownPolicy()
        old, new = await self._policies.current(), await self._policies.at(version)
        until = self._clock.monotonic_s() + SIMULATED_S_MAX
        found = Simulation()
        world = await self._resolved(old, new, found, until - (SIMULATED_S_MAX - RESOLVED_S_MAX))
        regroupings(world, found)
        await self._decide(old, new, world, found, until)
        return found

    async def _resolved(self, old: Policy, new: Policy, found: Simulation, until: float) -> World:
        """The world as the pass would leave it."""
        running = Pass(stages_between(old, new), total=2**62)
        world = World(new, self._births, self._clock.now_ms(), 0, Desk(running=running))
        while not world.desk.desk.running.is_over:
            if self._clock.monotonic_s() > until or len(world.stored_states) > IDENTIFIERS_MAX:
                found.complete = False
                break
            carried = Carried()
            async with self._look() as turn:
                await Carrier(turn, world, lambda prefix: prefix).carry_out([(ResolveAnew(STRETCH), _ORIGIN)], carried)
            for outcome in carried.outcomes:
                if isinstance(outcome, FabricError):
                    raise outcome
        return world

    async def _decide(self, old: Policy, new: Policy, world: World, found: Simulation, until: float) -> None:
        """Decide about every profile, asked by its senior member, under both."""
        destinations = sorted(old.destinations.keys() | new.destinations.keys())
        differ = [d for d in destinations if _terms(old, d) != _terms(new, d)] if not world.versions else destinations
        now, after = self._clock.now_ms(), ""
        while True:
            if self._clock.monotonic_s() > until:
                found.complete = False
                return
            profiles = await self._policies.store.profiles(after, STRETCH)
            for profile in profiles:
                found.examined += 1
                self._compare(profile, differ, old, new, world, found, now)
            if len(profiles) < STRETCH:
                return
            after = profiles[-1].profile_id

    @staticmethod
    def _compare(
        profile: Profile, destinations: list[str], old: Policy, new: Policy, world: World, found: Simulation, now: int
    ) -> None:
        asked = profile.members[0].key
        then = _profile_then(world, asked, profile)
        for destination in destinations:
            before = decide(profile, asked, destination, None, None, old, now)
            after = decide(then, asked, destination, None, None, new, now)
            if before.outcome == after.outcome:
                continue
            flip = (destination, before.outcome, after.outcome)
            found.flips[flip] += 1
            if found.flips[flip] <= EXAMPLES_MAX:
                found.flipped.append(Flipped(profile.profile_id, destination, before, after))


def _terms(policy: Policy, destination: str) -> object:
    """What a decision for a destination rests on beside the profile."""
    rule = policy.destinations.get(destination)
    purpose = policy.purposes.get(rule.purpose) if rule is not None else None
    kinds = {name: (namespace.kind, namespace.priority) for name, namespace in policy.namespaces.items()}
    return rule, purpose, kinds, policy.combine, policy.regulations, policy.linking_purpose


def _profile_then(world: World, key: IdentifierKey, stored: Profile) -> Profile:
    """The profile that an identifier would be in."""
    profile_id = world.state(key).profile
    versions = world.versions.get(profile_id) if profile_id is not None else None
    then = versions[-1].profile if versions else None
    return stored if then is None else then


def regroupings(world: World, found: Simulation) -> None:
    """Count the profiles that would be split or merged."""
    before: dict[ProfileId, list[IdentifierKey]] = {}
    came: dict[ProfileId, set[ProfileId]] = {}
    for key, state in world.stored_states.items():
        if state.profile is not None:
            before.setdefault(state.profile, []).append(key)
            now = world.state(key).profile
            if now is not None:
                came.setdefault(now, set()).add(state.profile)
    for profile_id, keys in sorted(before.items()):
        into = {now for key in keys if (now := world.state(key).profile) is not None}
        merged = any(len(came[now]) > 1 for now in into)
        for change, happens in (("split", len(into) > 1), ("merged", merged)):
            if not happens:
                continue
            count = getattr(found, change) + 1
            setattr(found, change, count)
            if count <= EXAMPLES_MAX:
                found.regrouped.append(Regrouped(profile_id, change, tuple(sorted(into)), len(keys)))
            found.changed.add(profile_id)

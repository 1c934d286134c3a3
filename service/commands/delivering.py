"""Deliveries in a turn: loads what they need, has the pure functions decide, and follows evidence with what it asks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from service.commands.decisions import profile_now
from service.commands.deliveries import ACTS, Acts, Desk, wanted_by, wanted_with
from service.commands.dispatch import DispatchWanted
from service.commands.happened import happened_of, intake_of
from service.commands.intents import Happened, Intents, asked_of, make_removals, refused_now, wanted_by_events
from service.commands.ports import Turn
from service.commands.world import World
from service.control.ownership import place_at
from service.errors import FabricError
from service.model.changes import Change, Decide, Origin, Receipt
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy
from service.model.profile import Profile

Outcome = Receipt | FabricError
Changes = Sequence[tuple[Change, Origin]]


def _delivers(policy: Policy) -> bool:
    return any(one.delivery is not None for one in policy.destinations.values())


class Delivering:
    """What a `Carrier` does with deliveries."""

    def __init__(self, turn: Turn, world: World, new_id: Callable[[str], str], pseudonym: Callable[[str], str]) -> None:
        self._turn = turn
        self._world = world
        self._new_id = new_id
        self._pseudonym = pseudonym

    async def _load(self, wanted: DispatchWanted) -> None:
        missing = self._world.dispatch.missing(wanted)
        if missing:
            self._world.dispatch.take(missing, await self._turn.dispatch(missing))

    async def load_owners(self, asked: Sequence[Decide], stored: Mapping[IdentifierKey, Profile]) -> None:
        """Where the people stand who are asked about, where the destination is shared between the paths."""
        wanted = DispatchWanted()
        for change in asked:
            rule = self._world.policy.destinations.get(change.destination)
            profile = profile_now(self._world, change.identifier, stored)
            if rule is not None and rule.delivery is not None and rule.delivery.splits and profile is not None:
                places = {place_at(change.destination, member.key, self._pseudonym) for member in profile.members}
                wanted.assignments |= places
        await self._load(wanted)

    async def carry_out(
        self, segment: Changes, stored: Mapping[IdentifierKey, Profile], erased: Collection[IdentifierKey]
    ) -> list[Outcome]:
        """Changes of deliveries, in order."""
        wanted = DispatchWanted()
        acts: list[Acts] = [change for change, _ in segment if isinstance(change, ACTS)]
        for change in acts:
            wanted_by(change, wanted)
        await self._load(wanted)
        await self._load(wanted_with(acts, self._world))
        return Desk(self._world, stored, erased, self._new_id, self._pseudonym).carried(segment)

    # ---- what follows from evidence

    def marks(self) -> tuple[int, int]:
        """How much was refused and erased so far in this turn."""
        return len(self._world.recorded), len(self._world.erasures)

    async def follow(self, segment: Changes, outcomes: Sequence[Outcome], marks: tuple[int, int]) -> None:
        """After a segment is settled: intents of its events, removals for those who refused in it."""
        statuses = [
            status
            for (change, _), outcome in zip(segment, outcomes, strict=True)
            if (status := intake_of(change, outcome)) is not None
        ]
        self._world.dispatch.intake.update(statuses)
        if not _delivers(self._world.policy):
            return
        await self._remove(segment[0][1], marks)
        events = [
            (event, origin)
            for (change, origin), outcome in zip(segment, outcomes, strict=True)
            if (event := happened_of(change, outcome)) is not None
        ]
        if events:
            await self._intend(events)

    async def _stored(self, keys: Collection[IdentifierKey]) -> Mapping[IdentifierKey, Profile]:
        """Profiles of those whom this turn has not made anew."""
        world = self._world
        rest = [k for k in sorted(keys) if (s := world.states.get(k)) is None or s.profile not in world.versions]
        return await self._turn.profiles(rest) if rest else {}

    async def _intend(self, events: Sequence[tuple[Happened, Origin]]) -> None:
        asked = {asked_of(event.keys, self._world.policy) for event, _ in events}
        stored = await self._stored({key for key in asked if key is not None})
        happened = [event for event, _ in events]
        await self._load(wanted_by_events(happened, self._world, stored, self._pseudonym))
        desk = Desk(self._world, stored, frozenset(), self._new_id, self._pseudonym)
        intents = Intents(desk, stored)
        for event, origin in events:
            intents.make(event, origin)

    async def _remove(self, origin: Origin, marks: tuple[int, int]) -> None:
        refused = refused_now(self._world, *marks)
        if not refused:
            return
        stored = await self._stored(refused.keys())
        await self._load(DispatchWanted(received=set(refused)))
        received = self._world.dispatch.received
        lanes = {f"{got.destination}|{got.profile_id}" for found in received.values() for got in found}
        await self._load(DispatchWanted(lanes=lanes))
        desk = Desk(self._world, stored, frozenset(), self._new_id, self._pseudonym)
        for key, erased in sorted(refused.items()):
            make_removals(desk, key, erased, profile_now(self._world, key, stored), origin)

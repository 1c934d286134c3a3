"""What a replay would change: its events carried out in a world that is never written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from service.commands.carry_out import Carried, Carrier
from service.commands.simulate import IDENTIFIERS_MAX, Look, Simulation, regroupings
from service.commands.world import World
from service.errors import FabricError
from service.model.changes import Evidence, Origin, RetractLink
from service.model.events import EventReceipt, RecordEvent
from service.model.identifiers import LinkId
from service.model.policy import Policy
from service.resolution.profile_ids import Births

_ORIGIN: Final = Origin("service:replay")
EXAMPLES_MAX: Final = 20


class Preview:
    """One world, batch after batch, until too much of the graph is in it; what comes after that is only counted."""

    def __init__(self, look: Look, policy: Policy, births: Births, now_ms: Callable[[], int]) -> None:
        self._look = look
        self._world = World(policy, births, now_ms(), 2**53)
        self._complete = True

    async def carry(self, changes: Sequence[RecordEvent]) -> Counter[str]:
        """Carry events out; how many became what. Raises StoreUnavailable."""
        counts: Counter[str] = Counter()
        for outcome in await self._carry(list(changes)):
            if isinstance(outcome, EventReceipt):
                counts["refused" if outcome.status == "quarantined" else "applied"] += 1
        return counts

    async def retract(self, links: Sequence[LinkId]) -> None:
        """Take links back. Raises StoreUnavailable."""
        await self._carry([RetractLink(link_id) for link_id in links])

    async def _carry(self, changes: Sequence[Evidence]) -> list[Any]:
        if not changes:
            return []
        if len(self._world.stored_states) > IDENTIFIERS_MAX:
            self._complete = False
            return []
        carried = Carried()
        async with self._look() as turn:
            carrier = Carrier(turn, self._world, lambda prefix: prefix)
            await carrier.carry_out([(change, _ORIGIN) for change in changes], carried)
        return [outcome for outcome in carried.outcomes if not isinstance(outcome, FabricError)]

    def report(self, gone: Sequence[LinkId]) -> dict[str, Any]:
        """The differences: links that would be new or others, or that no event speaks for any more; profiles."""
        world, found = self._world, Simulation()
        found.examined = len({s.profile for s in world.stored_states.values() if s.profile is not None})
        regroupings(world, found)
        new = [link_id for link_id in world.links if link_id not in world.stored_links]
        changed = [
            link_id
            for link_id, link in world.links.items()
            if (kept := world.stored_links.get(link_id)) is not None
            and (kept[0].confidence, kept[0].inactive, kept[0].retracted_at)
            != (link.confidence, link.inactive, link.retracted_at)
        ]
        traits = [key for key, state in world.stored_states.items() if state.traits != world.state(key).traits]
        return {
            "complete": self._complete,
            "profiles": {"merged": found.merged, "split": found.split, "unchanged": found.unchanged},
            "links": {"new": len(new), "changed": len(changed), "unsupported": len(gone)},
            "identifiers": {"traits_changed": len(traits)},
            "examples": {
                "new": sorted(new)[:EXAMPLES_MAX],
                "changed": sorted(changed)[:EXAMPLES_MAX],
                "unsupported": sorted(gone)[:EXAMPLES_MAX],
                "profiles": [
                    {"profile_id": one.profile_id, "change": one.change, "into": list(one.into)}
                    for one in found.regrouped
                ],
            },
        }

"""Decisions within a turn: made on what the graph holds under the head's lock and on what the turn did so far."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import orjson

from service.commands.world import World
from service.control.decide import decide, decision_json
from service.control.ownership import Pseudonym, assign
from service.model.changes import Decide, DecisionReceipt
from service.model.identifiers import IdentifierKey
from service.model.profile import Profile


def profile_now(world: World, key: IdentifierKey, stored: Mapping[IdentifierKey, Profile]) -> Profile | None:
    """The profile of an identifier as this turn has it: the version that the turn made, else the one `stored`."""
    known = world.states.get(key)
    if known is not None:
        if known.profile is None:
            return None
        if known.profile in world.versions:
            return world.versions[known.profile][-1].profile
    found = stored.get(key)
    if found is not None and found.profile_id in world.lowered:
        return replace(found, due=world.lowered[found.profile_id])
    return found


def decided(
    world: World,
    asked: Sequence[Decide],
    stored: Mapping[IdentifierKey, Profile],
    erased: Collection[IdentifierKey],
    new_id: Callable[[str], str],
    pseudonym: Pseudonym = str,
) -> list[DecisionReceipt]:
    """A decision for each, in order. Everything before them in the turn has been settled."""
    receipts = []
    for change in asked:
        profile = profile_now(world, change.identifier, stored)
        decision = decide(
            profile,
            change.identifier,
            change.destination,
            change.purpose,
            change.regulation,
            world.policy,
            world.now,
            erased=change.identifier in erased,
        )
        rule = world.policy.destinations.get(change.destination)
        if rule is not None and rule.delivery is not None:
            known = world.dispatch.assignments
            owner, more = assign(
                change.destination, rule.delivery, change.identifier, profile, known, pseudonym, world.now
            )
            world.dispatch.assign(more)
            decision = replace(decision, owner=owner)
        decision_id = new_id("dec")
        body = orjson.dumps(decision_json(decision_id, decision)).decode()
        receipts.append(DecisionReceipt(decision_id, decision, body))
    return receipts

"""What the old stack sent, taken in to be compared, and differences that are known. Pure."""

from __future__ import annotations

from dataclasses import replace

from service.commands.dispatch import DispatchWanted
from service.commands.world import World
from service.errors import Invalid
from service.model.changes import Origin
from service.model.delivery import Comparison, Explanation, Side, place_of
from service.model.delivery_changes import ExplainDifference, ExplanationReceipt, LegacyReceipt, TakeLegacy
from service.resolution.delivery_ids import delivery_id_of


def wanted_by_legacy(change: TakeLegacy, wanted: DispatchWanted) -> None:
    """The record of that id, the comparison that it belongs to, and what the new path did with the event."""
    wanted.records.add(f"{change.destination}|{change.record_id}")
    wanted.comparisons.add(place_of(change.destination, change.source, change.event_id))
    wanted.deliveries.add(delivery_id_of(change.destination, change.source, change.event_id))


def take_legacy(world: World, change: TakeLegacy) -> LegacyReceipt:
    """Note a record once. The same id with other content is refused. Raises Invalid."""
    dispatch = world.dispatch
    name = f"{change.destination}|{change.record_id}"
    known = dispatch.records.get(name)
    if known is not None:
        if known != change.digest:
            raise Invalid.at("/id", "was used for another record")
        return LegacyReceipt(change.record_id, False)
    dispatch.record(name, change.digest)
    place = place_of(change.destination, change.source, change.event_id)
    found = dispatch.comparisons.get(place)
    delivery = dispatch.delivery(delivery_id_of(change.destination, change.source, change.event_id))
    if found is None:
        owned = delivery is not None and delivery.path == "new"
        found = Comparison(change.destination, change.source, change.event_id, world.now, owned=owned)
        if delivery is not None:
            found = replace(found, delivery_id=delivery.delivery_id, profile_id=delivery.profile_id)
    if found.legacy is None:
        found = replace(found, legacy=Side(change.action, change.who, dict(change.fields), change.at))
    dispatch.compare(replace(found, times=found.times + 1))
    return LegacyReceipt(change.record_id, True)


def explain_difference(world: World, change: ExplainDifference, origin: Origin, new_id: str) -> ExplanationReceipt:
    """Name a known difference."""
    made = Explanation(
        new_id,
        change.destination,
        change.cause,
        change.field,
        change.when,
        change.note,
        world.now,
        origin.actor,
    )
    world.dispatch.explained.append(made)
    world.dispatch.entries.append(
        {
            "actor": origin.actor,
            "action": "cutover.explained",
            "destination": change.destination,
            "outcome": change.cause,
            "explanation_id": new_id,
            "policy_version": world.policy.version,
            "request_id": origin.request_id,
        }
    )
    return ExplanationReceipt(made)

"""Intents: what an event that was taken in asks to be delivered, decided in the same turn. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from service.commands.decisions import profile_now
from service.commands.deliveries import Desk, lane_of
from service.commands.dispatch import DispatchWanted
from service.commands.world import World
from service.control.effective_consent import usable
from service.control.ownership import Pseudonym, assign, place_at
from service.control.traits import audiences_of, traits_of
from service.model.changes import Origin
from service.model.decision import Decision
from service.model.delivery import Comparison, Delivery, DeliveryRule, Side, place_of
from service.model.identifiers import IdentifierKey, namespace_of, parse_key
from service.model.policy import Destination, Policy
from service.model.profile import Profile
from service.model.times import rfc3339
from service.resolution.delivery_ids import delivery_id_of

_TEXT_MAX = 200


@dataclass(frozen=True, slots=True)
class Happened:
    """An event as deliveries see it; times in ms. `keys`: its identifiers, in the order sent."""

    source: str
    event_id: str
    type: str
    at: int
    keys: tuple[IdentifierKey, ...]
    properties: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """As conditions see it."""
        return {
            "source": self.source,
            "id": self.event_id,
            "type": self.type,
            "time": rfc3339(self.at),
            "data": {"properties": dict(self.properties)},
        }


def asked_of(keys: Sequence[IdentifierKey], policy: Policy) -> IdentifierKey | None:
    """The identifier that decisions about an event are made on: the most senior of those it names."""

    def seniority(key: IdentifierKey) -> tuple[bool, int, str]:
        namespace = policy.namespace_of_key(key)
        return namespace.kind != "person", namespace.priority, key

    return min((k for k in keys if policy.namespace_of_key(k).kind != "household"), key=seniority, default=None)


def takers(policy: Policy, event_type: str) -> list[tuple[str, Destination, DeliveryRule]]:
    """Destinations that take events of a type, by name."""
    return [
        (name, destination, destination.delivery)
        for name, destination in sorted(policy.destinations.items())
        if destination.delivery is not None and destination.delivery.acts and event_type in destination.delivery.on
    ]


def holds(rule: DeliveryRule, destination: Destination, event: Happened, profile: Profile | None, world: World) -> bool:
    """Whether the destination's condition is true. Of the person it sees what may be used for its purpose."""
    values: dict[str, Any] = {"event": event.as_json(), "profile": {}, "traits": {}, "audiences": []}
    if profile is not None:
        seen = usable(profile, destination.purpose, world.policy, world.now)
        values["profile"] = {"profile_id": profile.profile_id}
        values["traits"] = {t.name: t.value for t in traits_of(profile, seen, world.policy).values()}
        values["audiences"] = list(audiences_of(profile, world.policy, world.now))
    return rule.holds(values)


def wanted_by_events(
    events: Sequence[Happened], world: World, stored: Mapping[IdentifierKey, Profile], pseudonym: Pseudonym
) -> DispatchWanted:
    """What making the intents of some events needs loaded."""
    wanted = DispatchWanted()
    for event in events:
        asked = asked_of(event.keys, world.policy)
        profile = None if asked is None else profile_now(world, asked, stored)
        for name, _, rule in takers(world.policy, event.type):
            delivery_id = delivery_id_of(name, event.source, event.event_id)
            wanted.deliveries.add(delivery_id)
            wanted.lanes.add(f"{name}|{profile.profile_id if profile else delivery_id}")
            wanted.comparisons.add(place_of(name, event.source, event.event_id))
            if rule.splits and profile is not None:
                wanted.assignments |= {place_at(name, member.key, pseudonym) for member in profile.members}
    return wanted


def compared_fields(properties: Mapping[str, Any], pseudonym: Pseudonym) -> dict[str, Any]:
    """Properties as they are kept to be compared: numbers and truth values as they are, of texts a keyed digest."""
    found: dict[str, Any] = {}
    for name, value in properties.items():
        if isinstance(value, bool | int | float):
            found[name] = value
        elif isinstance(value, str) and len(value) <= _TEXT_MAX:
            found[name] = pseudonym(f"field\0{value}")
    return found


class Intents:
    """Makes intents within a turn."""

    def __init__(self, desk: Desk, stored: Mapping[IdentifierKey, Profile]) -> None:
        self._desk = desk
        self._world = desk.world
        self._stored = stored

    def make(self, event: Happened, origin: Origin) -> None:
        """One delivery for each destination that takes the event."""
        world = self._world
        asked = asked_of(event.keys, world.policy)
        profile = None if asked is None else profile_now(world, asked, self._stored)
        for name, destination, rule in takers(world.policy, event.type):
            delivery_id = delivery_id_of(name, event.source, event.event_id)
            if world.dispatch.delivery(delivery_id) is None and holds(rule, destination, event, profile, world):
                self._intend(delivery_id, name, rule, event, asked, profile, origin)

    def _intend(
        self,
        delivery_id: str,
        name: str,
        rule: DeliveryRule,
        event: Happened,
        asked: IdentifierKey | None,
        profile: Profile | None,
        origin: Origin,
    ) -> None:
        world, pseudonym = self._world, self._desk.pseudonym
        owner, assignments = assign(
            name,
            rule,
            asked or IdentifierKey(event.event_id),
            profile,
            world.dispatch.assignments,
            pseudonym,
            world.now,
        )
        world.dispatch.assign(assignments)
        decision, decision_id, body = self._desk.decided(asked, name)
        sends = decision.outcome != "withhold" and bool(decision.identifiers or decision.granularity == "aggregate")
        live = owner == "new"
        made = Delivery(
            delivery_id,
            name,
            event.source,
            event.event_id,
            "send",
            "new" if live else "shadow",
            ("pending" if live else "shadow") if sends else "suppressed",
            world.now,
            world.dispatch.next_place(world.seq + 1),
            decision.policy_version,
            event.at,
            event.type,
            profile_id=decision.profile_id,
            asked=asked,
            consent=orjson.dumps(orjson.loads(body)["consent"]).decode(),
            subject=None if asked is None else pseudonym(asked),
        )
        if not sends:
            reason = next((r for r in decision.reasons if r != "ok"), "namespace_not_allowed")
            made = replace(made, reason=reason, attempts=(suppressed_attempt(world.now, decision_id, rule.adapter),))
        elif live:
            made = replace(made, lane=lane_of(made), basis=basis_of(event))
        put = world.dispatch.put(made)
        self._compare(put, decision, event, sends, live)
        more = {"decision_id": decision_id, "reasons": ",".join(decision.reasons), "path": made.path}
        self._desk.note(origin, put, "delivery.intended", {**more, "consent": decision.consent.state})

    def _compare(self, made: Delivery, decision: Decision, event: Happened, sends: bool, live: bool) -> None:
        """The new path's side of the comparison with the old stack; an event that the new path owns is left aside."""
        dispatch, pseudonym = self._world.dispatch, self._desk.pseudonym
        place = place_of(made.destination, made.source, made.event_id)
        found = dispatch.comparisons.get(place)
        if live:
            if found is not None:
                dispatch.compare(replace(found, owned=True, delivery_id=made.delivery_id))
            return
        if found is None:
            found = Comparison(made.destination, made.source, made.event_id, self._world.now)
        who = {pseudonym(key) for key in event.keys} | {pseudonym(given.key) for given in decision.identifiers}
        ours = Side("send", tuple(sorted(who)), compared_fields(event.properties, pseudonym), made.at, sends)
        dispatch.compare(replace(found, ours=ours, delivery_id=made.delivery_id, profile_id=made.profile_id))


def suppressed_attempt(now: int, decision_id: str, adapter: str) -> Any:
    """The attempt of an intent that was decided against: nobody was asked."""
    from service.model.delivery import Attempted

    return Attempted(now, decision_id, None, "suppressed", adapter, "")


def basis_of(event: Happened) -> str:
    """What a request is built from beside the decision, as JSON text."""
    return orjson.dumps({"type": event.type, "properties": dict(event.properties)}).decode()


# ---- removals


def refused_now(world: World, since: int, erasures_since: int) -> dict[IdentifierKey, bool]:
    """Whom something was refused for in a segment, from those places in the turn's lists on; True: was erased."""
    found = {key: False for key, record in world.recorded[since:] if record.state in ("denied", "withdrawn")}
    found |= {erasure.key: True for erasure in world.erasures[erasures_since:]}
    return found


def make_removals(
    desk: Desk,
    key: IdentifierKey,
    erased: bool,
    profile: Profile | None,
    origin: Origin,
) -> None:
    """A removal for each destination that had received the person and may not be given them any more."""
    world = desk.world
    for got in world.dispatch.received.get(key, ()):
        destination = world.policy.destinations.get(got.destination)
        if destination is None or destination.delivery is None or got.removed >= got.sent:
            continue
        if erased:
            names = [key] if destination.takes(namespace_of(key)) else []
        else:
            if profile is None or usable(profile, destination.purpose, world.policy, world.now):
                continue
            names = [member.key for member in profile.members if destination.takes(namespace_of(member.key))]
        removal_id = delivery_id_of(got.destination, got.profile_id, f"{world.seq + 1}", "remove")
        if not names or world.dispatch.delivery(removal_id) is not None:
            continue
        made = Delivery(
            removal_id,
            got.destination,
            "",
            "",
            "remove",
            "new",
            "pending",
            world.now,
            world.dispatch.next_place(world.seq + 1),
            world.policy.version,
            world.now,
            "removal",
            reason="erased" if erased else "consent_withdrawn",
            profile_id=got.profile_id,
            asked=None,
            basis=removal_basis(names),
            subject=desk.pseudonym(key),
        )
        put = world.dispatch.put(replace(made, lane=lane_of(made)))
        desk.note(origin, put, "delivery.removal", {"reasons": put.reason})


def removal_basis(keys: Sequence[IdentifierKey]) -> str:
    """Whom the destination is to forget, as JSON text; kept until it is done."""
    names = [{"namespace": one.namespace, "value": one.value} for one in map(parse_key, keys)]
    return orjson.dumps({"type": "removal", "properties": {}, "identifiers": names}).decode()

"""Deliveries within a turn: claimed with a decision of their own, concluded, paused, tried again. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import orjson

from service.commands.decisions import profile_now
from service.commands.dispatch import DispatchWanted
from service.commands.legacy import explain_difference, take_legacy
from service.commands.world import World
from service.control.backoff import later
from service.control.decide import decide, decision_json
from service.errors import Conflict, FabricError, UnknownDelivery
from service.model.changes import Change, DecisionReceipt, Origin, Receipt
from service.model.decision import Decision
from service.model.delivery import Attempted, Delivery, DestinationMode, DestinationState
from service.model.delivery import Outcome as DeliveryOutcome
from service.model.delivery_changes import (
    Attempt,
    AttemptReceipt,
    Conclude,
    ConcludeReceipt,
    DeliveryReceipt,
    DestinationReceipt,
    ExplainDifference,
    RetryDelivery,
    SetDestination,
    TakeLegacy,
)
from service.model.identifiers import IdentifierKey
from service.model.profile import Profile

Body = dict[str, object]
Pseudonym = Callable[[str], str]
Acts = Attempt | Conclude | SetDestination | RetryDelivery | TakeLegacy | ExplainDifference
ACTS = (Attempt, Conclude, SetDestination, RetryDelivery, TakeLegacy, ExplainDifference)
RETRYABLE = ("dead", "uncertain")


def wanted_by(change: Acts, wanted: DispatchWanted) -> None:
    """Add what a change needs loaded."""
    match change:
        case Attempt() | Conclude() | RetryDelivery():
            wanted.deliveries.add(change.delivery_id)
        case TakeLegacy():
            from service.commands.legacy import wanted_by_legacy

            wanted_by_legacy(change, wanted)
        case _:
            pass
    if isinstance(change, SetDestination | Attempt):
        wanted.destinations.add(change.destination)


def wanted_with(changes: Sequence[Acts], world: World) -> DispatchWanted:
    """What follows from the deliveries that are there by now: their lanes and destinations."""
    wanted = DispatchWanted()
    for change in changes:
        if isinstance(change, Attempt | Conclude | RetryDelivery):
            delivery = world.dispatch.delivery(change.delivery_id)
            if delivery is not None:
                wanted.destinations.add(delivery.destination)
                wanted.lanes.add(delivery.lane or lane_of(delivery))
    return wanted


def lane_of(delivery: Delivery) -> str:
    """Deliveries of one lane go one after another: those of a profile to a destination."""
    return f"{delivery.destination}|{delivery.profile_id or delivery.delivery_id}"


class Desk:
    """One segment's deliveries: what they are decided on, and where what was done is noted."""

    def __init__(
        self,
        world: World,
        stored: Mapping[IdentifierKey, Profile],
        erased: Collection[IdentifierKey],
        new_id: Callable[[str], str],
        pseudonym: Pseudonym,
    ) -> None:
        self.world = world
        self._stored = stored
        self._erased = erased
        self._new_id = new_id
        self.pseudonym = pseudonym

    def decided(self, asked: IdentifierKey | None, destination: str) -> tuple[Decision, str, str]:
        """A decision made now, its id, and its JSON as it is kept."""
        key = asked or IdentifierKey("")
        profile = None if asked is None else profile_now(self.world, asked, self._stored)
        found = decide(
            profile, key, destination, None, None, self.world.policy, self.world.now, erased=key in self._erased
        )
        decision_id = self._new_id("dec")
        body = orjson.dumps({**decision_json(decision_id, found), "destination": destination}).decode()
        self.world.dispatch.decisions.append(DecisionReceipt(decision_id, found, body))
        return found, decision_id, body

    def note(self, origin: Origin, delivery: Delivery, action: str, more: Body) -> None:
        """An audit entry about a delivery."""
        rule = self.world.policy.destinations.get(delivery.destination)
        entry: Body = {
            "actor": origin.actor,
            "action": action,
            "subject": delivery.subject,
            "profile_id": delivery.profile_id,
            "destination": delivery.destination,
            "purpose": rule.purpose if rule else None,
            "outcome": delivery.outcome,
            "delivery_id": delivery.delivery_id,
            "policy_version": self.world.policy.version,
            "request_id": origin.request_id,
        }
        self.world.dispatch.entries.append({**entry, **more})

    # ---- one change after another

    def carried(self, changes: Sequence[tuple[Change, Origin]]) -> list[Receipt | FabricError]:
        """What became of each, in order."""
        outcomes: list[Receipt | FabricError] = []
        for change, origin in changes:
            try:
                outcomes.append(self._one(change, origin))
            except FabricError as error:
                outcomes.append(error)
        return outcomes

    def _one(self, change: Change, origin: Origin) -> Receipt:
        match change:
            case Attempt():
                return self._attempt(change, origin)
            case Conclude():
                return self._conclude(change, origin)
            case SetDestination():
                return self._set(change, origin)
            case RetryDelivery():
                return self._retry(change, origin)
            case TakeLegacy():
                return take_legacy(self.world, change)
            case ExplainDifference():
                return explain_difference(self.world, change, origin, self._new_id("exp"))
            case _:
                raise TypeError("not about a delivery")

    def _known(self, delivery_id: str) -> Delivery:
        delivery = self.world.dispatch.delivery(delivery_id)
        if delivery is None:
            raise UnknownDelivery()
        return delivery

    def _attempt(self, change: Attempt, origin: Origin) -> AttemptReceipt:
        delivery, now = self._known(change.delivery_id), self.world.now
        open_now = self.world.dispatch.destination(delivery.destination).open_at(now)
        if (
            delivery.is_over
            or not delivery.waits
            or delivery.fence != change.fence
            or delivery.due > now
            or not open_now
        ):
            return AttemptReceipt(delivery, None, None, False)
        if delivery.sending and not change.dedups and delivery.action == "send":
            return self._over(change, delivery, origin, "uncertain", "outcome_unknown", "unknown", None)
        if delivery.action == "remove":
            if not change.removes:
                return self._over(change, delivery, origin, "not_supported", None, "not_supported", None)
            return self._claimed(change, delivery, None, None)
        decision, decision_id, body = self.decided(change.asked, delivery.destination)
        consent = orjson.dumps(orjson.loads(body)["consent"]).decode()
        delivery = replace(delivery, consent=consent, policy_version=decision.policy_version)
        if decision.outcome == "withhold" or not (decision.identifiers or decision.granularity == "aggregate"):
            reason = next((r for r in decision.reasons if r != "ok"), "namespace_not_allowed")
            return self._over(change, delivery, origin, "suppressed", reason, "suppressed", decision_id)
        if change.max_age_ms is not None and delivery.event_at + change.max_age_ms < now:
            return self._over(change, delivery, origin, "expired", "too_old", "expired", decision_id)
        return self._claimed(change, delivery, decision_id, body)

    def _claimed(
        self, change: Attempt, delivery: Delivery, decision_id: str | None, body: str | None
    ) -> AttemptReceipt:
        claimed = replace(delivery, fence=delivery.fence + 1, sending=True, due=self.world.now + change.lease_ms)
        return AttemptReceipt(self.world.dispatch.put(claimed), decision_id, body, True)

    def _over(
        self,
        change: Attempt,
        delivery: Delivery,
        origin: Origin,
        outcome: DeliveryOutcome,
        reason: str | None,
        result: str,
        decision_id: str | None,
    ) -> AttemptReceipt:
        """It is over without a request."""
        made = Attempted(self.world.now, decision_id, None, result, change.adapter, change.adapter_version)
        kept_basis = delivery.basis if outcome in RETRYABLE else None
        over = replace(
            delivery,
            outcome=outcome,
            reason=reason,
            attempts=(*delivery.attempts, made),
            basis=kept_basis,
            fence=delivery.fence + 1,
        )
        put = self.world.dispatch.put(over)
        self.note(origin, put, f"delivery.{outcome}", {"reasons": reason, "decision_id": decision_id})
        return AttemptReceipt(put, decision_id, None, False, suppressed=outcome == "suppressed")

    def _conclude(self, change: Conclude, origin: Origin) -> ConcludeReceipt:
        delivery, now = self._known(change.delivery_id), self.world.now
        if delivery.fence != change.fence or not delivery.sending:
            return ConcludeReceipt(delivery, False)
        made = Attempted(
            now,
            change.decision_id,
            change.http_status,
            change.result,
            change.adapter,
            change.adapter_version,
            change.fields,
            change.payload_sha256,
        )
        delivery = replace(delivery, attempts=(*delivery.attempts, made), sending=False)
        delivery = _concluded(delivery, change, now)
        put = self.world.dispatch.put(delivery)
        alert = self._destination_after(put, change)
        more: Body = {
            "decision_id": change.decision_id,
            "http_status": change.http_status,
            "result": change.result,
            "payload_sha256": change.payload_sha256,
        }
        action = "attempted" if put.outcome == "pending" else put.outcome
        self.note(origin, put, f"delivery.{action}", more)
        return ConcludeReceipt(put, True, alert)

    def _destination_after(self, delivery: Delivery, change: Conclude) -> str | None:
        """How the destination is doing after this answer; what an operator has to be told, if anything."""
        dispatch, now = self.world.dispatch, self.world.now
        state = dispatch.destination(delivery.destination)
        if change.result == "setup_failed":
            if state.state == "paused":
                return None
            was = state.state
            dispatch.set_destination(replace(state, state="setup_failed", since=now, reason=change.reason))
            return change.reason if was != "setup_failed" else None
        if change.result == "throttled":
            until = max(change.throttle_until, now + change.retry_in_ms)
            held: DestinationMode = "throttled" if state.state == "ok" else state.state
            dispatch.set_destination(replace(state, state=held, until=max(state.until, until)))
        elif change.result in ("retry", "unknown"):
            failures = state.failures + 1
            until = max(state.until, now + later(failures - CIRCUIT_AFTER)) if failures > CIRCUIT_AFTER else state.until
            slowed: DestinationMode = "throttled" if until > now and state.state == "ok" else state.state
            dispatch.set_destination(replace(state, failures=failures, until=until, state=slowed))
        elif state.failures or (state.state == "throttled" and state.until <= now):
            healthy = "ok" if state.state == "throttled" else state.state
            dispatch.set_destination(replace(state, failures=0, state=healthy))
        return None

    def _set(self, change: SetDestination, origin: Origin) -> DestinationReceipt:
        state, now = self.world.dispatch.destination(change.destination), self.world.now
        wanted = DestinationState(change.destination, "paused" if change.pause else "ok", 0, 0, now)
        if state.state == wanted.state and not state.failures:
            return DestinationReceipt(state, False)
        self.world.dispatch.set_destination(wanted)
        self.world.dispatch.entries.append(
            {
                "actor": origin.actor,
                "action": "destination.paused" if change.pause else "destination.resumed",
                "destination": change.destination,
                "outcome": wanted.state,
                "policy_version": self.world.policy.version,
                "request_id": origin.request_id,
            }
        )
        return DestinationReceipt(wanted, True)

    def _retry(self, change: RetryDelivery, origin: Origin) -> DeliveryReceipt:
        delivery = self._known(change.delivery_id)
        if delivery.outcome not in RETRYABLE or delivery.basis is None:
            raise Conflict("Only a delivery that is dead or uncertain can be tried again.")
        again = replace(
            delivery,
            outcome="pending",
            reason=None,
            lane=lane_of(delivery),
            order=self.world.dispatch.next_place(self.world.seq + 1),
            due=0,
            failures=0,
            alone=True,
        )
        put = self.world.dispatch.put(again)
        self.note(origin, put, "delivery.retried", {})
        return DeliveryReceipt(put)


CIRCUIT_AFTER = 5


def _concluded(delivery: Delivery, change: Conclude, now: int) -> Delivery:
    """The delivery after an answer."""
    match change.result:
        case "delivered" | "accepted_unverified" | "not_supported" | "expired":
            return replace(delivery, outcome=change.result, reason=change.reason, basis=None)
        case "dead":
            return replace(delivery, outcome="dead", reason=change.reason)
        case "split":
            return replace(delivery, alone=True, due=now)
        case "setup_failed":
            return replace(delivery, due=now, reason=change.reason)
        case "unknown" if not change.dedups and delivery.action == "send":
            return replace(delivery, outcome="uncertain", reason=change.reason)
        case "throttled":
            return replace(delivery, due=now + change.retry_in_ms, reason=change.reason)
        case _:
            failures = delivery.failures + 1
            if failures >= change.attempts_max or now - delivery.at > change.give_up_ms:
                return replace(delivery, outcome="dead", reason="attempts_exhausted", failures=failures)
            due = now + change.retry_in_ms
            return replace(delivery, failures=failures, due=due, reason=change.reason)

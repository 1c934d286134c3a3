"""What the service can show of its promises, worked out anew from what it keeps, not from counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

from service.clock import Clock
from service.commands.delivery_ports import Deliveries
from service.commands.policies import Policies
from service.commands.ports import Archive, Audit, AuditFilter, Reader
from service.commands.reconciling import Reconciler
from service.control.decide import decide
from service.errors import Erased
from service.model.delivery import Attempted, Delivery
from service.model.times import parse_rfc3339, rfc3339

CHECKED_MAX: Final = 200
RECONSTRUCTED_MAX: Final = 20
_SENT: Final = frozenset({"delivered", "accepted_unverified", "retry", "throttled", "split", "dead", "unknown"})
ENTRIES_MAX: Final = 200


class EventCounts(Protocol):
    """What came in. Raises StoreUnavailable."""

    async def counts(self, since: int | None, until: int | None) -> dict[str, int]:
        """`received`, `accepted`, `duplicate`, `quarantined`, by when they came (ms)."""


class Ledger(Protocol):
    """What the audit says of deliveries. Raises StoreUnavailable."""

    async def intended(self, since: str, until: str) -> int:
        """How many intents of the new path it has (RFC 3339)."""


@dataclass(slots=True)
class Consistency:
    """Attempts whose decision was made again, and those that should not have been sent."""

    checked: int = 0
    violations: int = 0


class Proof:
    """Works the proof out."""

    def __init__(
        self,
        deliveries: Deliveries,
        events: EventCounts,
        ledger: Ledger,
        policies: Policies,
        archive: Archive,
        reader: Reader,
        audit: Audit,
        reconciler: Reconciler,
        clock: Clock,
    ) -> None:
        self._deliveries = deliveries
        self._events = events
        self._ledger = ledger
        self._policies = policies
        self._archive = archive
        self._reader = reader
        self._audit = audit
        self._reconciler = reconciler
        self._clock = clock

    async def report(self, since: int | None, until: int | None) -> dict[str, Any]:
        """All six parts, in the contract's shape. Raises StoreUnavailable."""
        sample = await self._deliveries.attempted(since, until, CHECKED_MAX)
        consent = await self.consistency(sample)
        rolled = await self._deliveries.rollbacks(since, until)
        return {
            "events": await self._counted(since, until),
            "deliveries": await self._delivered(since, until),
            "reconciliation": await self._reconciled(since, until),
            "consent": {"checked": consent.checked, "violations": consent.violations},
            "audit": await self._reconstructed(sample[:RECONSTRUCTED_MAX]),
            "rollback": {"last_seconds": rolled[-1].seconds if rolled else None, "count": len(rolled)},
        }

    async def _counted(self, since: int | None, until: int | None) -> dict[str, int]:
        found = await self._events.counts(since, until)
        known = found["accepted"] + found["duplicate"] + found["quarantined"]
        return {**found, "loss": found["received"] - known}

    async def _delivered(self, since: int | None, until: int | None) -> dict[str, int]:
        by_outcome = await self._deliveries.outcomes(since, until)
        span = rfc3339(since or 0), rfc3339(until or self._clock.now_ms() + 86_400_000)
        eligible = await self._ledger.intended(*span)
        found = {
            "delivered": by_outcome.get("delivered", 0) + by_outcome.get("accepted_unverified", 0),
            "suppressed": by_outcome.get("suppressed", 0),
            "dead": by_outcome.get("dead", 0) + by_outcome.get("expired", 0),
            "pending": by_outcome.get("pending", 0) + by_outcome.get("uncertain", 0),
        }
        return {"eligible": eligible, **found, "loss": eligible - sum(found.values())}

    async def _reconciled(self, since: int | None, until: int | None) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, destination in sorted((await self._policies.current()).destinations.items()):
            if destination.delivery is not None and destination.delivery.acts:
                figures, rule = await self._reconciler.figures(name, since, until)
                found[name] = {"gap": figures.gap, "verdict": figures.verdict(rule)}
        return found

    # ---- decided again

    async def consistency(self, sample: list[Delivery]) -> Consistency:
        """Make the decision of each attempt that was sent again, on the policy and the consent of its time."""
        found = Consistency()
        for delivery in sample:
            for made in delivery.attempts:
                if made.result in _SENT and made.decision_id is not None and delivery.asked is not None:
                    agrees = await self._agrees(delivery, made)
                    if agrees is not None:
                        found.checked += 1
                        found.violations += not agrees
        return found

    async def _agrees(self, delivery: Delivery, made: Attempted) -> bool | None:
        """None: the person was erased since, and nothing is left to decide on."""
        try:
            body = await self._reader.decision(made.decision_id or "")
        except Erased:
            return None
        if body is None or delivery.asked is None:
            return None
        kept = orjson.loads(body)
        at = parse_rfc3339(kept["decided_at"])
        policy = await self._policies.at(kept["policy_version"])
        profile = (await self._archive.profiles_at([delivery.asked], at)).get(delivery.asked)
        if profile is None:
            return None
        again = decide(profile, delivery.asked, delivery.destination, None, None, policy, at)
        given = {f"{one['namespace']}:{one['value']}" for one in kept["identifiers"]}
        return again.outcome != "withhold" and given <= {one.key for one in again.identifiers}

    # ---- reconstructed

    async def _reconstructed(self, sample: list[Delivery]) -> dict[str, Any]:
        """Find for each of a sample who was sent what, when, on which decision and consent, and time it."""
        took: list[float] = []
        complete = 0
        for delivery in sample:
            began = self._clock.monotonic_s()
            complete += await self._is_whole(delivery)
            took.append(self._clock.monotonic_s() - began)
        took.sort()
        verdict = await self._audit.verify()
        return {
            "sampled": len(sample),
            "complete": complete,
            "seconds_p50": took[len(took) // 2] if took else None,
            "verified": verdict.ok,
        }

    async def _is_whole(self, delivery: Delivery) -> bool:
        found = await self._deliveries.delivery(delivery.delivery_id)
        if found is None or found.consent is None:
            return False
        for made in found.attempts:
            if made.decision_id is None or not await self._is_kept(made.decision_id):
                return False
        if found.subject is None:
            return True
        asked = AuditFilter(subject=found.subject, destination=found.destination)
        entries = await self._audit.search(asked, 2**62, ENTRIES_MAX)
        return any(entry.get("delivery_id") == found.delivery_id for entry in entries)

    async def _is_kept(self, decision_id: str) -> bool:
        """Whether a decision is on record; of an erased person there is only that it was made, as there should be."""
        try:
            return await self._reader.decision(decision_id) is not None
        except Erased:
            return True

"""The old stack and the new path, compared event by event; causes in a fixed order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from service.control.conditions import Condition, NotACondition
from service.model.delivery import CAUSES, Cause, Comparison, DeliveryRule, Explanation, Side
from service.model.times import rfc3339

Finding = Literal["equal", "unexplained", "aside"] | Cause
EXAMPLES_MAX = 5
EXPLAINS = frozenset({"event", "ours", "legacy", "field"})


@dataclass(frozen=True, slots=True)
class Known:
    """An explanation with its condition compiled."""

    explanation: Explanation
    condition: Condition

    def covers(self, name: str, values: Mapping[str, Any]) -> bool:
        """Whether it explains a difference in a field."""
        return self.explanation.field in (name, "*") and self.condition.holds({**values, "field": name})


def known_of(explanations: Sequence[Explanation]) -> list[Known]:
    """Explanations that can be asked, in the order of causes."""
    found = []
    for one in explanations:
        try:
            found.append(Known(one, Condition(one.when, EXPLAINS)))
        except NotACondition:
            continue
    return sorted(found, key=lambda known: CAUSES.index(known.explanation.cause))


def differences(ours: Side, legacy: Side) -> list[str]:
    """Names of what differs; of fields those count that the old stack named."""
    found = ["action"] if ours.action != legacy.action else []
    return found + [name for name, value in sorted(legacy.fields.items()) if ours.fields.get(name) != value]


def same(found: Comparison) -> bool:
    """Whether both sides are there, once each, and agree: it stays so without looking at anything else."""
    ours, legacy = found.ours, found.legacy
    if ours is None or legacy is None or not ours.allowed or found.times != 1 or found.owned:
        return False
    return not set(ours.who).isdisjoint(legacy.who) and not differences(ours, legacy)


def _values(found: Comparison) -> dict[str, Any]:
    sides = {name: side.fields if side else {} for name, side in (("ours", found.ours), ("legacy", found.legacy))}
    return {"event": {"source": found.source, "id": found.event_id}, **sides}


def _explained(found: Comparison, names: Sequence[str], known: Sequence[Known]) -> Finding:
    """The first cause, in their order, that the differences need; unexplained where one of them has none."""
    values, causes = _values(found), list[Cause]()
    for name in names:
        cause = next((one.explanation.cause for one in known if one.covers(name, values)), None)
        if cause is None:
            return "unexplained"
        causes.append(cause)
    return min(causes, key=CAUSES.index)


def cause_of(found: Comparison, known: Sequence[Known], window_ms: int, now: int) -> Finding:
    """What became of one event: aside where nobody meant to send it, or the new path owns it."""
    ours, legacy = found.ours, found.legacy
    if found.owned or (legacy is None and (ours is None or not ours.allowed)):
        return "aside"
    if legacy is None or ours is None:
        if now - found.at < window_ms:
            return "timing"
        return _explained(found, ["missing"], known)
    if not ours.allowed:
        return "consent"
    if found.times > 1:
        return "duplicate"
    if set(ours.who).isdisjoint(legacy.who):
        return "identity"
    names = differences(ours, legacy)
    return _explained(found, names, known) if names else "equal"


@dataclass(slots=True)
class Reconciliation:
    """The figures of a comparison. `settled`: those compared that do not wait for a counterpart."""

    equal: int = 0
    explained: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CAUSES, 0))
    unexplained: int = 0
    only_ours: int = 0
    only_legacy: int = 0
    violations: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def compared(self) -> int:
        """Events with an intent on either side."""
        return self.equal + sum(self.explained.values()) + self.unexplained

    @property
    def gap(self) -> float:
        """Unexplained over compared."""
        return self.unexplained / self.compared if self.compared else 0.0

    def verdict(self, rule: DeliveryRule) -> Literal["pass", "fail", "inconclusive"]:
        """No data, or too little of it, never passes."""
        if self.compared - self.explained["timing"] < rule.min_compared:
            return "inconclusive"
        return "fail" if self.gap > rule.max_gap else "pass"

    def as_json(self, rule: DeliveryRule) -> dict[str, Any]:
        """In the contract's shape."""
        return {
            "compared": self.compared,
            "equal": self.equal,
            "explained": dict(self.explained),
            "unexplained": self.unexplained,
            "only_ours": self.only_ours,
            "only_legacy": self.only_legacy,
            "gap": self.gap,
            "verdict": self.verdict(rule),
            "legacy_violations": self.violations,
            "examples": self.examples,
        }


def _side(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {"action": side.action if side.allowed else None, "fields": dict(side.fields), "at": rfc3339(side.at)}


def _example(found: Comparison, cause: Finding) -> dict[str, Any]:
    return {
        "event": {"source": found.source, "id": found.event_id},
        "cause": cause,
        "ours": _side(found.ours),
        "legacy": _side(found.legacy),
        "delivery_id": found.delivery_id,
    }


def reconcile(
    equal: int, others: Iterable[Comparison], rule: DeliveryRule, explanations: Sequence[Explanation], now: int
) -> Reconciliation:
    """`equal`: how many are known to agree; the others are looked at one by one."""
    found = Reconciliation(equal)
    known = known_of(explanations)
    shown: dict[str, int] = {}
    for one in others:
        cause = cause_of(one, known, rule.window_ms, now)
        if cause == "aside":
            continue
        if cause == "equal":
            found.equal += 1
            continue
        if cause == "unexplained":
            found.unexplained += 1
            found.only_ours += one.legacy is None
            found.only_legacy += one.ours is None
        else:
            found.explained[cause] += 1
        found.violations += one.legacy is not None and one.ours is not None and not one.ours.allowed
        shown[cause] = shown.get(cause, 0) + 1
        if shown[cause] <= EXAMPLES_MAX:
            found.examples.append(_example(one, cause))
    return found

"""Changes of deliveries for the one write path, and their receipts. Times in ms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from service.model.delivery import Cause, CutoverStep, Delivery, DestinationState, Explanation, Result
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy
from service.model.policy_versions import PolicyVersion


@dataclass(frozen=True, slots=True)
class Attempt:
    """Claim a delivery and decide anew. `dedups`: the vendor knows one sent twice; `max_age_ms`: older ones it refuses.

    `lease_ms`: for how long it is claimed.
    """

    delivery_id: str
    asked: IdentifierKey | None
    destination: str
    fence: int
    dedups: bool
    max_age_ms: int | None
    lease_ms: int
    adapter: str
    adapter_version: str
    removes: bool


@dataclass(frozen=True, slots=True)
class Conclude:
    """What became of one claimed delivery. `not_before`: as the vendor said. `attempts_max`: then it is dead."""

    delivery_id: str
    fence: int
    decision_id: str | None
    result: Result
    reason: str | None
    http_status: int | None
    fields: tuple[str, ...]
    payload_sha256: str | None
    adapter: str
    adapter_version: str
    dedups: bool
    retry_in_ms: int = 0
    throttle_until: int = 0
    attempts_max: int = 12
    give_up_ms: int = 86_400_000


@dataclass(frozen=True, slots=True)
class SetDestination:
    """An admin pauses a destination, or lets it go on."""

    destination: str
    pause: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RetryDelivery:
    """An admin has a dead or uncertain delivery tried again."""

    delivery_id: str


@dataclass(frozen=True, slots=True)
class TakeLegacy:
    """One thing that the old stack sent. `who`: keyed pseudonyms of the identifiers."""

    record_id: str
    destination: str
    source: str
    event_id: str
    at: int
    action: str
    who: tuple[str, ...]
    fields: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class ExplainDifference:
    """A known difference between the two paths is named."""

    destination: str
    cause: Cause
    field: str
    when: str
    note: str


@dataclass(frozen=True, slots=True)
class CutOver:
    """A step: a policy version with another share, drafted and put in force at once, if `base` still is in force."""

    destination: str
    share: float
    former: float
    reason: str
    forced: bool
    base: int
    document: str
    compiled: Policy
    kind: Literal["step", "rollback", "automatic"] = "step"
    undoes: int | None = None
    triggered_at: int | None = None


DeliveryChange = Attempt | Conclude | SetDestination | RetryDelivery | TakeLegacy | ExplainDifference | CutOver


@dataclass(frozen=True, slots=True)
class AttemptReceipt:
    """A claimed delivery and the decision to send it on; or None where there is nothing to send (any more).

    `body`: the decision as it is kept.
    """

    delivery: Delivery
    decision_id: str | None
    body: str | None
    sends: bool
    suppressed: bool = False
    audit: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class ConcludeReceipt:
    """A delivery as it stands now. Not `counted`: another has claimed it meanwhile."""

    delivery: Delivery | None
    counted: bool
    alert: str | None = None


@dataclass(frozen=True, slots=True)
class DestinationReceipt:
    """A destination as it stands now."""

    state: DestinationState
    applied: bool


@dataclass(frozen=True, slots=True)
class DeliveryReceipt:
    """A delivery as it stands now."""

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class LegacyReceipt:
    """What became of a record of the old stack."""

    record_id: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class ExplanationReceipt:
    """An explanation that counts from now on."""

    explanation: Explanation


@dataclass(frozen=True, slots=True)
class CutOverReceipt:
    """A step that is in force."""

    step: CutoverStep
    kept: PolicyVersion
    former: int


DeliveryReceipts = (
    AttemptReceipt
    | ConcludeReceipt
    | DestinationReceipt
    | DeliveryReceipt
    | LegacyReceipt
    | ExplanationReceipt
    | CutOverReceipt
)

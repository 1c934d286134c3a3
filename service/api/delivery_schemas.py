"""Shapes of deliveries, destinations, comparisons, cutovers and the proof, as the contract has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from service.api.decision_schemas import DecisionOut, EventRefIn
from service.api.schemas import BATCH_MAX, Asked, FieldErrorOut, FreeText, IdentifierIn, Label, Time, TimeText
from service.model.delivery import Action, Cause, DestinationMode, Mode, Outcome, Path

Share = Annotated[float, Field(ge=0, le=1)]
Reason = Annotated[FreeText, Field(min_length=1)]


class AttemptOut(BaseModel):
    """One attempt. `fields` name what was sent; of the values there is a digest."""

    at: TimeText
    decision_id: str | None
    http_status: int | None
    result: str
    adapter: str
    adapter_version: str
    fields: list[str]
    payload_sha256: str | None


class EventRefOut(BaseModel):
    """An event by source and id."""

    source: str
    id: str


class DeliveryOut(BaseModel):
    """A delivery: what is to be sent where, on which decision, and what became of it."""

    delivery_id: str
    action: Action
    destination: str
    event: EventRefOut | None
    profile_id: str | None
    path: Path
    outcome: Outcome
    reason: str | None
    consent: dict[str, Any] | None
    policy_version: int
    at: TimeText
    attempts: list[AttemptOut]


class DeliveriesOut(BaseModel):
    """Deliveries, the newest first."""

    items: list[DeliveryOut]
    next_cursor: str | None


class DestinationOut(BaseModel):
    """A destination that the service serves itself, and how it is doing."""

    name: str
    adapter: str
    manifest: dict[str, Any] | None
    mode: Mode
    share: float
    state: DestinationMode
    reason: str | None
    pending: int
    oldest_pending_at: TimeText | None
    counts: dict[str, int]


class DestinationsOut(BaseModel):
    """All of them, by name."""

    items: list[DestinationOut]
    next_cursor: str | None


class ReasonIn(Asked):
    """Why; may be left out."""

    reason: FreeText = ""


class RetryIn(Asked):
    """Nothing is asked."""


class DestinationStateOut(BaseModel):
    """How a destination is doing now."""

    name: str
    state: DestinationMode


class PreviewIn(Asked):
    """An event, as a CloudEvent or by source and id, and where it would go."""

    destination: Label
    event: dict[str, Any]


class RequestOut(BaseModel):
    """A request as it would be sent, without secrets."""

    method: str
    url: str
    headers: dict[str, str]
    body: Any


class PreviewOut(BaseModel):
    """The decision, which is recorded, and what would be sent on it."""

    decision: DecisionOut
    requests: list[RequestOut]


class LegacyRecordIn(Asked):
    """One thing that the old stack sent."""

    id: Label
    event: EventRefIn
    at: Time
    action: Literal["send", "remove"]
    identifiers: Annotated[list[IdentifierIn], Field(max_length=50)]
    fields: dict[Label, Any] = Field(default_factory=dict)


class LegacyRecordsIn(Asked):
    """Up to 1,000 records."""

    records: list[LegacyRecordIn] = Field(max_length=BATCH_MAX)


class LegacyResultOut(BaseModel):
    """What became of one record."""

    id: str | None
    status: Literal["accepted", "duplicate", "rejected"]
    errors: list[FieldErrorOut]


class LegacyResultsOut(BaseModel):
    """A result for each record, in order."""

    results: list[LegacyResultOut]


class ComparisonOut(BaseModel):
    """One event as an example."""

    event: EventRefOut
    cause: str
    ours: dict[str, Any] | None
    legacy: dict[str, Any] | None
    delivery_id: str | None


class ReconciliationOut(BaseModel):
    """The two paths compared."""

    compared: int
    equal: int
    explained: dict[str, int]
    unexplained: int
    only_ours: int
    only_legacy: int
    gap: float
    verdict: Literal["pass", "fail", "inconclusive"]
    legacy_violations: int
    examples: list[ComparisonOut]


class ExplanationIn(Asked):
    """A known difference: in which field, when (CEL over `ours`, `legacy`, `event`, `field`), and why."""

    cause: Literal["mapping", "legacy_defect"]
    field: Label
    when: Annotated[str, Field(min_length=1, max_length=4096)]
    note: Reason


class ExplanationOut(BaseModel):
    """An explanation that counts."""

    explanation_id: str
    destination: str
    cause: Cause
    field: str
    when: str
    note: str
    at: TimeText


class CutOverIn(Asked):
    """A step to another share. `force`: although the figures do not allow it."""

    share: Share
    reason: Reason
    force: bool = False


class RollBackIn(Asked):
    """Why it is rolled back."""

    reason: Reason


class CutOverOut(BaseModel):
    """A step that is in force."""

    share: float
    policy_version: int
    reconciliation: ReconciliationOut


class StepOut(BaseModel):
    """A step that was made."""

    at: TimeText
    kind: Literal["step", "rollback", "automatic"]
    share: float
    former: float
    reason: str
    forced: bool
    policy_version: int
    actor: str
    undone: bool
    seconds: float | None


class StepsOut(BaseModel):
    """Steps, the oldest first."""

    items: list[StepOut]
    next_cursor: str | None


class ProofEventsOut(BaseModel):
    """What came in, and what became of it."""

    received: int
    accepted: int
    duplicate: int
    quarantined: int
    loss: int


class ProofDeliveriesOut(BaseModel):
    """Intents of the new path, as the audit has them, and what became of them."""

    eligible: int
    delivered: int
    suppressed: int
    dead: int
    pending: int
    loss: int


class ProofConsentOut(BaseModel):
    """Attempts whose decision was made again."""

    checked: int
    violations: int


class ProofAuditOut(BaseModel):
    """Attempts that were reconstructed; whether the chain holds."""

    sampled: int
    complete: int
    seconds_p50: float | None
    verified: bool


class ProofRollbackOut(BaseModel):
    """Roll-backs, and how long the last one took."""

    last_seconds: float | None
    count: int


class ProofGapOut(BaseModel):
    """How far the paths are apart at one destination."""

    gap: float
    verdict: Literal["pass", "fail", "inconclusive"]


class ProofOut(BaseModel):
    """All of it."""

    events: ProofEventsOut
    deliveries: ProofDeliveriesOut
    reconciliation: dict[str, ProofGapOut]
    consent: ProofConsentOut
    audit: ProofAuditOut
    rollback: ProofRollbackOut

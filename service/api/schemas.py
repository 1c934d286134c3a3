"""Shapes of requests and answers, as the contract has them. Requests are read strictly; unknown fields are refused."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from service.errors import BadValue
from service.model.times import parse_rfc3339

TEXT_LENGTH_MAX = 512
BATCH_MAX = 1_000
_LABEL = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,128}")


def _time(value: object) -> int:
    if isinstance(value, str):
        try:
            return parse_rfc3339(value)
        except (ValueError, OverflowError):
            pass
    raise BadValue("must be an RFC 3339 time such as 2026-11-24T10:00:00Z")


def _label(value: object) -> str:
    if not isinstance(value, str) or not _LABEL.fullmatch(value):
        raise BadValue("must be 1 to 128 printable characters")
    return value


def _free_text(value: object) -> str:
    if not isinstance(value, str) or len(value) > TEXT_LENGTH_MAX:
        raise BadValue(f"must be text of at most {TEXT_LENGTH_MAX} characters")
    if any((c < " " and c not in "\n\t") or "\ud800" <= c <= "\udfff" for c in value):
        raise BadValue("holds a control character")
    return value


def _given(value: object) -> object:
    if value is None:
        raise BadValue("must be a number where it is given")
    return value


_CONFIDENCE: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}
Time = Annotated[int, BeforeValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})]
TimeText = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Label = Annotated[str, BeforeValidator(_label), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 128})]
FreeText = Annotated[str, BeforeValidator(_free_text), WithJsonSchema({"type": "string", "maxLength": TEXT_LENGTH_MAX})]
Confidence = Annotated[float, Field(ge=0, le=1)]
ProfileIdText = Annotated[str, StringConstraints(pattern=r"^prf_[A-Za-z0-9_-]{1,64}$")]


class Asked(BaseModel):
    """A request body."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class IdentifierIn(Asked):
    """An identifier; `plain` for a value of a hashed namespace that is digested on arrival and kept nowhere."""

    namespace: Annotated[str, StringConstraints(max_length=64)]
    value: Annotated[str, StringConstraints(max_length=4_096)]
    plain: bool = False


class LinkIn(Asked):
    """A source's statement that two identifiers belong together. Without `confidence`: what the policy gives it; null
    is no confidence.
    """

    a: IdentifierIn
    b: IdentifierIn
    method: Literal["deterministic", "probabilistic"]
    confidence: Annotated[Confidence | None, BeforeValidator(_given), WithJsonSchema(_CONFIDENCE)] = None
    source: Label
    rule: Label
    rule_version: Label | None = None
    observed_at: Time | None = None
    expires_at: Time | None = None
    evidence: dict[str, Any] | None = None


class LinksIn(Asked):
    """Up to 1,000 links; each is answered in its place."""

    links: list[LinkIn] = Field(max_length=BATCH_MAX)


class LookupIn(Asked):
    """Up to 1,000 identifiers; each is answered in its place."""

    identifiers: list[IdentifierIn] = Field(max_length=BATCH_MAX)
    purpose: Label | None = None
    min_confidence: Confidence | None = None
    as_of: Time | None = None


class MergeIn(Asked):
    """Profiles that are one person. `survivor` names the one whose id is kept; without it seniority decides."""

    profiles: list[ProfileIdText] = Field(min_length=2, max_length=100)
    survivor: ProfileIdText | None = None
    reason: FreeText
    preview: bool = False


class SplitIn(Asked):
    """Identifiers that leave a profile and stay apart from those who remain."""

    identifiers: list[IdentifierIn] = Field(max_length=BATCH_MAX)
    reason: FreeText
    preview: bool = False


class UndoIn(Asked):
    """Why an assertion is taken back."""

    reason: FreeText = ""
    preview: bool = False


class RevocationIn(Asked):
    """What a person withdraws. Without `regulation` all are meant; `*` is every purpose, the linking one too."""

    identifier: IdentifierIn
    scope: Literal["purposes", "linking", "erase"]
    purposes: list[Label] = Field(default=["*"], min_length=1, max_length=100)
    regulation: Label | None = None
    source: Label = "api"
    at: Time | None = None
    reason: FreeText = ""


class ReviewIn(Asked):
    """A verdict. `same` and `different` make an assertion, `dismiss` none."""

    verdict: Literal["same", "different", "dismiss"]
    reason: FreeText = ""


# ---- answers (for the documentation; answers are built as JSON directly)


class Named(BaseModel):
    """An identifier by its name."""

    namespace: str
    value: str


class IdentifierOut(Named):
    """An identifier of a profile; `confidence` as seen from the one asked about."""

    kind: Literal["person", "device", "session", "household"]
    confidence: float
    first_seen: TimeText
    last_seen: TimeText
    sources: list[str]


class ConsentOut(BaseModel):
    """What counts for one purpose."""

    state: Literal["granted", "denied", "withdrawn", "expired", "unknown"]
    regulation: str | None
    basis: str | None
    source: str | None
    at: TimeText | None
    expires_at: TimeText | None


class ProfileOut(BaseModel):
    """A profile as the identifier asked about sees it."""

    profile_id: str
    redirected_from: str | None
    state: Literal["known", "anonymous"]
    asked: Named
    identifiers: list[IdentifierOut]
    consent: dict[str, ConsentOut]
    traits: dict[str, Any]
    households: list[Named]
    policy_version: int
    resolved_at: TimeText
    valid_until: TimeText | None


class FieldErrorOut(BaseModel):
    """One thing wrong with one place of the request."""

    pointer: str
    message: str


class ProblemOut(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldErrorOut] | None = None


class ProblemItem(BaseModel):
    """An error in its place in a batch."""

    error: ProblemOut


class LookupOut(BaseModel):
    """Answers in the order asked."""

    results: list[ProfileOut | ProblemItem]


class LinkResult(BaseModel):
    """What became of one link."""

    link_id: str | None
    status: Literal["linked", "withheld", "duplicate", "rejected"]
    reason: str | None
    profile_id: str | None
    errors: list[FieldErrorOut]


class LinkResults(BaseModel):
    """Answers in the order sent."""

    results: list[LinkResult]


class LinkFieldOut(BaseModel):
    """What one field of two records says; `weight`: log-odds of one person against the rest."""

    field: str
    level: Literal["missing", "equal", "close", "similar", "different"]
    weight: float


class LevelOut(BaseModel):
    """A field at another level."""

    field: str
    level: Literal["equal", "different"]


class WouldMakeOut(BaseModel):
    """What would make a link certain enough, and how certain."""

    fields: list[LevelOut]
    confidence: float


class LinkOut(BaseModel):
    """A link as it is kept. One that follows from records has `fields`, and `would_make` where it is too uncertain."""

    link_id: str
    a: Named
    b: Named
    method: Literal["deterministic", "probabilistic"]
    confidence: float
    source: str
    rule: str
    rule_version: str | None
    observed_at: TimeText
    first_observed_at: TimeText
    expires_at: TimeText | None
    evidence: dict[str, Any] | None
    status: Literal["linked", "withheld", "retracted"]
    reason: str | None
    fields: list[LinkFieldOut] = []
    would_make: list[WouldMakeOut] = []


class GroupingOut(BaseModel):
    """A profile with its identifiers."""

    profile_id: str
    identifiers: list[Named]


class StewardOut(BaseModel):
    """What a merge, split or undo did, or would do."""

    assertion_id: str | None
    before: list[GroupingOut]
    after: list[GroupingOut]
    applied: bool


class WebhookOut(BaseModel):
    """A webhook whose changes are in force on every instance; `duplicate`: by an earlier delivery."""

    status: Literal["applied", "duplicate"]
    enforced: bool


class RevocationOut(BaseModel):
    """A revocation in force on every instance."""

    revocation_id: str
    profiles: list[str]
    enforced: bool


class GoneOut(BaseModel):
    """Whether a store still holds anything of an erased person that nobody is given."""

    state: Literal["pending", "done"]
    at: TimeText | None


class PhysicalOut(BaseModel):
    """What is physically gone, store by store."""

    graph: GoneOut
    cache: GoneOut
    record: GoneOut


class RevocationKept(RevocationOut):
    """A revocation as it is kept; the person is not named. `physical`: of an erasure."""

    scope: Literal["purposes", "linking", "erase"]
    purposes: list[str]
    regulation: str | None
    source: str
    at: TimeText
    received_at: TimeText
    physical: PhysicalOut | None


class EdgeOut(LinkOut):
    """A link of a graph; one of a past view has no id, source and rule any more."""

    link_id: str | None  # type: ignore[assignment]
    source: str | None  # type: ignore[assignment]
    rule: str | None  # type: ignore[assignment]


class BlockOut(BaseModel):
    """A link that does not join, why, and what is in its way: identifiers or assertions."""

    link: LinkOut
    reason: str
    conflicts_with: list[str]


class SuggestionOut(BaseModel):
    """A change that would join the two, tried and found to do so."""

    action: Literal["undo", "observe", "merge", "retract", "undo_and_merge"]
    ids: list[str]
    says: str


class ExplanationOut(BaseModel):
    """Why two identifiers are or are not one person."""

    same_profile: bool
    confidence: float | None
    path: list[LinkOut]
    blocked_by: list[BlockOut]
    would_join: list[SuggestionOut]


class NodeOut(Named):
    """An identifier in the graph around a profile."""

    kind: Literal["person", "device", "session", "household"]
    profile_id: str | None


class GraphOut(BaseModel):
    """A profile's identifiers and every link at them. `truncated`: there are more links than are shown."""

    profile_id: str
    nodes: list[NodeOut]
    edges: list[EdgeOut]
    truncated: bool


class HistoryItemOut(BaseModel):
    """One change of a profile."""

    at: TimeText
    actor: str
    action: str
    reason: str
    types: list[str]
    before: list[GroupingOut]
    after: list[GroupingOut]


class HistoryOut(BaseModel):
    """Newest first."""

    items: list[HistoryItemOut]
    next_cursor: str | None


class AssertionOut(BaseModel):
    """A steward's assertion. `identifiers`: the one group that is the same, or the two that are different."""

    assertion_id: str
    kind: Literal["same", "different"]
    identifiers: list[list[Named]]
    seniors: list[Named]
    at: TimeText
    actor: str
    reason: str
    undone: bool


class AssertionsOut(BaseModel):
    """Newest first."""

    items: list[AssertionOut]
    next_cursor: str | None


class HouseholdOut(BaseModel):
    """The profiles that a household groups."""

    profiles: list[str]


class EventOut(BaseModel):
    """An entry of the change feed; what it has beside these depends on its type."""

    model_config = ConfigDict(extra="allow")
    seq: int
    at: TimeText
    type: str
    profile_id: str | None


class ChangesOut(BaseModel):
    """A page of the change feed; go on from `next`."""

    items: list[EventOut]
    next: int


class ReviewOut(BaseModel):
    """A link that waits for a decision, or on which one was made; `worth`: how much the decision brings."""

    review_id: str
    status: Literal["open", "same", "different", "dismissed"]
    reason: str | None
    worth: float | None
    link: LinkOut


class ReviewsOut(BaseModel):
    """The most worthwhile first."""

    items: list[ReviewOut]
    next_cursor: str | None


class VerdictOut(StewardOut):
    """What a verdict did."""

    review_id: str
    status: Literal["same", "different", "dismissed"]


class AuditEntryOut(BaseModel):
    """An audit entry; some actions carry more fields."""

    model_config = ConfigDict(extra="allow")
    seq: int
    at: TimeText
    actor: str | None
    action: str
    subject: str | None
    profile_id: str | None
    destination: str | None
    purpose: str | None
    consent: str | None
    outcome: str | None
    policy_version: int | None
    request_id: str | None
    hash: str
    prev_hash: str


class AuditOut(BaseModel):
    """Newest first."""

    items: list[AuditEntryOut]
    next_cursor: str | None


class AuditVerdictOut(BaseModel):
    """Whether the chain holds; where it does not, the first sequence number that does not fit."""

    ok: bool
    entries: int
    first_bad_seq: int | None


class StoreState(BaseModel):
    """One thing that readiness rests on."""

    state: str


class Readiness(BaseModel):
    """Whether the service can answer, and how each store is."""

    status: Literal["ready", "degraded", "not_ready"]
    neo4j: StoreState
    redis: StoreState
    migrations: StoreState


class Health(BaseModel):
    """The process is up."""

    status: Literal["ok"]

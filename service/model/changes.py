"""Changes: the input of the write path, and receipts: its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from service.model.decision import Decision
from service.model.delivery_changes import CutOver, DeliveryChange, DeliveryReceipts
from service.model.events import EventReceipt, QuarantineEvent, RecordEvent, RegisterSchema, SchemaReceipt
from service.model.evidence import Assertion, ConsentRecord, ConsentState, Link, Method, Reason, Verdict
from service.model.identifiers import AssertionId, IdentifierKey, LinkId, ProfileId
from service.model.matching_models import ModelChange, ModelReceipt
from service.model.policy import Policy
from service.model.policy_versions import Pass, PolicyVersion
from service.model.record_acts import ActReceipt, NoteAct
from service.model.records import RecordChange, RecordReceipt
from service.model.traits import Trait, TraitValue

Scope = Literal["purposes", "linking", "erase"]


@dataclass(frozen=True, slots=True)
class ObserveLink:
    """A source reports that two identifiers belong together. `observed_at` None: now. `assumed`: see `Link`."""

    link_id: LinkId
    a: IdentifierKey
    b: IdentifierKey
    method: Method
    confidence: float
    source: str
    rule: str
    rule_version: str | None = None
    observed_at: int | None = None
    expires_at: int | None = None
    evidence: str | None = None
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class ObserveTraits:
    """A source reports traits of the person behind an identifier. `observed_at` None: now."""

    identifier: IdentifierKey
    traits: tuple[tuple[str, TraitValue], ...]
    source: str
    observed_at: int | None = None


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Time went by: work out anew which audiences the profiles of these identifiers are in."""

    keys: tuple[IdentifierKey, ...]


@dataclass(frozen=True, slots=True)
class RetractLink:
    """Take one link back; it stays in history and returns only with a newer observation."""

    link_id: LinkId
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Merge:
    """A steward says that the profiles are one person."""

    profiles: tuple[ProfileId, ...]
    survivor: ProfileId | None
    reason: str
    preview: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """A steward says that these identifiers of a profile are somebody else's."""

    profile: ProfileId
    identifiers: tuple[IdentifierKey, ...]
    reason: str
    preview: bool = False


@dataclass(frozen=True, slots=True)
class Undo:
    """Take an assertion back."""

    assertion_id: AssertionId
    reason: str
    preview: bool = False


@dataclass(frozen=True, slots=True)
class RecordConsent:
    """What a person said about purposes. `at` None: now; `regulation` None: all. `notice`, `signal`: JSON text.

    `unreadable`: it is refused since the signal could not be read.
    """

    identifier: IdentifierKey
    states: tuple[tuple[str, ConsentState], ...]
    regulation: str | None = None
    basis: str | None = None
    source: str = ""
    at: int | None = None
    expires_at: int | None = None
    notice: str | None = None
    method: str | None = None
    signal: str | None = None
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Revoke:
    """A person withdraws: purposes ('*' for all), or being linked; or is to be erased. `at` None: now; `regulation`
    None: all.
    """

    identifier: IdentifierKey
    scope: Scope
    purposes: tuple[str, ...] = ("*",)
    regulation: str | None = None
    source: str = ""
    at: int | None = None
    reason: str = ""

    @property
    def erases(self) -> bool:
        """Whether the person is to be erased."""
        return self.scope == "erase"


@dataclass(frozen=True, slots=True)
class Judge:
    """A steward's verdict on a link that waits for review: the first two make an assertion about its two ends."""

    link_id: LinkId
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revocation as it is kept. `nameless`: of somebody erased; the graph keeps a keyed hash instead of `identifier`.

    `seq`: of its change; `gone_at`, `record_gone_at` (ms): since when nothing of an erased person is left in the files
    of the graph and of the record. `cached`: the cache may still hold something of it, which nobody is given.
    """

    revocation_id: str
    identifier: IdentifierKey
    scope: Scope
    purposes: tuple[str, ...]
    regulation: str | None
    source: str
    at: int
    received_at: int
    reason: str
    actor: str
    profiles: tuple[ProfileId, ...] = ()
    nameless: bool = False
    seq: int | None = None
    gone_at: int | None = None
    record_gone_at: int | None = None
    cached: bool = False

    @property
    def erases(self) -> bool:
        """Whether the person is to be erased."""
        return self.scope == "erase"


@dataclass(frozen=True, slots=True)
class ExpireDue:
    """Flip the links that have fallen due: all (up to a limit), or those that a reader met at `keys`."""

    keys: tuple[IdentifierKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Decide:
    """What may a destination be given of a person? Changes no evidence; it is recorded before it is answered."""

    identifier: IdentifierKey
    destination: str
    purpose: str | None = None
    regulation: str | None = None


@dataclass(frozen=True, slots=True)
class Disclose:
    """A person asks for their own data. Changes no evidence; it is recorded before it is answered."""

    identifier: IdentifierKey
    kind: Literal["access", "portability"]


@dataclass(frozen=True, slots=True)
class KeptIdentifier:
    """An identifier as an export has it, beside its links. Times in ms; `first_seen` None: only consent is known."""

    key: IdentifierKey
    first_seen: int | None
    last_seen: int | None
    sources: tuple[str, ...] = ()
    consents: tuple[ConsentRecord, ...] = ()
    traits: tuple[Trait, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptConsent:
    """A consent record as an export has it: the history behind what an identifier carries."""

    key: IdentifierKey
    record: ConsentRecord


@dataclass(frozen=True, slots=True)
class KeptId:
    """A profile id that was handed out once, with the identifier that it was born from."""

    profile_id: ProfileId
    born: IdentifierKey


Kept = KeptIdentifier | KeptConsent | KeptId | Link | Assertion | Revocation


@dataclass(frozen=True, slots=True)
class Restore:
    """Take in evidence as an export has it. `resolves`: profiles follow from it now; else with what comes after."""

    kept: Kept
    resolves: bool = True


@dataclass(frozen=True, slots=True)
class DraftPolicy:
    """A new version of the policy, as JSON text; `compiled` is the same, read outside the turn."""

    document: str
    compiled: Policy


@dataclass(frozen=True, slots=True)
class ActivatePolicy:
    """Put a version in force; None: roll back to the one that was in force before."""

    version: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ResolveAnew:
    """Go on with the pass that an activation began, by so many links or identifiers."""

    limit: int


# What is carried out in steps that are settled together, and with it what is only decided.
Said = (
    ObserveLink
    | ObserveTraits
    | RetractLink
    | Merge
    | Split
    | Undo
    | Judge
    | RecordConsent
    | Revoke
    | ExpireDue
    | Restore
    | Disclose
    | RecordEvent
    | QuarantineEvent
    | RegisterSchema
    | NoteAct
    | RecordChange
)
PolicyAct = DraftPolicy | ActivatePolicy | ResolveAnew | LookAgain | ModelChange | CutOver
Evidence = Said | PolicyAct
Change = Evidence | Decide | DeliveryChange


@dataclass(frozen=True, slots=True)
class Grouping:
    """A profile as a steward is shown it, before or after."""

    profile_id: ProfileId
    identifiers: tuple[IdentifierKey, ...]


@dataclass(frozen=True, slots=True)
class LinkReceipt:
    """What became of an observed or retracted link. Not `applied`: it had been retracted already."""

    link_id: LinkId
    status: Literal["linked", "withheld", "duplicate", "retracted"]
    reason: Reason | None = None
    profile_id: ProfileId | None = None
    applied: bool = True


@dataclass(frozen=True, slots=True)
class TraitsReceipt:
    """What became of reported traits. Not `accepted`: nothing of it is news."""

    accepted: bool
    profile_id: ProfileId | None


@dataclass(frozen=True, slots=True)
class StewardReceipt:
    """What a merge, split or undo did, or would do."""

    assertion_id: AssertionId | None
    before: tuple[Grouping, ...]
    after: tuple[Grouping, ...]
    applied: bool


@dataclass(frozen=True, slots=True)
class ConsentReceipt:
    """Consent records that count from now on, where no newer one does."""

    consent_ids: tuple[str, ...]
    profile_id: ProfileId | None


@dataclass(frozen=True, slots=True)
class RevocationReceipt:
    """A revocation that is in force."""

    revocation_id: str
    profiles: tuple[ProfileId, ...]


@dataclass(frozen=True, slots=True)
class SweepReceipt:
    """How many links and grants of linking were flipped, or profiles looked at."""

    flipped: int


@dataclass(frozen=True, slots=True)
class DecisionReceipt:
    """A decision and its record. `body`: the JSON that it is answered with, now and later."""

    decision_id: str
    decision: Decision
    body: str


@dataclass(frozen=True, slots=True)
class RestoreReceipt:
    """A piece of an export is there. `added`: it was not before."""

    added: bool = True


@dataclass(frozen=True, slots=True)
class PolicyReceipt:
    """A version is drafted or in force. `applied`: it was not before. `failing`: its own examples that do not hold."""

    kept: PolicyVersion
    applied: bool
    running: Pass
    former: int | None = None
    failing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PassReceipt:
    """How far the pass has come. `ends`: with this stretch it is over."""

    running: Pass
    ends: bool = False


@dataclass(frozen=True, slots=True)
class DiscloseReceipt:
    """That a person was told is recorded."""

    profile_id: ProfileId | None


Receipt = (
    LinkReceipt
    | StewardReceipt
    | ConsentReceipt
    | RevocationReceipt
    | SweepReceipt
    | DecisionReceipt
    | RestoreReceipt
    | PolicyReceipt
    | PassReceipt
    | TraitsReceipt
    | DiscloseReceipt
    | DeliveryReceipts
    | EventReceipt
    | SchemaReceipt
    | ActReceipt
    | RecordReceipt
    | ModelReceipt
)


@dataclass(frozen=True, slots=True)
class Remembered:
    """Idempotency of one request: its scoped key and the digest of its body."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks: `actor` names a key or source and never shows it."""

    actor: str
    request_id: str = ""
    remembered: Remembered | None = field(default=None)

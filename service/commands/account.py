"""Audit entries for what a turn did. Pure: subjects are keyed pseudonyms, free text only a salted digest."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from service.model.changes import (
    ActivatePolicy,
    Change,
    ConsentReceipt,
    Decide,
    DecisionReceipt,
    Disclose,
    DiscloseReceipt,
    DraftPolicy,
    ExpireDue,
    Judge,
    LinkReceipt,
    LookAgain,
    Merge,
    ObserveLink,
    ObserveTraits,
    Origin,
    PassReceipt,
    PolicyReceipt,
    Receipt,
    RecordConsent,
    ResolveAnew,
    Restore,
    RestoreReceipt,
    RetractLink,
    RevocationReceipt,
    Revoke,
    Split,
    StewardReceipt,
    TraitsReceipt,
    Undo,
)
from service.model.delivery_changes import (
    Attempt,
    Conclude,
    CutOver,
    ExplainDifference,
    RetryDelivery,
    SetDestination,
    TakeLegacy,
)
from service.model.events import EventReceipt, QuarantineEvent, RecordEvent, RegisterSchema, SchemaReceipt
from service.model.matching_models import BeginTraining, EndTraining, ModelReceipt
from service.model.record_acts import NoteAct
from service.model.records import ObserveRecord, RecordReceipt, WithdrawRecord

Body = dict[str, object]
Pseudonym = Callable[[str], str]


# One name for each kind of change, in the audit and in the history of profiles.
ACTIONS: dict[type[Change], str] = {
    ObserveLink: "links.observed",
    RetractLink: "link.retracted",
    Merge: "profile.merge",
    Split: "profile.split",
    Undo: "assertion.undo",
    Judge: "review.judged",
    RecordConsent: "consent.recorded",
    Revoke: "consent.revoked",
    ExpireDue: "links.expired",
    Decide: "decision",
    Restore: "evidence.restored",
    DraftPolicy: "policy.drafted",
    ActivatePolicy: "policy.activated",
    ResolveAnew: "policy.resolved",
    ObserveTraits: "traits.observed",
    LookAgain: "audiences.refreshed",
    Disclose: "subject.disclosed",
    Attempt: "delivery.attempt",
    Conclude: "delivery.concluded",
    SetDestination: "destination.set",
    RetryDelivery: "delivery.retried",
    TakeLegacy: "legacy.taken",
    ExplainDifference: "cutover.explained",
    CutOver: "cutover.step",
    RecordEvent: "events.recorded",
    QuarantineEvent: "events.quarantined",
    RegisterSchema: "schema.registered",
    NoteAct: "record.act",
    ObserveRecord: "records.observed",
    WithdrawRecord: "record.withdrawn",
    BeginTraining: "model.training",
    EndTraining: "model.trained",
}


def pseudonyms_under(secret: bytes) -> Pseudonym:
    """Keyed pseudonyms: HMAC-SHA-256 of the identifier key, 128 bits of it."""

    def pseudonym(text: str) -> str:
        return "sub_" + hmac.new(secret, f"subject\0{text}".encode(), hashlib.sha256).hexdigest()[:32]

    return pseudonym


def links_entry(origin: Origin, statuses: Mapping[str, int], links_sha256: str, policy_version: int) -> list[Body]:
    """The one entry for all links of a request's share of a turn; none where every one of them was a duplicate.

    `statuses`: how many links became what. `links_sha256`: over their sorted ids.
    """
    counts = {status: count for status, count in statuses.items() if status != "duplicate"}
    if not counts:
        return []
    return [
        {
            "actor": origin.actor,
            "action": ACTIONS[ObserveLink],
            "outcome": ", ".join(f"{status} {count}" for status, count in sorted(counts.items())),
            "links_sha256": links_sha256,
            "policy_version": policy_version,
            "request_id": origin.request_id,
        }
    ]


def _links(origin: Origin, done: Sequence[LinkReceipt], policy_version: int) -> list[Body]:
    digest = hashlib.sha256("\n".join(sorted(receipt.link_id for receipt in done)).encode()).hexdigest()
    return links_entry(origin, Counter(receipt.status for receipt in done), digest, policy_version)


def _events(
    origin: Origin, done: Sequence[tuple[Change, Receipt]], policy_version: int, pseudonym: Pseudonym
) -> list[Body]:
    """One entry for all events of a request's share of a turn, and one for each that changed what may be done with its
    person: a page view mostly says what was said before.
    """
    told = [
        (change, receipt)
        for change, receipt in done
        if isinstance(change, RecordEvent | QuarantineEvent) and isinstance(receipt, EventReceipt)
    ]
    counts = Counter("replayed" if receipt.replayed else receipt.status for _, receipt in told)
    del counts["duplicate"]
    if not counts:
        return []
    keys = [change.event.key for change, _ in told if isinstance(change, RecordEvent)]
    body: Body = {"actor": origin.actor, "policy_version": policy_version, "request_id": origin.request_id}
    bodies = [
        body
        | {
            "action": ACTIONS[RecordEvent],
            "outcome": ", ".join(f"{status} {count}" for status, count in sorted(counts.items())),
            "events_sha256": hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest(),
        }
    ]
    for change, receipt in told:
        if isinstance(change, RecordEvent) and receipt.consented:
            said = [one for statement in change.statements for one in statement.states]
            bodies += [
                body
                | {
                    "action": ACTIONS[RecordConsent],
                    "subject": pseudonym(key),
                    "profile_id": receipt.profile_id,
                    "purpose": ",".join(purpose for purpose, _ in said),
                    "consent": ",".join(state for _, state in said),
                }
                for key in change.event.identifiers
            ]
    return bodies


def _records(origin: Origin, done: Sequence[Receipt], policy_version: int) -> list[Body]:
    """The one entry for all records of a request's share of a turn; none where every one of them was a duplicate."""
    accepted = [r for r in done if isinstance(r, RecordReceipt) and r.status == "accepted"]
    if not accepted:
        return []
    outcome = f"accepted {len(accepted)}, matches {sum(len(receipt.matches) for receipt in accepted)}"
    body: Body = {"actor": origin.actor, "action": ACTIONS[ObserveRecord], "outcome": outcome}
    return [body | {"policy_version": policy_version, "request_id": origin.request_id}]


def _decision(change: Decide, receipt: DecisionReceipt, pseudonym: Pseudonym) -> Body:
    """Names that the policy does not know are free text of the caller's, and left out."""
    decision = receipt.decision
    known = "destination_not_in_policy" not in decision.reasons
    return {
        "action": ACTIONS[Decide],
        "subject": pseudonym(change.identifier),
        "profile_id": decision.profile_id,
        "destination": change.destination if known else None,
        "purpose": decision.purpose,
        "consent": decision.consent.state,
        "regulation": decision.consent.regulation,
        "outcome": decision.outcome,
        "reasons": ",".join(decision.reasons),
        "decision_id": receipt.decision_id,
    }


def _one(origin: Origin, change: Change, receipt: Receipt, policy_version: int, pseudonym: Pseudonym) -> list[Body]:
    body: Body = {"actor": origin.actor, "policy_version": policy_version, "request_id": origin.request_id}
    if isinstance(change, RetractLink) and isinstance(receipt, LinkReceipt):
        if not receipt.applied:
            return []
        body |= {"action": ACTIONS[RetractLink], "link_id": receipt.link_id, "profile_id": receipt.profile_id}
        reason = change.reason
    elif isinstance(change, Merge | Split | Undo | Judge) and isinstance(receipt, StewardReceipt):
        if not receipt.applied:
            return []
        shown = receipt.after or receipt.before
        body |= {
            "action": ACTIONS[type(change)],
            "assertion_id": receipt.assertion_id,
            "profile_id": shown[0].profile_id if shown else None,
        }
        reason = change.reason
    elif isinstance(change, RecordConsent) and isinstance(receipt, ConsentReceipt):
        body |= {
            "action": ACTIONS[RecordConsent],
            "subject": pseudonym(change.identifier),
            "profile_id": receipt.profile_id,
            "purpose": ",".join(purpose for purpose, _ in change.states),
            "consent": ",".join(state for _, state in change.states),
        }
        reason = ""
    elif isinstance(change, Revoke) and isinstance(receipt, RevocationReceipt):
        body |= {
            "action": f"{ACTIONS[Revoke]}.{change.scope}",
            "subject": pseudonym(change.identifier),
            "profile_id": receipt.profiles[0] if receipt.profiles else None,
            "purpose": ",".join(change.purposes) if change.scope == "purposes" else None,
            "revocation_id": receipt.revocation_id,
        }
        reason = change.reason
    elif isinstance(change, DraftPolicy | ActivatePolicy) and isinstance(receipt, PolicyReceipt):
        if not receipt.applied:
            return []
        action = "policy.rolled_back" if isinstance(change, ActivatePolicy) and change.version is None else None
        body |= {"action": action or ACTIONS[type(change)], "outcome": f"version {receipt.kept.version}"}
        reason = change.reason if isinstance(change, ActivatePolicy) else ""
    elif isinstance(change, ObserveTraits) and isinstance(receipt, TraitsReceipt):
        if not receipt.accepted:
            return []
        body |= {
            "action": ACTIONS[ObserveTraits],
            "subject": pseudonym(change.identifier),
            "profile_id": receipt.profile_id,
        }
        reason = ""
    elif isinstance(change, WithdrawRecord) and isinstance(receipt, RecordReceipt):
        body |= {
            "action": ACTIONS[WithdrawRecord],
            "subject": pseudonym(change.identifier),
            "profile_id": receipt.profile_id,
        }
        reason = ""
    elif isinstance(change, BeginTraining | EndTraining) and isinstance(receipt, ModelReceipt):
        if not receipt.applied:
            return []
        body |= {"action": ACTIONS[type(change)], "outcome": f"{receipt.kept.model} {receipt.kept.state}"}
        reason = ""
    elif isinstance(change, ResolveAnew) and isinstance(receipt, PassReceipt):
        if not receipt.ends:
            return []  # one entry a pass
        body |= {"action": ACTIONS[ResolveAnew], "outcome": f"looked at {receipt.running.done}"}
        reason = ""
    elif isinstance(change, Disclose) and isinstance(receipt, DiscloseReceipt):
        body |= {
            "action": ACTIONS[Disclose],
            "subject": pseudonym(change.identifier),
            "profile_id": receipt.profile_id,
            "outcome": change.kind,
        }
        reason = ""
    elif isinstance(change, RegisterSchema) and isinstance(receipt, SchemaReceipt):
        if not receipt.added:
            return []
        body |= {"action": ACTIONS[RegisterSchema], "outcome": f"{change.type}/{change.version}"}
        reason = ""
    elif isinstance(change, NoteAct):
        body |= {"action": change.action, "outcome": change.outcome}
        reason = ""
    elif isinstance(change, Decide) and isinstance(receipt, DecisionReceipt):
        return [body | _decision(change, receipt, pseudonym)]
    else:
        return []
    if reason:
        body["reason_digest"] = pseudonym(f"{origin.request_id}\0{reason}")
    return [body]


def entries_of(
    origin: Origin,
    done: Sequence[tuple[Change, Receipt]],
    policy_version: int,
    pseudonym: Pseudonym,
) -> list[Body]:
    """The audit entries of one request's share of a turn: one for all its links, one for all its records, one for each
    other change.
    """
    links = [r for c, r in done if isinstance(c, ObserveLink) and isinstance(r, LinkReceipt)]
    bodies = _links(origin, links, policy_version)
    bodies += _records(origin, [r for c, r in done if isinstance(c, ObserveRecord)], policy_version)
    restored = sum(isinstance(receipt, RestoreReceipt) and receipt.added for _, receipt in done)
    if restored:
        bodies.append(
            {
                "actor": origin.actor,
                "action": ACTIONS[Restore],
                "outcome": f"restored {restored}",
                "policy_version": policy_version,
                "request_id": origin.request_id,
            }
        )
    bodies += _events(origin, done, policy_version, pseudonym)
    for change, receipt in done:
        if not isinstance(change, ObserveLink | RecordEvent | QuarantineEvent):
            bodies += _one(origin, change, receipt, policy_version, pseudonym)
    return bodies


def expiry_entry(links: int, policy_version: int) -> Body:
    """The audit entry of links whose time was over."""
    return {
        "actor": "service:expiry",
        "action": ACTIONS[ExpireDue],
        "outcome": f"expired {links}",
        "policy_version": policy_version,
    }


def cause_of(segment: Sequence[tuple[Change, Origin]]) -> dict[str, object]:
    """Who and why, for the history of the profiles that a segment changed. No change at all: time went by."""
    if not segment:
        return {"actor": "service:expiry", "action": "links.expired", "reason": ""}
    actors = sorted({origin.actor for _, origin in segment})
    actions = sorted({ACTIONS[type(change)] for change, _ in segment})
    erases = any(isinstance(change, Revoke) and change.erases for change, _ in segment)
    reason = getattr(segment[0][0], "reason", "") if len(segment) == 1 and not erases else ""
    return {"actor": ",".join(actors[:5]), "action": ",".join(actions), "reason": reason}

"""From receipts and kept things to the JSON of the contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import orjson
from starlette.responses import Response

from service.api.batches import wrong_with
from service.api.errors import error_from, meaning_of, problem
from service.commands.announce import Event
from service.commands.carry_out import Outcome
from service.commands.ports import KeptLink, KeptMerge
from service.commands.queue import Answered
from service.control.answer import name_of
from service.errors import FabricError, FieldError
from service.model.changes import ConsentReceipt, Grouping, LinkReceipt, Revocation, RevocationReceipt, StewardReceipt
from service.model.evidence import Assertion, ConsentRecord, Link, Reason
from service.model.times import rfc3339

Json = dict[str, Any]


def respond(content: object, status: int = 200) -> Response:
    """A JSON response."""
    return Response(orjson.dumps(content), status, media_type="application/json")


def respond_answered(answered: Answered) -> Response:
    """The answer of the write path; one that was stored says so."""
    headers = {"Idempotency-Replayed": "true"} if answered.replayed else {}
    media_type = "application/json" if answered.status < 400 else "application/problem+json"
    return Response(answered.body, answered.status, headers, media_type)


def errors_json(errors: Sequence[FieldError]) -> list[Json]:
    """Field errors as they are shown."""
    return [{"pointer": error.pointer, "message": error.message} for error in errors]


def link_json(link: Link, withheld: Reason | None, why: Json | None = None) -> Json:
    """A link in its one shape: the request's fields and what became of it; `why`, of one that follows from records."""
    reason = link.inactive or withheld
    status = "retracted" if link.inactive == "retracted" else "withheld" if reason else "linked"
    return {
        "link_id": link.link_id,
        "a": name_of(link.a),
        "b": name_of(link.b),
        "method": link.method,
        "confidence": link.confidence,
        "source": link.source,
        "rule": link.rule,
        "rule_version": link.rule_version,
        "observed_at": rfc3339(link.observed_at),
        "first_observed_at": rfc3339(link.first_observed_at),
        "expires_at": None if link.expires_at is None else rfc3339(link.expires_at),
        "evidence": None if link.evidence is None else orjson.loads(link.evidence),
        "status": status,
        "reason": reason,
        **(why or {}),
    }


def kept_link_json(kept: KeptLink, why: Json | None = None) -> Json:
    """A link of the graph around a profile. One of a past view has no source any more, and no id."""
    shown = link_json(kept.link, kept.withheld, why)
    return shown if kept.link.link_id else {**shown, "link_id": None, "source": None, "rule": None}


def merge_link_json(kept: KeptMerge) -> Json:
    """A steward's merge in the shape of a link, as a step on a path; its id is the assertion's."""
    assertion = kept.assertion
    at = rfc3339(assertion.at_ms)
    return {
        "link_id": assertion.assertion_id,
        "a": name_of(kept.a),
        "b": name_of(kept.b),
        "method": "deterministic",
        "confidence": 1.0,
        "source": "steward",
        "rule": "merge",
        "rule_version": None,
        "observed_at": at,
        "first_observed_at": at,
        "expires_at": None,
        "evidence": {"reason": assertion.reason},
        "status": "linked",
        "reason": None,
    }


def assertion_json(assertion: Assertion) -> Json:
    """A steward's assertion as it is kept."""
    same = assertion.kind == "same"
    sides = [sorted(assertion.named)] if same else [sorted(side) for side in assertion.sides]
    return {
        "assertion_id": assertion.assertion_id,
        "kind": assertion.kind,
        "identifiers": [[name_of(key) for key in side] for side in sides],
        "seniors": [name_of(key) for key in assertion.seniors],
        "at": rfc3339(assertion.at_ms),
        "actor": assertion.actor,
        "reason": assertion.reason,
        "undone": assertion.undone,
    }


def event_json(event: Event) -> Json:
    """An entry of the change feed; who and why stay in the history."""
    shown = {name: value for name, value in event.items() if name != "cause"}
    shown["at"] = rfc3339(int(str(event["at"])))
    keys = event.get("identifiers")
    if isinstance(keys, list):
        shown["identifiers"] = [name_of(key) for key in keys]
    return shown


def link_result(outcome: Outcome | tuple[FieldError, ...]) -> Json:
    """What became of one link of a batch, or what is wrong with it."""
    if isinstance(outcome, LinkReceipt):
        return {
            "link_id": outcome.link_id,
            "status": outcome.status,
            "reason": outcome.reason,
            "profile_id": outcome.profile_id,
            "errors": [],
        }
    errors = errors_json(wrong_with(outcome))
    return {"link_id": None, "status": "rejected", "reason": None, "profile_id": None, "errors": errors}


def grouping_json(grouping: Grouping) -> Json:
    """A profile with its identifiers."""
    return {"profile_id": grouping.profile_id, "identifiers": [name_of(key) for key in grouping.identifiers]}


def steward_json(receipt: StewardReceipt) -> Json:
    """What a merge, split or undo did, or would do."""
    return {
        "assertion_id": receipt.assertion_id,
        "before": [grouping_json(grouping) for grouping in receipt.before],
        "after": [grouping_json(grouping) for grouping in receipt.after],
        "applied": receipt.applied,
    }


def consents_json(receipts: Sequence[ConsentReceipt], signal: Literal["read", "unreadable"] | None) -> Json:
    """Consent records that count everywhere from now on; what became of the signal they were sent with."""
    return {
        "consent_ids": [consent_id for receipt in receipts for consent_id in receipt.consent_ids],
        "profile_id": receipts[-1].profile_id,
        "enforced": True,
        "signal": signal,
    }


def kept_consent_json(record: ConsentRecord) -> Json:
    """A consent record as it counts."""
    return {
        "consent_id": record.consent_id or None,
        "purpose": record.purpose,
        "state": record.state,
        "regulation": record.regulation or None,
        "basis": record.basis,
        "source": record.source,
        "at": rfc3339(record.at),
        "received_at": rfc3339(record.received_at),
        "expires_at": None if record.expires_at is None else rfc3339(record.expires_at),
        "notice": None if record.notice is None else orjson.loads(record.notice),
        "method": record.method,
        "signal": None if record.signal is None else orjson.loads(record.signal) | {"readable": not record.unreadable},
    }


def revocation_json(receipt: RevocationReceipt) -> Json:
    """A revocation that is in force everywhere: it is answered only then."""
    return {"revocation_id": receipt.revocation_id, "profiles": list(receipt.profiles), "enforced": True}


def _gone(at: int | None) -> Json:
    return {"state": "pending" if at is None else "done", "at": None if at is None else rfc3339(at)}


def _physical(kept: Revocation) -> Json | None:
    """What is physically gone of somebody erased."""
    if not kept.erases:
        return None
    answered = None if kept.cached else kept.received_at
    return {"graph": _gone(kept.gone_at), "cache": _gone(answered), "record": _gone(kept.record_gone_at)}


def kept_revocation_json(kept: Revocation) -> Json:
    """A revocation as it is kept, without the person."""
    return {
        "revocation_id": kept.revocation_id,
        "profiles": list(kept.profiles),
        "enforced": True,
        "scope": kept.scope,
        "purposes": list(kept.purposes),
        "regulation": kept.regulation,
        "source": kept.source,
        "at": rfc3339(kept.at),
        "received_at": rfc3339(kept.received_at),
        "physical": _physical(kept),
    }


def failed(error: FabricError, request_id: str) -> tuple[int, bytes]:
    """Status and body of an answer that is an error."""
    return meaning_of(type(error)).status, orjson.dumps(problem(error, request_id))


def one(
    request_id: str, shape: Callable[[Any], Json], status: int = 200
) -> Callable[[Sequence[Outcome]], tuple[int, bytes]]:
    """Renders the outcome of a request that is one change: its receipt, or its error as a problem."""

    def render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
        (outcome,) = outcomes
        if isinstance(outcome, FabricError):
            return failed(outcome, request_id)
        return status, orjson.dumps(shape(outcome))

    return render


def problem_item(error: Exception, request_id: str) -> Json:
    """An error in its place in a batch."""
    return {"error": problem(error_from(error), request_id)}

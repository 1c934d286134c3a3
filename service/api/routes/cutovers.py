"""The old stack and the new path side by side: records, comparison, steps and roll-backs; and the proof of it all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import ADMIN, COLLECTOR
from service.api.batches import Wrong, batch_of, read_item, wrong_with
from service.api.context import Services
from service.api.delivery_render import explanation_json, step_json
from service.api.delivery_schemas import (
    CutOverIn,
    CutOverOut,
    ExplanationIn,
    ExplanationOut,
    LegacyRecordIn,
    LegacyRecordsIn,
    LegacyResultsOut,
    ProofOut,
    ReconciliationOut,
    RollBackIn,
    StepsOut,
)
from service.api.documentation import answers, reads
from service.api.reading import (
    body_of,
    caller_of,
    identifier_of,
    open_to,
    origin_of,
    read_as,
    services_of,
)
from service.api.render import errors_json, failed, one, respond, respond_answered
from service.api.routes.deliveries import moment
from service.commands.carry_out import Outcome
from service.commands.intents import compared_fields
from service.commands.reconciling import Stepped, rule_of
from service.control.conditions import Condition, NotACondition
from service.control.reconcile import EXPLAINS
from service.errors import FabricError, Invalid
from service.model.delivery_changes import ExplainDifference, LegacyReceipt, TakeLegacy

router = APIRouter(prefix="/v1", tags=["cutover"])
_RECORD = TypeAdapter(LegacyRecordIn)
_FIELDS_BYTES_MAX = 8_192


def _change_of(sent: LegacyRecordIn, item: object, services: Services, destination: str) -> TakeLegacy:
    """What a record asks for. Raises Invalid with pointers inside it."""
    policy, pseudonym = services.policy(), services.pseudonym
    keys = [
        identifier_of(identifier, policy, f"/identifiers/{index}").key
        for index, identifier in enumerate(sent.identifiers)
    ]
    try:
        size = len(orjson.dumps(sent.fields))
    except (TypeError, ValueError):
        raise Invalid.at("/fields", "holds a number that is too large") from None
    if size > _FIELDS_BYTES_MAX:
        raise Invalid.at("/fields", f"is larger than {_FIELDS_BYTES_MAX} bytes")
    content = orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
    return TakeLegacy(
        sent.id,
        destination,
        sent.event.source,
        sent.event.id,
        sent.at,
        sent.action,
        tuple(sorted({pseudonym(key) for key in keys})),
        compared_fields(sent.fields, pseudonym),
        pseudonym(f"record\0{hashlib.sha256(content).hexdigest()}"),
    )


def _result(sent: object, outcome: Outcome | Wrong) -> dict[str, Any]:
    if isinstance(outcome, LegacyReceipt):
        status = "accepted" if outcome.accepted else "duplicate"
        return {"id": outcome.record_id, "status": status, "errors": []}
    name = sent.get("id") if isinstance(sent, dict) else None
    shown = name if isinstance(name, str) and len(name) <= 128 and name.isprintable() else None
    return {"id": shown, "status": "rejected", "errors": errors_json(wrong_with(outcome))}


@router.post(
    "/legacy/{destination}",
    responses=answers(LegacyResultsOut, 400, 401, 403, 404, 413, 415, 422, 503),
    openapi_extra=reads(LegacyRecordIn, LegacyRecordsIn),
)
async def post_legacy(request: Request, destination: str) -> Response:
    """What the old stack sent there, one record or up to 1,000. Identifiers are kept as keyed pseudonyms."""
    caller = caller_of(request, COLLECTOR)
    services, request_id = services_of(request), call_of(request.scope).request_id
    sent = await body_of(request)
    rule_of(services.policy(), destination)
    batch = batch_of(
        sent.content,
        "records",
        lambda item, place: read_item(_RECORD, item, place, lambda one: _change_of(one, item, services, destination)),
    )

    def render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
        if batch.is_single and isinstance(outcomes[0], FabricError):
            return failed(outcomes[0], request_id)
        found = [_result(*entry) for entry in zip(batch.items, batch.answered(outcomes), strict=True)]
        return 200, orjson.dumps({"results": found})

    return respond_answered(
        await services.write_path.submit(batch.changes, origin_of(request, caller, sent.raw), render)
    )


@router.get(
    "/reconciliation/{destination}",
    dependencies=[open_to(ADMIN)],
    responses=answers(ReconciliationOut, 400, 401, 403, 404, 422, 503),
)
async def get_reconciliation(
    request: Request,
    destination: str,
    since: Annotated[str | None, Query(alias="from")] = None,
    until: Annotated[str | None, Query(alias="to")] = None,
) -> Response:
    """The two paths compared event by event, differences with their causes, and what to make of it."""
    caller_of(request, ADMIN)
    reconciler = services_of(request).delivery.reconciler
    figures, rule = await reconciler.figures(destination, moment(since, "from"), moment(until, "to"))
    return respond(figures.as_json(rule))


@router.post(
    "/reconciliation/{destination}/explanations",
    responses=answers(ExplanationOut, 400, 401, 403, 404, 413, 415, 422, 503),
    openapi_extra=reads(ExplanationIn),
)
async def post_explanation(request: Request, destination: str) -> Response:
    """Name a difference that is known, so that it counts as explained."""
    caller = caller_of(request, ADMIN)
    services = services_of(request)
    sent = await body_of(request)
    rule_of(services.policy(), destination)
    asked = read_as(ExplanationIn, sent.content)
    try:
        Condition(asked.when, EXPLAINS)
    except NotACondition as error:
        raise Invalid.at("/when", str(error)) from None
    change = ExplainDifference(destination, asked.cause, asked.field, asked.when, asked.note)
    render = one(call_of(request.scope).request_id, lambda receipt: explanation_json(receipt.explanation))
    return respond_answered(await services.write_path.submit([change], origin_of(request, caller, sent.raw), render))


def _stepped(made: Stepped) -> Response:
    step = made.receipt.step
    figures = made.figures.as_json(made.rule)
    return respond({"share": step.share, "policy_version": step.policy_version, "reconciliation": figures})


@router.post(
    "/cutovers/{destination}",
    responses=answers(CutOverOut, 400, 401, 403, 404, 409, 413, 415, 422, 503),
    openapi_extra=reads(CutOverIn, idempotent=False),
)
async def post_cutover(request: Request, destination: str) -> Response:
    """Have the new path own another share of the people; a version of the policy. The figures must allow it."""
    caller = caller_of(request, ADMIN)
    services = services_of(request)
    sent = await body_of(request)
    asked = read_as(CutOverIn, sent.content)
    origin = origin_of(request, caller, sent.raw)
    cutovers = services.delivery.cutovers
    return _stepped(await cutovers.step(destination, asked.share, asked.reason, asked.force, origin))


@router.post(
    "/cutovers/{destination}/rollback",
    responses=answers(CutOverOut, 400, 401, 403, 404, 409, 413, 415, 422, 503),
    openapi_extra=reads(RollBackIn, idempotent=False),
)
async def post_rollback(request: Request, destination: str) -> Response:
    """Go back to the share before the last step."""
    caller = caller_of(request, ADMIN)
    services = services_of(request)
    sent = await body_of(request)
    asked = read_as(RollBackIn, sent.content)
    origin = origin_of(request, caller, sent.raw)
    return _stepped(await services.delivery.cutovers.roll_back(destination, asked.reason, origin))


@router.get("/cutovers/{destination}", responses=answers(StepsOut, 401, 403, 404, 503))
async def get_cutovers(request: Request, destination: str) -> Response:
    """The steps that were made there, the oldest first."""
    caller_of(request, ADMIN)
    steps = await services_of(request).delivery.cutovers.steps(destination)
    return respond({"items": [step_json(step) for step in steps], "next_cursor": None})


@router.get("/proof", dependencies=[open_to(ADMIN)], responses=answers(ProofOut, 401, 403, 422, 503))
async def get_proof(
    request: Request,
    since: Annotated[str | None, Query(alias="from")] = None,
    until: Annotated[str | None, Query(alias="to")] = None,
) -> Response:
    """What was promised and what was kept, worked out anew from what is on record."""
    caller_of(request, ADMIN)
    proof = services_of(request).delivery.proof
    return respond(await proof.report(moment(since, "from"), moment(until, "to")))

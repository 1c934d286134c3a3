"""Decisions: what may a destination be given of a person? Recorded before they are answered."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from fastapi import APIRouter, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import ACTIVATION, PRIVACY
from service.api.decision_schemas import DecisionAnswer, DecisionIn, DecisionOut, DecisionsIn
from service.api.documentation import answers, reads
from service.api.errors import meaning_of, problem
from service.api.reading import (
    body_of,
    caller_of,
    identifier_of,
    items_of,
    origin_of,
    placed,
    services_of,
    valid_item,
)
from service.api.render import problem_item, respond_answered
from service.commands.carry_out import Outcome
from service.errors import FabricError, FieldError, Internal, Invalid, UnknownDecision
from service.model.changes import Decide, DecisionReceipt
from service.model.policy import Policy

router = APIRouter(prefix="/v1", tags=["decisions"])
_DECISION = TypeAdapter(DecisionIn)


def _read_one(item: object, policy: Policy, place: str) -> Decide | tuple[FieldError, ...]:
    sent = valid_item(_DECISION, item, place)
    if isinstance(sent, tuple):
        return sent
    try:
        key = identifier_of(sent.identifier, policy, "/identifier").key
        if sent.regulation is not None and sent.regulation not in policy.regulations:
            raise Invalid.at("/regulation", "is not a regulation of the policy")
    except Invalid as error:
        return placed(error.errors, place)
    return Decide(key, sent.destination, sent.purpose, sent.regulation)


def _error_of(outcome: Outcome) -> FabricError:
    return outcome if isinstance(outcome, FabricError) else Internal()


@router.post(
    "/decisions",
    responses=answers(DecisionAnswer, 400, 401, 403, 410, 413, 415, 422, 503),
    openapi_extra=reads(DecisionIn, DecisionsIn),
)
async def post_decisions(request: Request) -> Response:
    """Ask one question, or up to 1,000. What is unknown or unclear is withheld, with the reason."""
    caller = caller_of(request, ACTIVATION)
    services, request_id = services_of(request), call_of(request.scope).request_id
    sent = await body_of(request)
    policy = services.policy()
    items = items_of(sent.content, "requests")
    if items is None:
        read = [_read_one(sent.content, policy, "")]
        if isinstance(read[0], tuple):
            raise Invalid(errors=read[0])
    else:
        read = [_read_one(item, policy, f"/requests/{index}") for index, item in enumerate(items)]
    changes = [entry for entry in read if isinstance(entry, Decide)]

    def render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
        if items is None:
            (outcome,) = outcomes
            if isinstance(outcome, DecisionReceipt):
                return 200, outcome.body.encode()
            error = _error_of(outcome)
            return meaning_of(type(error)).status, orjson.dumps(problem(error, request_id))
        following = iter(outcomes)
        found = []
        for entry in read:
            outcome = Invalid(errors=entry) if isinstance(entry, tuple) else next(following)
            if isinstance(outcome, DecisionReceipt):
                found.append(outcome.body.encode())
            else:
                found.append(orjson.dumps(problem_item(_error_of(outcome), request_id)))
        return 200, b'{"results":[' + b",".join(found) + b"]}"

    return respond_answered(await services.write_path.submit(changes, origin_of(request, caller, sent.raw), render))


@router.get("/decisions/{decision_id}", responses=answers(DecisionOut, 401, 403, 404, 410, 503))
async def get_decision(request: Request, decision_id: str) -> Response:
    """A decision as it was answered."""
    caller_of(request, ACTIVATION, PRIVACY)
    body = await services_of(request).reader.decision(decision_id)
    if body is None:
        raise UnknownDecision()
    return Response(body.encode(), media_type="application/json")

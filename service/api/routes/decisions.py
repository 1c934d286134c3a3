"""Decisions: what may a destination be given of a person? Recorded before they are answered."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from fastapi import APIRouter, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import ACTIVATION, PRIVACY
from service.api.batches import batch_of, read_item
from service.api.decision_schemas import DecisionAnswer, DecisionIn, DecisionOut, DecisionsIn
from service.api.documentation import answers, reads
from service.api.reading import (
    body_of,
    caller_of,
    identifier_of,
    origin_of,
    services_of,
)
from service.api.render import failed, problem_item, respond_answered
from service.commands.carry_out import Outcome
from service.errors import FabricError, Internal, Invalid, UnknownDecision
from service.model.changes import Decide, DecisionReceipt
from service.model.policy import Policy

router = APIRouter(prefix="/v1", tags=["decisions"])
_DECISION = TypeAdapter(DecisionIn)


def _change_of(sent: DecisionIn, policy: Policy) -> Decide:
    """What a question asks for. Raises Invalid with pointers inside it."""
    key = identifier_of(sent.identifier, policy, "/identifier").key
    if sent.regulation is not None and sent.regulation not in policy.regulations:
        raise Invalid.at("/regulation", "is not a regulation of the policy")
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
    batch = batch_of(
        sent.content,
        "requests",
        lambda item, place: read_item(_DECISION, item, place, lambda one: _change_of(one, policy)),
    )

    def render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
        if batch.is_single:
            (outcome,) = outcomes
            if isinstance(outcome, DecisionReceipt):
                return 200, outcome.body.encode()
            return failed(_error_of(outcome), request_id)
        found = []
        for entry in batch.answered(outcomes):
            outcome = Invalid(errors=entry) if isinstance(entry, tuple) else entry
            if isinstance(outcome, DecisionReceipt):
                found.append(outcome.body.encode())
            else:
                found.append(orjson.dumps(problem_item(_error_of(outcome), request_id)))
        return 200, b'{"results":[' + b",".join(found) + b"]}"

    return respond_answered(
        await services.write_path.submit(batch.changes, origin_of(request, caller, sent.raw), render)
    )


@router.get("/decisions/{decision_id}", responses=answers(DecisionOut, 401, 403, 404, 410, 503))
async def get_decision(request: Request, decision_id: str) -> Response:
    """A decision as it was answered."""
    caller_of(request, ACTIVATION, PRIVACY)
    body = await services_of(request).reader.decision(decision_id)
    if body is None:
        raise UnknownDecision()
    return Response(body.encode(), media_type="application/json")

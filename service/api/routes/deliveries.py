"""The routing history: who was sent what, when, under which consent; tried again, and tried without sending."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import ADMIN, PRIVACY
from service.api.context import Services
from service.api.delivery_events import event_of
from service.api.delivery_render import delivery_json
from service.api.delivery_schemas import DeliveriesOut, DeliveryOut, PreviewIn, PreviewOut, RetryIn
from service.api.documentation import answers, reads
from service.api.reading import body_of, caller_of, key_of_text, open_to, origin_of, read_as, services_of
from service.api.render import one, respond, respond_answered
from service.commands.delivery_ports import DeliveryFilter
from service.commands.intents import asked_of
from service.commands.reconciling import rule_of
from service.errors import FabricError, Invalid, UnknownDelivery
from service.model.changes import Decide, DecisionReceipt, Origin
from service.model.delivery import Outcome
from service.model.delivery_changes import RetryDelivery
from service.model.identifiers import IdentifierKey
from service.model.times import parse_rfc3339

router = APIRouter(prefix="/v1/deliveries", tags=["deliveries"])


def moment(text: str | None, name: str) -> int | None:
    """A time of a query in ms. Raises Invalid."""
    if text is None:
        return None
    try:
        return parse_rfc3339(text)
    except (ValueError, OverflowError):
        raise Invalid.at(f"/{name}", "must be an RFC 3339 time such as 2026-11-24T10:00:00Z") from None


@router.get("", dependencies=[open_to(ADMIN, PRIVACY)], responses=answers(DeliveriesOut, 400, 401, 403, 422, 503))
async def get_deliveries(
    request: Request,
    subject: Annotated[str | None, Query()] = None,
    destination: Annotated[str | None, Query(max_length=128)] = None,
    event: Annotated[str | None, Query(max_length=512)] = None,
    outcome: Annotated[Outcome | None, Query()] = None,
    since: Annotated[str | None, Query(alias="from")] = None,
    until: Annotated[str | None, Query(alias="to")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,19}$")] = None,
) -> Response:
    """Deliveries, newest first: of a person (`namespace:value`), a destination, an event (`SOURCE/ID`), an outcome."""
    caller_of(request, ADMIN, PRIVACY)
    services = services_of(request)
    key = None if subject is None else key_of_text(subject, "subject", services.policy())
    asked = DeliveryFilter(key, destination, event, outcome, moment(since, "from"), moment(until, "to"))
    before = min(int(cursor), 2**62) if cursor is not None else 2**62
    found = await services.delivery.deliveries.search(asked, before, limit)
    following = str(found[-1].order) if len(found) == limit else None
    return respond({"items": [delivery_json(delivery) for delivery in found], "next_cursor": following})


@router.post(
    "/preview",
    responses=answers(PreviewOut, 400, 401, 403, 404, 409, 413, 415, 422, 503),
    openapi_extra=reads(PreviewIn, idempotent=False),
)
async def post_preview(request: Request) -> Response:
    """What would be sent for an event, and on which decision. Nothing is sent; of it all the decision is recorded."""
    caller = caller_of(request, ADMIN)
    services = services_of(request)
    asked = read_as(PreviewIn, (await body_of(request)).content)
    policy = services.policy()
    rule = rule_of(policy, asked.destination)
    event = await event_of(asked.event, services)
    key = asked_of(event.keys, policy)
    if key is None:
        raise Invalid.at("/event/data/identifiers", "names nobody")
    body = await _decided(services, key, asked.destination, Origin(caller.name, call_of(request.scope).request_id))
    requests = services.delivery.previews.requests(rule, event, body)
    return respond({"decision": body, "requests": requests})


async def _decided(services: Services, key: IdentifierKey, destination: str, origin: Origin) -> dict[str, Any]:
    answered = await services.write_path.submit([Decide(key, destination)], origin, lambda found: (200, b""))
    (outcome,) = answered.outcomes
    if isinstance(outcome, DecisionReceipt):
        body: dict[str, Any] = orjson.loads(outcome.body)
        return body
    assert isinstance(outcome, FabricError)
    raise outcome


@router.get("/{delivery_id}", responses=answers(DeliveryOut, 401, 403, 404, 503))
async def get_delivery(request: Request, delivery_id: str) -> Response:
    """One delivery."""
    caller_of(request, ADMIN, PRIVACY)
    found = await services_of(request).delivery.deliveries.delivery(delivery_id)
    if found is None:
        raise UnknownDelivery()
    return respond(delivery_json(found))


@router.post(
    "/{delivery_id}/retry",
    responses=answers(DeliveryOut, 400, 401, 403, 404, 409, 413, 415, 422, 503),
    openapi_extra=reads(RetryIn),
)
async def post_retry(request: Request, delivery_id: str) -> Response:
    """Try a dead or uncertain delivery again, after those that wait already."""
    caller = caller_of(request, ADMIN)
    sent = await body_of(request)
    read_as(RetryIn, sent.content)
    render = one(call_of(request.scope).request_id, lambda receipt: delivery_json(receipt.delivery))
    origin = origin_of(request, caller, sent.raw)
    return respond_answered(await services_of(request).write_path.submit([RetryDelivery(delivery_id)], origin, render))

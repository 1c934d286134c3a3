"""Events: sent, and those that could not be taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import COLLECTOR
from service.api.cloud_events import events_in
from service.api.context import Services
from service.api.documentation import answers, reads
from service.api.event_schemas import EventIn, EventResults, EventsIn
from service.api.reading import body_of, caller_of, origin_of, services_of
from service.api.render import failed, respond_answered
from service.commands.carry_out import Outcome
from service.commands.queue import Render
from service.errors import FabricError, Internal
from service.events.envelope import text_of
from service.events.reading import Item, read_event
from service.model.events import EventError, EventReceipt

router = APIRouter(prefix="/v1", tags=["events"])
Json = dict[str, Any]


def errors_json(errors: Sequence[EventError]) -> list[Json]:
    """Errors of an event as they are shown."""
    return [error._asdict() for error in errors]


def result_json(event_id: str | None, receipt: EventReceipt) -> Json:
    """What became of one event."""
    return {
        "id": event_id,
        "status": receipt.status,
        "profile_id": receipt.profile_id,
        "quarantine_id": receipt.quarantine_id,
        "errors": errors_json(receipt.errors),
    }


def rendered(ids: Sequence[str | None], request_id: str) -> Render:
    """One result for each event, in the order sent; or the first error, where one could neither be taken nor kept: then
    all are sent again, and those that were taken are duplicates.
    """

    def render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
        found = []
        for event_id, outcome in zip(ids, outcomes, strict=True):
            if not isinstance(outcome, EventReceipt):
                error = outcome if isinstance(outcome, FabricError) else Internal()
                return failed(error, request_id)
            found.append(result_json(event_id, outcome))
        return 200, orjson.dumps({"results": found})

    return render


async def read_events(services: Services, sent: Sequence[Any], resubmits: str | None = None) -> list[Item]:
    """The changes that events ask for, under the policy in force and every schema that is published by now."""
    names = {str(item.get("dataschema")) for item in sent if isinstance(item, dict)}
    await services.events.schemas.learn(names)
    reading = services.events.reading(services.policy(), services.now_ms())
    return [read_event(item, reading, resubmits=resubmits) for item in sent]


@router.post(
    "/events",
    responses=answers(EventResults, 400, 401, 403, 410, 413, 415, 422, 503),
    openapi_extra=reads(EventIn, EventsIn),
)
async def post_events(request: Request) -> Response:
    """Send one CloudEvent, or up to 1,000. Each is answered in its place; what can't be taken is kept in quarantine."""
    caller = caller_of(request, COLLECTOR)
    services = services_of(request)
    sent = await body_of(request)
    events = events_in(request, sent)
    changes = await read_events(services, events)
    ids = [text_of(item, "id") if isinstance(item, dict) else None for item in events]
    origin = origin_of(request, caller, sent.raw)
    answered = await services.write_path.submit(changes, origin, rendered(ids, call_of(request.scope).request_id))
    services.quality.note(changes, answered.outcomes)
    return respond_answered(answered)

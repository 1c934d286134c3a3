"""Events that could not be taken: listed, and sent again once they are corrected."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import COLLECTOR, STEWARD
from service.api.documentation import answers, reads
from service.api.event_schemas import EventIn, EventResults, QuarantineOut
from service.api.reading import body_of, caller_of, open_to, origin_of, services_of
from service.api.render import respond, respond_answered
from service.api.routes.events import errors_json, read_events, rendered
from service.errors import Invalid, UnknownQuarantined
from service.events.envelope import text_of
from service.model.events import Quarantined
from service.model.times import rfc3339

router = APIRouter(prefix="/v1", tags=["events"])
_NEWEST = 2**62


def quarantined_json(kept: Quarantined) -> dict[str, Any]:
    """An event in quarantine as it is shown."""
    return {
        "quarantine_id": kept.quarantine_id,
        "status": kept.status,
        "source": kept.source,
        "id": kept.event_id,
        "type": kept.type,
        "dataschema": kept.schema,
        "received_at": rfc3339(kept.received_at),
        "times": kept.times,
        "errors": errors_json(kept.errors),
        "event": None if kept.body is None else orjson.loads(kept.body),
    }


@router.get(
    "/quarantine",
    dependencies=[open_to(COLLECTOR, STEWARD)],
    responses=answers(QuarantineOut, 401, 403, 422, 503),
)
async def get_quarantine(
    request: Request,
    status: Annotated[str | None, Query(pattern="^(open|resubmitted)$")] = None,
    source: Annotated[str | None, Query(max_length=512)] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    cursor: Annotated[int | None, Query(ge=1, le=_NEWEST)] = None,
) -> Response:
    """Events that could not be taken, newest first, each with its errors. What may be a personal value is masked."""
    found = await services_of(request).events.reader.quarantine(cursor or _NEWEST, limit + 1, status, source)
    shown = found[:limit]
    following = str(shown[-1].seq) if len(found) > limit else None
    return respond({"items": [quarantined_json(kept) for kept in shown], "next_cursor": following})


@router.post(
    "/quarantine/{quarantine_id}/resubmit",
    responses=answers(EventResults, 400, 401, 403, 404, 410, 413, 415, 422, 503),
    openapi_extra=reads(EventIn),
)
async def post_resubmit(request: Request, quarantine_id: str) -> Response:
    """Send a corrected event in the place of one in quarantine. Without an `id` or `source` of its own it keeps those.

    It is an event like any other: sent twice it is a duplicate, still wrong it is in quarantine again.
    """
    caller = caller_of(request, COLLECTOR)
    services = services_of(request)
    sent = await body_of(request)
    kept = await services.events.reader.quarantined(quarantine_id)
    if kept is None:
        raise UnknownQuarantined()
    if not isinstance(sent.content, dict):
        raise Invalid.at("", "must be an object")
    own = {"id": kept.event_id, "source": kept.source}
    item = {**{name: value for name, value in own.items() if value is not None}, **sent.content}
    changes = await read_events(services, [item], resubmits=quarantine_id)
    render = rendered([text_of(item, "id")], call_of(request.scope).request_id)
    answered = await services.write_path.submit(changes, origin_of(request, caller, sent.raw), render)
    services.quality.note(changes, answered.outcomes)
    return respond_answered(answered)

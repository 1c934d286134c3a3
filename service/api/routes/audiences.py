"""Traits as evidence, and the audiences that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.audience_schemas import MembersOut, TraitResults, TraitsIn, TraitsManyIn
from service.api.auth import ACTIVATION, COLLECTOR
from service.api.batches import Wrong, batch_of, read_item, wrong_with
from service.api.context import Services
from service.api.documentation import answers, reads
from service.api.reading import (
    body_of,
    caller_of,
    identifier_of,
    not_ahead,
    open_to,
    origin_of,
    services_of,
)
from service.api.render import errors_json, failed, respond_answered
from service.commands.carry_out import Outcome
from service.commands.members import members_of
from service.errors import FabricError
from service.model.changes import ObserveTraits, Origin, TraitsReceipt

router = APIRouter(prefix="/v1", tags=["traits and audiences"])
_TRAITS = TypeAdapter(TraitsIn)


def _change_of(sent: TraitsIn, services: Services) -> ObserveTraits:
    """What a report asks for. Raises Invalid with pointers inside it."""
    key = identifier_of(sent.identifier, services.policy(), "/identifier").key
    not_ahead(sent.observed_at, services.now_ms())
    return ObserveTraits(key, tuple(sent.traits.items()), sent.source, sent.observed_at)


def _result(outcome: Outcome | Wrong) -> dict[str, Any]:
    if isinstance(outcome, TraitsReceipt):
        status = "accepted" if outcome.accepted else "duplicate"
        return {"status": status, "profile_id": outcome.profile_id, "errors": []}
    return {"status": "rejected", "profile_id": None, "errors": errors_json(wrong_with(outcome))}


@router.post(
    "/traits",
    responses=answers(TraitResults, 400, 401, 403, 413, 415, 422, 503),
    openapi_extra=reads(TraitsIn, TraitsManyIn),
)
async def post_traits(request: Request) -> Response:
    """Report traits of the person behind an identifier, or of up to 1,000; each is answered in its place.

    Of each source the newest `observed_at` counts; the policy says which source is believed first.
    """
    caller = caller_of(request, COLLECTOR)
    services, request_id = services_of(request), call_of(request.scope).request_id
    sent = await body_of(request)
    batch = batch_of(
        sent.content,
        "traits",
        lambda item, place: read_item(_TRAITS, item, place, lambda one: _change_of(one, services)),
        is_single=not _is_batch(sent.content),
    )

    def render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
        if batch.is_single and isinstance(outcomes[0], FabricError):
            return failed(outcomes[0], request_id)
        return 200, orjson.dumps({"results": [_result(entry) for entry in batch.answered(outcomes)]})

    return respond_answered(
        await services.write_path.submit(batch.changes, origin_of(request, caller, sent.raw), render)
    )


def _is_batch(content: object) -> bool:
    """A single report names its traits by an object, a batch lists reports."""
    return not isinstance(content, dict) or isinstance(content.get("traits"), list)


@router.get(
    "/audiences/{name}/members",
    dependencies=[open_to(ACTIVATION)],
    responses=answers(MembersOut, 400, 401, 403, 404, 422, 503),
)
async def get_members(
    request: Request,
    name: str,
    destination: Annotated[str, Query(max_length=128)],
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    cursor: Annotated[str | None, Query(pattern="^prf_[A-Za-z0-9_-]{1,64}$")] = None,
) -> Response:
    """Who may be used there now, page by page; each member is a decision, recorded like any other.

    A page may hold fewer than `limit`, or none, and have a `next_cursor` all the same.
    """
    caller = caller_of(request, ACTIVATION)
    services = services_of(request)
    page = await members_of(
        name,
        destination,
        cursor or "",
        limit,
        policies=services.policies,
        write_path=services.write_path,
        origin=Origin(caller.name, call_of(request.scope).request_id),
        now=services.now_ms(),
    )
    body = ",".join(page.bodies)
    following = orjson.dumps(page.following).decode()
    return Response(f'{{"items":[{body}],"next_cursor":{following}}}', media_type="application/json")

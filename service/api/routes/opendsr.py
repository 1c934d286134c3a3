"""OpenDSR 2.0: requests of persons about their own data, for tools that speak it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import PRIVACY
from service.api.context import Services
from service.api.documentation import answers, created, reads
from service.api.opendsr import (
    DiscoveryOut,
    SubjectDataOut,
    SubjectRequestIn,
    SubjectRequestOut,
    SubjectStatusOut,
    discovery,
    keys_of,
    status,
    taken,
)
from service.api.reading import body_of, caller_of, read_as, services_of
from service.api.render import respond
from service.commands.carry_out import Outcome
from service.commands.subject import SubjectRequest, known_of
from service.errors import FabricError, Invalid, SubjectRequestIdReused, UnknownSubjectRequest
from service.model.changes import Change, Disclose, Origin, Remembered, Revoke
from service.model.identifiers import IdentifierKey

router = APIRouter(prefix="/v1/opendsr", tags=["consent"])
_AHEAD_MS_MAX = 300_000


@router.get("/discovery", responses=answers(DiscoveryOut, 401, 403))
async def get_discovery(request: Request) -> Response:
    """What this processor takes."""
    caller_of(request, PRIVACY)
    return respond(discovery(services_of(request).policy()))


@router.post(
    "/requests",
    status_code=201,
    responses=created(SubjectRequestOut, 400, 401, 403, 409, 413, 415, 422, 503),
    openapi_extra=reads(SubjectRequestIn, idempotent=False),
)
async def post_request(request: Request) -> Response:
    """Take a request. An erasure is in force when it is answered; data can be read from then on. Under one id once."""
    caller = caller_of(request, PRIVACY)
    services = services_of(request)
    sent = await body_of(request)
    asked = read_as(SubjectRequestIn, sent.content)
    if asked.submitted_time > services.now_ms() + _AHEAD_MS_MAX:
        raise Invalid.at("/submitted_time", "is more than five minutes ahead")
    keys = keys_of(asked, services.policy())
    fingerprint = services.pseudonym(f"opendsr body\0{hashlib.sha256(sent.raw).hexdigest()}")
    kept = await services.requests.keep(
        SubjectRequest(
            asked.subject_request_id,
            asked.subject_request_type,
            asked.regulation,
            fingerprint,
            asked.submitted_time,
            services.now_ms(),
            identifiers=keys,
        )
    )
    if kept.fingerprint != fingerprint:
        raise SubjectRequestIdReused()
    if kept.completed_at is None:
        remembered = Remembered(services.pseudonym(f"opendsr\0{kept.request_id}"), fingerprint)
        await _carry_out(services, kept, keys, Origin(caller.name, call_of(request.scope).request_id, remembered))
        await services.requests.complete(kept.request_id, services.now_ms())
    return respond(taken(kept, sent.raw), status=201)


async def _carry_out(services: Services, kept: SubjectRequest, keys: Sequence[IdentifierKey], origin: Origin) -> None:
    """An erasure erases; the others wait until they are read. Raises FabricError."""
    if kept.kind != "erasure":
        return
    await _submit(services, [Revoke(key, "erase", source="opendsr") for key in keys], origin)


async def _submit(services: Services, changes: Sequence[Change], origin: Origin) -> None:
    def render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
        failed = any(isinstance(outcome, FabricError) for outcome in outcomes)
        return (500, b"") if failed else (200, orjson.dumps({"done": True}))

    answered = await services.write_path.submit(changes, origin, render)
    for outcome in answered.outcomes:
        if isinstance(outcome, FabricError):
            raise outcome


@router.get("/requests/{request_id}", responses=answers(SubjectStatusOut, 401, 403, 404, 503))
async def get_request(request: Request, request_id: str) -> Response:
    """How far a request is."""
    caller_of(request, PRIVACY)
    return respond(status(await _found(services_of(request), request_id)))


@router.get("/requests/{request_id}/results", responses=answers(SubjectDataOut, 401, 403, 404, 503))
async def get_results(request: Request, request_id: str) -> Response:
    """The person's data as it is now, nothing of somebody erased. It is in the audit before it is told."""
    caller = caller_of(request, PRIVACY)
    services = services_of(request)
    kept = await _found(services, request_id)
    if kept.kind == "erasure":
        raise UnknownSubjectRequest()
    origin = Origin(caller.name, call_of(request.scope).request_id)
    await _submit(services, [Disclose(key, kept.kind) for key in kept.identifiers], origin)
    found = [await known_of(key, services.timely, services.archive) for key in kept.identifiers]
    return respond({"subject_request_id": kept.request_id, "data": [known for known in found if known is not None]})


async def _found(services: Services, request_id: str) -> SubjectRequest:
    kept = await services.requests.find(request_id)
    if kept is None:
        raise UnknownSubjectRequest()
    return kept

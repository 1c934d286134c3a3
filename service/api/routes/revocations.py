"""Revocations: true on every instance when they are answered."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import PRIVACY
from service.api.documentation import answers, reads
from service.api.reading import body_of, caller_of, identifier_of, origin_of, read_as, services_of
from service.api.render import kept_revocation_json, one, respond, respond_answered, revocation_json
from service.api.schemas import RevocationIn, RevocationKept, RevocationOut
from service.errors import Invalid, UnknownRevocation
from service.model.changes import Revoke

router = APIRouter(prefix="/v1", tags=["consent"])
_AHEAD_MS_MAX = 300_000


@router.post(
    "/revocations",
    responses=answers(RevocationOut, 400, 401, 403, 413, 415, 422, 503),
    openapi_extra=reads(RevocationIn),
)
async def post_revocation(request: Request) -> Response:
    """Withdraw purposes, or being linked. The answer means: in force on every instance."""
    caller = caller_of(request, PRIVACY)
    services = services_of(request)
    sent = await body_of(request)
    asked = read_as(RevocationIn, sent.content)
    policy = services.policy()
    key = identifier_of(asked.identifier, policy, "/identifier").key
    for index, purpose in enumerate(asked.purposes):
        if purpose != "*" and purpose not in policy.purposes:
            raise Invalid.at(f"/purposes/{index}", "is not a purpose of the policy")
    if asked.regulation is not None and asked.regulation not in policy.regulations:
        raise Invalid.at("/regulation", "is not a regulation of the policy")
    if asked.at is not None and asked.at > services.now_ms() + _AHEAD_MS_MAX:
        raise Invalid.at("/at", "is more than five minutes ahead")
    change = Revoke(key, asked.scope, tuple(asked.purposes), asked.regulation, asked.source, asked.at, asked.reason)
    render = one(call_of(request.scope).request_id, revocation_json)
    return respond_answered(await services.write_path.submit([change], origin_of(request, caller, sent.raw), render))


@router.get("/revocations/{revocation_id}", responses=answers(RevocationKept, 401, 403, 404, 503))
async def get_revocation(request: Request, revocation_id: str) -> Response:
    """A revocation as it is kept; the person is not named."""
    caller_of(request, PRIVACY)
    kept = await services_of(request).reader.revocation(revocation_id)
    if kept is None:
        raise UnknownRevocation()
    return respond(kept_revocation_json(kept))

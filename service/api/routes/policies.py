"""The policy: versions drafted, tried on what is there, put in force, rolled back."""

from __future__ import annotations

import re
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import ADMIN, Caller
from service.api.context import Services
from service.api.documentation import answers, reads
from service.api.errors import invalid
from service.api.policy_schemas import (
    ActivateIn,
    ActivePolicyOut,
    DraftOut,
    PoliciesOut,
    PolicyOut,
    PolicySchemaOut,
    SimulationOut,
)
from service.api.reading import Sent, body_of, caller_of, open_to, origin_of, read_as, services_of
from service.api.render import Json, one, respond, respond_answered
from service.clock import monotonic_s
from service.control.policy_delivery import wrong_in_surroundings
from service.control.policy_document import NAME, PolicyDocument, compile_policy, policy_schema, read_policy
from service.errors import FieldError, Invalid, UnknownPolicy
from service.model.changes import ActivatePolicy, DraftPolicy
from service.model.policy_versions import Pass, PolicyVersion
from service.model.times import rfc3339

router = APIRouter(prefix="/v1/policies", tags=["policies"])
_WAIT_S_MAX = 60
_DOCUMENT_BYTES_MAX = 1 << 20


def _policy_json(kept: PolicyVersion) -> Json:
    activated = kept.activated_at
    return {
        "version": kept.version,
        "status": kept.status,
        "created_at": rfc3339(kept.created_at),
        "activated_at": None if activated is None else rfc3339(activated),
        "policy": orjson.loads(kept.document),
    }


def _pass_json(running: Pass) -> Json:
    return {"state": "done" if running.is_over else "running", "done": running.done, "total": running.total}


@router.get("", dependencies=[open_to(ADMIN)], responses=answers(PoliciesOut, 401, 403, 422, 503))
async def get_policies(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(pattern="^[0-9]{1,9}$")] = None,
) -> Response:
    """All versions, the newest first."""
    caller_of(request, ADMIN)
    kept = await services_of(request).policies.store.versions(int(cursor) if cursor else 2**31, limit)
    following = str(kept[-1].version) if len(kept) == limit and kept[-1].version > 1 else None
    return respond({"items": [_policy_json(version) for version in kept], "next_cursor": following})


async def _active(request: Request, wait_s: float) -> Response:
    """The version in force, once profiles follow it or the time is over."""
    policies = services_of(request).policies
    await policies.resolved(wait_s, monotonic_s, request.is_disconnected)
    desk = await policies.store.desk()
    kept = await policies.store.version(desk.in_force.version)
    if kept is None:
        raise UnknownPolicy()
    return respond({**_policy_json(kept), "resolution": _pass_json(desk.running)})


@router.get("/active", dependencies=[open_to(ADMIN)], responses=answers(ActivePolicyOut, 401, 403, 404, 422, 503))
async def get_active(request: Request, wait: Annotated[float, Query(ge=0, le=_WAIT_S_MAX)] = 0) -> Response:
    """The version in force, and how far profiles follow it. With `wait` it is answered once they all do."""
    caller_of(request, ADMIN)
    return await _active(request, wait)


@router.get("/schema", responses=answers(PolicySchemaOut, 401, 403))
async def get_schema(request: Request) -> Response:
    """The JSON Schema of the policy document, for editors and for checks before it is sent."""
    caller_of(request, ADMIN)
    return respond(policy_schema())


@router.get("/{version}", dependencies=[open_to(ADMIN)], responses=answers(PolicyOut, 401, 403, 404, 422, 503))
async def get_policy(request: Request, version: str) -> Response:
    """One version."""
    caller_of(request, ADMIN)
    kept = await services_of(request).policies.store.version(_number(version))
    if kept is None:
        raise UnknownPolicy()
    return respond(_policy_json(kept))


def _number(version: str) -> int:
    if not (version.isascii() and version.isdigit() and 0 < len(version) < 10):
        raise UnknownPolicy()
    return int(version)


def _document_of(sent: Sent) -> PolicyDocument:
    """Raises Invalid with the place of everything that is wrong."""
    if len(sent.raw) > _DOCUMENT_BYTES_MAX:
        raise Invalid.at("", f"is larger than {_DOCUMENT_BYTES_MAX} bytes")
    try:
        return read_policy(sent.content)
    except ValidationError as error:
        raise invalid(error, sent.content, _destinations_in(sent.content)) from None


def _destinations_in(content: object) -> list[str]:
    """Names of destinations, which are an admin's own and may be repeated."""
    named = content.get("destinations") if isinstance(content, dict) else None
    return [name for name in named if re.fullmatch(NAME, name)] if isinstance(named, dict) else []


async def _require_model(document: PolicyDocument, services: Services) -> None:
    """Raises Invalid for a policy that names a model of matching that can't be used."""
    if document.matching is not None and await services.matching.models.ready(document.matching.model) is None:
        raise Invalid.at("/matching/model", "is not a model that is ready")


@router.post(
    "",
    responses=answers(DraftOut, 400, 401, 403, 413, 415, 422, 503),
    openapi_extra=reads(PolicyDocument),
)
async def post_policy(request: Request) -> Response:
    """Draft a version. It changes nothing until it is put in force, and itself never changes."""
    caller = caller_of(request, ADMIN)
    sent = await body_of(request)
    document = _document_of(sent)
    compiled = compile_policy(document, 0)
    rules = {name: destination.delivery for name, destination in compiled.destinations.items()}
    around = services_of(request).delivery.surroundings
    if wrong := [FieldError(*one) for one in wrong_in_surroundings(rules, around)]:
        raise Invalid(errors=wrong)
    await _require_model(document, services_of(request))
    change = DraftPolicy(orjson.dumps(sent.content).decode(), compiled)

    def shape(receipt: Any) -> Json:
        return {**_policy_json(receipt.kept), "failing": list(receipt.failing)}

    render = one(call_of(request.scope).request_id, shape)
    answered = await services_of(request).write_path.submit([change], origin_of(request, caller, sent.raw), render)
    return respond_answered(answered)


@router.post(
    "/rollback",
    dependencies=[open_to(ADMIN)],
    responses=answers(ActivePolicyOut, 400, 401, 403, 404, 409, 413, 415, 422, 503),
    openapi_extra=reads(ActivateIn),
)
async def post_rollback(request: Request, wait: Annotated[float, Query(ge=0, le=_WAIT_S_MAX)] = 0) -> Response:
    """Put the version in force that was so before. With `wait` it is answered once profiles follow it."""
    return await _activated(request, caller_of(request, ADMIN), None, wait)


@router.post(
    "/{version}/activate",
    dependencies=[open_to(ADMIN)],
    responses=answers(ActivePolicyOut, 400, 401, 403, 404, 409, 413, 415, 422, 503),
    openapi_extra=reads(ActivateIn),
)
async def post_activate(
    request: Request, version: str, wait: Annotated[float, Query(ge=0, le=_WAIT_S_MAX)] = 0
) -> Response:
    """Put a version in force, everywhere at once: nothing that begins after the answer goes by another one.

    Profiles are resolved anew in the background where it asks for that; `wait` holds the answer until they are.
    """
    return await _activated(request, caller_of(request, ADMIN), _number(version), wait)


@router.post(
    "/{version}/simulate",
    responses=answers(SimulationOut, 400, 401, 403, 404, 413, 415, 422, 503),
)
async def post_simulate(request: Request, version: str) -> Response:
    """What would change on what is there now if this version were put in force. Changes nothing."""
    caller_of(request, ADMIN)
    number = _number(version)
    found = await services_of(request).simulator.simulate(number)
    flips = [
        {"destination": destination, "from": before, "to": after, "count": count}
        for (destination, before, after), count in found.flips.most_common()
    ]
    examples: list[Json] = [
        {
            "kind": "profile",
            "profile_id": r.profile_id,
            "change": r.change,
            "into": r.into,
            "identifiers": r.identifiers,
        }
        for r in found.regrouped
    ]
    examples += [
        {
            "kind": "decision",
            "profile_id": f.profile_id,
            "destination": f.destination,
            "from": f.before.outcome,
            "to": f.after.outcome,
            "reasons_before": f.before.reasons,
            "reasons_after": f.after.reasons,
        }
        for f in found.flipped
    ]
    return respond(
        {
            "version": number,
            "profiles": {"merged": found.merged, "split": found.split, "unchanged": found.unchanged},
            "decisions": {"flipped": flips},
            "examples": examples,
            "examined": found.examined,
            "complete": found.complete,
        }
    )


async def _activated(request: Request, caller: Caller, version: int | None, wait_s: float) -> Response:
    services = services_of(request)
    sent = await _maybe_body(request)
    asked = read_as(ActivateIn, sent.content)
    change = ActivatePolicy(version, asked.reason)

    def shape(receipt: Any) -> Json:
        shown = _policy_json(receipt.kept)
        return {**shown, "status": "active", "resolution": _pass_json(receipt.running)}

    render = one(call_of(request.scope).request_id, shape)
    answered = await services.write_path.submit([change], origin_of(request, caller, sent.raw), render)
    services.follower.wake()
    if answered.status != 200 or answered.replayed or wait_s <= 0:
        return respond_answered(answered)
    running = await services.policies.resolved(wait_s, monotonic_s, request.is_disconnected)
    return respond({**orjson.loads(answered.body), "resolution": _pass_json(running)})


async def _maybe_body(request: Request) -> Sent:
    """The body, or an empty object where none is sent."""
    if request.headers.get("content-length", "") in ("", "0") and "transfer-encoding" not in request.headers:
        return Sent(b"", {})
    return await body_of(request)

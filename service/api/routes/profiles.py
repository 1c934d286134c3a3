"""Look-ups by id and in batches, and what stewards do to profiles."""

from __future__ import annotations

import asyncio

import orjson
from fastapi import APIRouter, Request
from pydantic import TypeAdapter
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import ACTIVATION, STEWARD, Caller, only_activates
from service.api.documentation import LOOKUP_PARAMETERS, answers, reads
from service.api.guard import UNKNOWN
from service.api.reading import (
    body_of,
    caller_of,
    identifier_of,
    origin_of,
    read_as,
    services_of,
    valid_item,
)
from service.api.render import one, problem_item, respond_answered, steward_json
from service.api.schemas import (
    BATCH_MAX,
    IdentifierIn,
    LookupIn,
    LookupOut,
    MergeIn,
    ProfileOut,
    SplitIn,
    StewardOut,
    UndoIn,
)
from service.api.urls import confidence_of, purpose_of, query_of
from service.commands.lookup import Found
from service.errors import Invalid, TooManyItems, UnknownIdentifier
from service.model.changes import Merge, Split, Undo
from service.model.identifiers import AssertionId, IdentifierKey, ProfileId

router = APIRouter(prefix="/v1")
_IDENTIFIER = TypeAdapter(IdentifierIn)
_PROBLEMS = (400, 401, 403, 404, 409, 410, 413, 415, 422, 503)


@router.get(
    "/profiles/{profile_id}",
    tags=["lookup"],
    responses=answers(ProfileOut, 400, 401, 403, 404, 422, 503),
    openapi_extra={"parameters": LOOKUP_PARAMETERS},
)
async def get_profile(request: Request, profile_id: str) -> Response:
    """Look up by any profile id ever handed out; one that is no longer shown is answered with `redirected_from`."""
    caller = caller_of(request, ACTIVATION, STEWARD)
    services = services_of(request)
    query = query_of(request.scope["query_string"])
    if b"namespace" in query or b"value" in query:
        raise Invalid.at("", "names a query parameter that this call does not have")
    policy = await services.policies.current()
    purpose = purpose_of(query.get(b"purpose"), policy, required=only_activates(caller))
    least, at = confidence_of(query.get(b"min_confidence")), services.time_of(query.get(b"as_of"))
    if at is None:
        found = await services.lookup.by_id(ProfileId(profile_id), purpose, least)
    else:
        found = await services.lookup.by_id_as_of(ProfileId(profile_id), at, purpose, least)
    return Response(found.body, 200, {"X-Cache": found.cache}, "application/json")


@router.post(
    "/profiles/lookup",
    tags=["lookup"],
    responses=answers(LookupOut, 400, 401, 403, 413, 415, 422, 503),
    openapi_extra=reads(LookupIn, idempotent=False),
)
async def post_lookup(request: Request) -> Response:
    """Look up to 1,000 identifiers; each is answered in its place, with a profile or a problem."""
    caller: Caller = caller_of(request, ACTIVATION, STEWARD)
    services, request_id = services_of(request), call_of(request.scope).request_id
    sent = await body_of(request)
    content, items = sent.content, list[object]()
    if isinstance(content, dict) and isinstance(content.get("identifiers"), list):
        items, content = content["identifiers"], {**content, "identifiers": []}  # each is read by itself
    if len(items) > BATCH_MAX:
        raise TooManyItems(BATCH_MAX)
    asked = read_as(LookupIn, content)
    policy = services.policy()
    purpose = purpose_of(asked.purpose, policy, required=only_activates(caller))

    async def look_up(key: IdentifierKey) -> Found:
        if asked.as_of is None or asked.as_of >= services.now_ms():
            return await services.lookup.by_identifier(key, purpose, asked.min_confidence or 0.0)
        (found,) = await services.lookup.as_of([key], asked.as_of, purpose, asked.min_confidence or 0.0)
        if found is None:
            raise UnknownIdentifier()
        return found

    unknown = 0

    async def one_of(index: int, item: object) -> bytes:
        nonlocal unknown
        place = f"/identifiers/{index}"
        try:
            identifier = valid_item(_IDENTIFIER, item, place)
            if isinstance(identifier, tuple):
                raise Invalid(errors=identifier)
            key: IdentifierKey = identifier_of(identifier, policy, place).key
            found = await look_up(key)
        except (Invalid, UnknownIdentifier) as error:
            unknown += isinstance(error, UnknownIdentifier)
            return orjson.dumps(problem_item(error, request_id))
        return found.body

    found = await asyncio.gather(*(one_of(index, item) for index, item in enumerate(items)))
    request.scope[UNKNOWN] = unknown
    return Response(b'{"results":[' + b",".join(found) + b"]}", 200, media_type="application/json")


async def _steward(request: Request, caller: Caller, change: Merge | Split | Undo, raw: bytes) -> Response:
    render = one(call_of(request.scope).request_id, steward_json)
    answered = await services_of(request).write_path.submit([change], origin_of(request, caller, raw), render)
    return respond_answered(answered)


@router.post(
    "/profiles/merge", tags=["stewardship"], responses=answers(StewardOut, *_PROBLEMS), openapi_extra=reads(MergeIn)
)
async def post_merge(request: Request) -> Response:
    """Say that profiles are one person. With `preview` nothing is changed."""
    caller = caller_of(request, STEWARD)
    sent = await body_of(request)
    asked = read_as(MergeIn, sent.content)
    if len(set(asked.profiles)) < len(asked.profiles):
        raise Invalid.at("/profiles", "names one profile twice")
    profiles = tuple(ProfileId(profile) for profile in asked.profiles)
    survivor = ProfileId(asked.survivor) if asked.survivor is not None else None
    if survivor is not None and survivor not in profiles:
        raise Invalid.at("/survivor", "is not one of the profiles")
    return await _steward(request, caller, Merge(profiles, survivor, asked.reason, asked.preview), sent.raw)


@router.post(
    "/profiles/{profile_id}/split",
    tags=["stewardship"],
    responses=answers(StewardOut, *_PROBLEMS),
    openapi_extra=reads(SplitIn),
)
async def post_split(request: Request, profile_id: str) -> Response:
    """Say that identifiers of a profile are somebody else's; they leave and stay apart."""
    caller = caller_of(request, STEWARD)
    services = services_of(request)
    sent = await body_of(request)
    asked = read_as(SplitIn, sent.content)
    keys = []
    for index, identifier in enumerate(asked.identifiers):
        keys.append(identifier_of(identifier, services.policy(), f"/identifiers/{index}").key)
    if not keys:
        raise Invalid.at("/identifiers", "names none")
    change = Split(ProfileId(profile_id), tuple(dict.fromkeys(keys)), asked.reason, asked.preview)
    return await _steward(request, caller, change, sent.raw)


@router.post(
    "/assertions/{assertion_id}/undo",
    tags=["stewardship"],
    responses=answers(StewardOut, *_PROBLEMS),
    openapi_extra=reads(UndoIn),
)
async def post_undo(request: Request, assertion_id: str) -> Response:
    """Take a merge or a split back. What remains is exactly what the other evidence says, former ids included."""
    caller = caller_of(request, STEWARD)
    sent = await body_of(request)
    asked = read_as(UndoIn, sent.content)
    return await _steward(request, caller, Undo(AssertionId(assertion_id), asked.reason, asked.preview), sent.raw)

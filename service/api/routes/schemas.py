"""Schemas of events: read by anybody with a key that has to do with events, published by admins."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.api.asgi import call_of
from service.api.auth import COLLECTOR, PRIVACY, STEWARD
from service.api.context import Services
from service.api.documentation import answers, created, reads
from service.api.event_schemas import SchemaIn, SchemaOut, SchemasOut
from service.api.reading import body_of, caller_of, open_to, origin_of, read_as, services_of
from service.api.render import one, respond, respond_answered
from service.commands.event_schemas import schema_name
from service.errors import FieldError, IncompatibleSchema, Invalid, UnknownSchema
from service.events.compatibility import parse_version
from service.events.publishing import versions_in, wrong_version
from service.events.validation import SCHEMA_BYTES_MAX, Compiled, NotASchema
from service.model.events import RegisterSchema, SchemaReceipt

router = APIRouter(prefix="/v1", tags=["schemas"])


def _named(name: str, services: Services) -> dict[str, Any]:
    kind, _, version = name.partition("/")
    return {"type": kind, "version": version, "builtin": services.events.schemas.is_builtin(name)}


@router.get(
    "/schemas",
    dependencies=[open_to(COLLECTOR, STEWARD, PRIVACY)],
    responses=answers(SchemasOut, 401, 403, 422, 503),
)
async def get_schemas(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Every published version of every type, by name."""
    services = services_of(request)
    names = [name for name in await services.events.schemas.names() if cursor is None or name > cursor]
    shown = [_named(name, services) for name in names[:limit]]
    return respond({"items": shown, "next_cursor": names[limit - 1] if len(names) > limit else None})


@router.get(
    "/schemas/{type}/{version}",
    dependencies=[open_to(COLLECTOR, STEWARD, PRIVACY)],
    responses=answers(SchemaOut, 401, 403, 404, 503),
)
async def get_schema(request: Request, type: str, version: str) -> Response:
    """One published version. It is never changed."""
    services = services_of(request)
    name = schema_name(type, version)
    await services.events.schemas.learn([name])
    found = services.events.schemas.known.get(name)
    if found is None:
        raise UnknownSchema()
    return respond({**_named(name, services), "schema": found.document})


async def _change_of(asked: SchemaIn, services: Services) -> RegisterSchema:
    """The change that publishes a version. Raises Invalid, IncompatibleSchema with pointers into the body."""
    document = asked.schema_
    raw = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    if len(raw) > SCHEMA_BYTES_MAX:
        raise Invalid.at("/schema", f"is larger than {SCHEMA_BYTES_MAX} bytes")
    try:
        Compiled(document)
    except NotASchema as error:
        raise Invalid.at("/schema", str(error)) from None
    known = versions_in(await services.events.schemas.of_type(asked.type))
    version = parse_version(asked.version)
    change = RegisterSchema(asked.type, asked.version, raw.decode())
    if version in known:
        return change
    wrong = wrong_version(document, version, known)
    if wrong:
        places = [(e.pointer if e.pointer == "/version" else f"/schema{e.pointer}", e.message) for e in wrong]
        raise IncompatibleSchema(errors=tuple(FieldError(*place) for place in places))
    return change


@router.post(
    "/schemas",
    status_code=201,
    responses=created(SchemaOut, 400, 401, 403, 409, 413, 415, 422, 503),
    openapi_extra=reads(SchemaIn),
)
async def post_schema(request: Request) -> Response:
    """Publish a version. What it changes must fit its number; published again as it is, nothing changes."""
    caller = caller_of(request)
    services = services_of(request)
    sent = await body_of(request)
    asked = read_as(SchemaIn, sent.content)
    change = await _change_of(asked, services)
    name = schema_name(asked.type, asked.version)

    def shown(receipt: SchemaReceipt) -> dict[str, Any]:
        return {**_named(name, services), "schema": orjson.loads(change.document)}

    if services.events.schemas.is_builtin(name):
        built = orjson.dumps(services.events.schemas.known[name].document, option=orjson.OPT_SORT_KEYS).decode()
        if built == change.document:
            return respond({**_named(name, services), "schema": orjson.loads(built)}, 201)
        raise IncompatibleSchema.at("/version", "is of a schema that comes with the service")
    render = one(call_of(request.scope).request_id, shown, 201)
    answered = await services.write_path.submit([change], origin_of(request, caller, sent.raw), render)
    if answered.status == 201:
        services.events.schemas.add(name, change.document)
    return respond_answered(answered)

"""From what was sent to what commands take: callers, bodies, identifiers, idempotency. Shape only, no rule."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Depends
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request

from service.api.asgi import Call, call_of, read_body
from service.api.auth import Caller, require
from service.api.body import parse_json
from service.api.context import Services
from service.api.errors import field_errors, invalid
from service.api.schemas import BATCH_MAX, IdentifierIn
from service.api.urls import key_in_url
from service.api.values import refuse_personal
from service.control.normalise import Refused, normalise
from service.errors import FieldError, Invalid, Malformed, TooManyItems
from service.events.validation import looks_like_a_name
from service.model.changes import Origin, Remembered
from service.model.identifiers import Identifier, IdentifierKey
from service.model.policy import Policy

Model = TypeVar("Model", bound=BaseModel)
_KEY_LENGTH_MAX = 255
_AHEAD_MS_MAX = 24 * 3_600_000


def services_of(request: Request) -> Services:
    """The one set of services that this application was made with."""
    services: Services = request.app.state.services
    return services


def caller_of(request: Request, *roles: str) -> Caller:
    """Who calls, if one of `roles` is theirs. Raises NotAuthenticated, NotAllowed."""
    call = call_of(request.scope)
    caller = services_of(request).keyring.roles_of(call.headers.get(b"authorization"))
    call.caller = caller.name
    require(caller, *roles)
    return caller


def open_to(*roles: str) -> Any:
    """`dependencies=[open_to(…)]` of a route whose query the framework reads: who may comes before what was sent, and
    what was sent is read under the policy in force.
    """

    async def settle(request: Request) -> None:
        caller_of(request, *roles)
        await services_of(request).policies.current()

    return Depends(settle)


@dataclass(frozen=True, slots=True)
class Sent:
    """A body as it came, and what it says."""

    raw: bytes
    content: object


async def body_of(request: Request) -> Sent:
    """The JSON body, to be read under the policy in force. Raises Malformed, UnsupportedMedia, BodyTooLarge."""
    limit = services_of(request).body_bytes_max
    raw = await read_body(request.receive, limit)
    await services_of(request).policies.current()
    content_type = call_of(request.scope).headers.get(b"content-type")
    return Sent(raw, parse_json(raw, content_type.decode("latin-1") if content_type else None, limit_bytes=limit))


def read_as(model: type[Model], content: object) -> Model:
    """The content as `model`. Raises Invalid with pointers."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise invalid(error, content) from None


def items_of(content: object, name: str) -> list[Any] | None:
    """The items of a batch body `{name: […]}`, None for a body that is a single item. Raises Invalid, TooManyItems."""
    if not isinstance(content, dict):
        raise Invalid.at("", "must be an object")
    if name not in content:
        return None
    items = content[name]
    if not isinstance(items, list):
        raise Invalid.at(f"/{name}", "must be a list")
    if len(items) > BATCH_MAX:
        raise TooManyItems(BATCH_MAX)
    for key in content:
        if key != name:
            raise Invalid.at(f"/{key}" if looks_like_a_name(key) else "", f"stands beside `{name}`, which is alone")
    return items


def valid_item(adapter: TypeAdapter[Model], item: object, place: str) -> Model | tuple[FieldError, ...]:
    """One item of a batch, or what is wrong with it, with pointers from `place` on."""
    try:
        return adapter.validate_python(item)
    except ValidationError as error:
        return placed(field_errors(error.errors(include_url=False), item), place)


def not_ahead(at: int | None, now: int) -> None:
    """Raises Invalid for an observation (ms) of more than a day ahead: a clock may be wrong, not that far."""
    if at is not None and at > now + _AHEAD_MS_MAX:
        raise Invalid.at("/observed_at", "is more than a day ahead")


def placed(errors: Iterable[FieldError], place: str) -> tuple[FieldError, ...]:
    """The errors with their pointers starting at `place`."""
    return tuple(FieldError(place + error.pointer, error.message) for error in errors)


def identifier_of(sent: IdentifierIn, policy: Policy, place: str) -> Identifier:
    """The normalised identifier. Raises Invalid with a pointer under `place`."""
    try:
        return normalise(sent.namespace, sent.value, policy, plain=sent.plain)
    except Refused as refused:
        raise Invalid.at(f"{place}/{refused.field}", str(refused)) from None


def origin_of(request: Request, caller: Caller, raw: bytes = b"") -> Origin:
    """Who asks, under which request id and, for a POST, which Idempotency-Key. Raises Malformed for an unusable one."""
    call: Call = call_of(request.scope)
    key = call.headers.get(b"idempotency-key")
    if key is None or request.method != "POST":
        return Origin(caller.name, call.request_id)
    if not 0 < len(key) <= _KEY_LENGTH_MAX or not key.isascii() or not key.decode("latin-1").isprintable():
        raise Malformed(f"Idempotency-Key must be 1 to {_KEY_LENGTH_MAX} printable ASCII characters.")
    scope = f"{caller.name}\0{request.method}\0{request.url.path}\0".encode()
    return Origin(
        caller.name,
        call.request_id,
        Remembered(hashlib.sha256(scope + key).hexdigest(), hashlib.sha256(raw).hexdigest()),
    )


async def no_address_in_path(request: Request) -> None:
    """Dependency of every route: raises PersonalValueInUrl for a path that holds an e-mail address."""
    refuse_personal(False, request.url.path)


def key_of_text(text: str, name: str, policy: Policy) -> IdentifierKey:
    """`namespace:value` from a query. Raises Invalid, PersonalValueInUrl."""
    namespace, colon, value = text.partition(":")
    if not colon:
        raise Invalid.at(f"/{name}", "must be namespace:value")
    try:
        return key_in_url(namespace, value, policy)
    except Invalid as error:
        raise Invalid.at(f"/{name}", error.errors[0].message) from None

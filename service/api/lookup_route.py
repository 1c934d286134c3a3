"""`GET /v1/profiles`: the hottest route, plain ASGI beside the framework, since its answers are bytes already."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.asgi import Call, call_of
from service.api.auth import ACTIVATION, STEWARD, only_activates, require
from service.api.context import Services
from service.api.errors import MethodNotAllowed, error_from, problem_response
from service.api.values import refuse_personal
from service.commands.lookup import Found
from service.control.normalise import Refused, normalise
from service.errors import Invalid, Malformed, PurposeRequired, UnknownIdentifier
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy

PATH: Final = "/v1/profiles"
_NAMES: Final = frozenset({b"namespace", b"value", b"purpose", b"min_confidence", b"as_of"})


def _text(raw: bytes) -> str:
    if b"%" in raw or b"+" in raw:
        raw = unquote_to_bytes(raw.replace(b"+", b" "))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Malformed("The query is not UTF-8.") from None


def query_of(raw: bytes) -> dict[bytes, str]:
    """The query parameters by name. Raises Malformed for one that is not UTF-8, Invalid for unknown or double ones."""
    found: dict[bytes, str] = {}
    for part in raw.split(b"&"):
        if not part:
            continue
        name, _, value = part.partition(b"=")
        if name not in _NAMES:
            raise Invalid.at("", "names a query parameter that this call does not have")
        if name in found:
            raise Invalid.at("/" + name.decode(), "is given twice")
        found[name] = _text(value)
    return found


def confidence_of(text: str | None) -> float:
    """`min_confidence` of a query, 0.0 where it is not given. Raises Invalid."""
    if text is None:
        return 0.0
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise Invalid.at("/min_confidence", "must be a number from 0 to 1")
    return value


def purpose_of(text: str | None, policy: Policy, *, required: bool) -> str:
    """The purpose asked for, '' where none is. Raises PurposeRequired, Invalid for an unknown one."""
    if not text:
        if required:
            raise PurposeRequired()
        return ""
    if text not in policy.purposes:
        raise Invalid.at("/purpose", "is not a purpose of the policy")
    return text


def key_in_url(namespace: str | None, value: str | None, policy: Policy) -> IdentifierKey:
    """The identifier that a query names. Raises Invalid, PersonalValueInUrl."""
    if namespace is None:
        raise Invalid.at("/namespace", "is required")
    if value is None:
        raise Invalid.at("/value", "is required")
    rules = policy.namespaces.get(namespace)
    hashed = rules is not None and rules.hashed
    if hashed or "@" in value:
        refuse_personal(hashed, value)
    try:
        return normalise(namespace, value, policy).key
    except Refused as refused:
        raise Invalid.at(f"/{refused.field}", str(refused)) from None


class LookupRoute:
    """Takes `GET /v1/profiles` and leaves everything else to the framework behind it."""

    def __init__(self, services: Services, others: ASGIApp) -> None:
        self._services = services
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._others(scope, receive, send)
            return
        call = call_of(scope)
        call.route = PATH
        if scope["method"] != "GET":
            raise MethodNotAllowed("GET")
        try:
            found = await self._find(call, scope["query_string"])
        except Exception as exception:
            error = error_from(exception)
            if error.code == "internal_error":
                raise
            call.code = error.code
            await problem_response(error, call.request_id)(scope, receive, send)
            return
        kind, cache = (b"content-type", b"application/json"), (b"x-cache", found.cache.encode())
        length = (b"content-length", b"%d" % len(found.body))
        await send({"type": "http.response.start", "status": 200, "headers": [kind, cache, length]})
        await send({"type": "http.response.body", "body": found.body})

    async def _find(self, call: Call, query_string: bytes) -> Found:
        services = self._services
        caller = services.keyring.roles_of(call.headers.get(b"authorization"))
        call.caller = caller.name
        require(caller, ACTIVATION, STEWARD)
        query = query_of(query_string)
        policy = services.policy()
        purpose = purpose_of(query.get(b"purpose"), policy, required=only_activates(caller))
        key = key_in_url(query.get(b"namespace"), query.get(b"value"), policy)
        least = confidence_of(query.get(b"min_confidence"))
        at = services.time_of(query.get(b"as_of")) if b"as_of" in query else None
        if at is None:
            return await services.lookup.by_identifier(key, purpose, least)
        (found,) = await services.lookup.as_of([key], at, purpose, least)
        if found is None:
            raise UnknownIdentifier()
        return found

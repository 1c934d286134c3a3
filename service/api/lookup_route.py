"""`GET /v1/profiles`: the hottest route, plain ASGI beside the framework, since its answers are bytes already."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.asgi import Call, call_of
from service.api.auth import ACTIVATION, STEWARD, Caller, only_activates, require
from service.api.context import Services
from service.api.direct import refusal
from service.api.errors import MethodNotAllowed
from service.api.urls import confidence_of, key_in_url, purpose_of, query_of
from service.commands.lookup import Found
from service.errors import Invalid, StoreUnavailable, UnknownIdentifier
from service.model.policy import Policy

PATH: Final = "/v1/profiles"
_POLICIES_MAX: Final = 5


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
            await refusal(exception, call)(scope, receive, send)
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
        for _ in range(_POLICIES_MAX):
            policy = services.policy()
            try:
                found = await self._under(policy, query, caller)
            except (Invalid, UnknownIdentifier):
                if await services.policies.current() is policy:
                    raise
                continue
            if services.policy() is policy:
                return found
        raise StoreUnavailable("The policy changes faster than it can be read.")

    async def _under(self, policy: Policy, query: dict[bytes, str], caller: Caller) -> Found:
        """The question read under a policy, and answered under the one in force."""
        services = self._services
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

"""The two POST routes that everything waits for, called past the framework's layers: they read their bodies themselves.

The framework knows them too, for its documentation; what they answer is the same either way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.asgi import Call, call_of
from service.api.errors import error_from, problem_response
from service.api.routes.decisions import post_decisions
from service.api.routes.links import post_links

Endpoint = Callable[[Request], Awaitable[Response]]
ENDPOINTS: Final[dict[str, Endpoint]] = {"/v1/links": post_links, "/v1/decisions": post_decisions}


class DirectRoutes:
    """Takes a POST to one of `ENDPOINTS` and leaves everything else to `others`."""

    def __init__(self, app: FastAPI, others: ASGIApp) -> None:
        self._app = app
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        endpoint = ENDPOINTS.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if endpoint is None:
            await self._others(scope, receive, send)
            return
        call = call_of(scope)
        call.route = scope["path"]
        scope["app"] = self._app
        try:
            response = await endpoint(Request(scope, receive))
        except Exception as exception:
            response = refusal(exception, call)
        await response(scope, receive, send)


def refusal(exception: Exception, call: Call) -> Response:
    """The problem that an exception is answered with; one that nobody foresaw goes on up, to be logged as such."""
    error = error_from(exception)
    if error.code == "internal_error":
        raise exception
    call.code = error.code
    return problem_response(error, call.request_id)

"""The outermost layer of the service: request ids, limits, headers, metrics, the access log, and the last resort.

Plain ASGI, and as little as possible on the way of a request that succeeds. Everything about a request that routes and
this layer share is one `Call`, found by `call_of(scope)`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Awaitable, Callable, Collection, Iterable
from time import perf_counter
from typing import Any, Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import error_from, problem_response
from service.errors import BodyTooLarge, FabricError, Internal, Malformed
from service.telemetry import METRICS, HttpTally

BODY_BYTES_MAX: Final = 8 * 1024 * 1024
UNMATCHED: Final = "unmatched"

_CALL: Final = "fabric.call"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")
_METHODS: Final = frozenset({"GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"})

Header = tuple[bytes, bytes]

_STRICT: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
_NO_STORE: Final[Header] = (b"cache-control", b"no-store")
# The page with the documentation runs a script of its own; by default everything else must come from this service.
DOCS_CSP: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; frame-ancestors 'none'"
)


class Call:
    """One request. Routes may set `route` (a template) and `caller` (such as `key:1a2b3c`); both are logged."""

    __slots__ = ("_page_headers", "_send", "caller", "code", "headers", "request_id", "route", "status")

    def __init__(
        self, request_id: str, headers: dict[bytes, bytes], send: Send, page_headers: tuple[Header, ...]
    ) -> None:
        self.request_id = request_id
        self.headers = headers
        self.caller = ""
        self.code = ""
        self.route = ""
        self.status = 0
        self._send = send
        self._page_headers = page_headers

    def send(self, message: Message) -> Awaitable[None]:
        """ASGI send: adds our headers to the start of the response, passes on the rest."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            # A copy: the message, or its headers, may be a constant of the route.
            headers: list[Header] = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
            for name, _ in headers:
                if name == b"cache-control":
                    break
            else:
                headers.append(_NO_STORE)
            headers += self._page_headers
            message = {**message, "headers": headers}
        return self._send(message)


def call_of(scope: Scope) -> Call:
    """The Call of this request. `headers` has lower-case names; values sent under one name are joined by commas."""
    call: Call = scope[_CALL]
    return call


def request_ids(prefix: str) -> Callable[[], str]:
    """A source of request ids: `prefix` (random, chosen once a process) and a count."""
    count = itertools.count(1)
    return lambda: f"{prefix}-{next(count):x}"


def headers_of(raw: Iterable[Header]) -> dict[bytes, bytes]:
    """ASGI headers as a mapping; values of one that was sent several times are joined by a comma."""
    pairs = raw if isinstance(raw, list) else list(raw)
    found = dict(pairs)
    if len(found) != len(pairs):
        found = {}
        for name, value in pairs:
            found[name] = found[name] + b", " + value if name in found else value
    return found


async def read_body(receive: Receive, limit_bytes: int = BODY_BYTES_MAX) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as it is over the limit, Malformed when it is cut off."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False):
        if len(body) > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        return body
    parts, size = [body], len(body)
    while True:
        if message["type"] != "http.request":
            raise Malformed("The body was cut off.")
        if size > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])


def _limited(receive: Receive, limit_bytes: int) -> Receive:
    """A receive that raises BodyTooLarge once more has come than that."""
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit_bytes:
            raise BodyTooLarge(limit_bytes)
        return message

    return counted


class Outermost:
    """Wraps the whole application; everything else, the framework's own error pages too, is inside it.

    new_request_id  a source of ids, such as `request_ids(prefix)`
    body_bytes_max  the largest body that is read, however it is sent
    quiet_routes    templates whose successes and 404s are not logged, but for every `log_every`-th (0: none)
    docs_paths      paths of pages that run scripts and may load what `docs_csp` says
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        new_request_id: Callable[[], str],
        body_bytes_max: int = BODY_BYTES_MAX,
        quiet_routes: Collection[str] = (),
        log_every: int = 0,
        docs_paths: Collection[str] = ("/docs",),
        docs_csp: str = DOCS_CSP,
        tally: HttpTally = METRICS.http,
    ) -> None:
        self._app = app
        self._new_request_id = new_request_id
        self._body_bytes_max = body_bytes_max
        self._quiet = frozenset(quiet_routes)
        self._log_every = log_every
        self._seen = 0
        self._docs_paths = frozenset(docs_paths)
        self._docs_headers = (_STRICT[0], (b"content-security-policy", docs_csp.encode()), _STRICT[2])
        self._observe = tally.observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        headers = headers_of(scope["headers"])
        asked = headers.get(b"x-request-id")
        accepted = asked is not None and _REQUEST_ID.fullmatch(asked) is not None
        request_id = asked.decode() if asked is not None and accepted else self._new_request_id()
        page_headers = self._docs_headers if scope["path"] in self._docs_paths else _STRICT
        call = scope[_CALL] = Call(request_id, headers, send, page_headers)
        failure: Exception | None = None
        try:
            if (
                scope["method"] not in ("GET", "HEAD")
                or b"content-length" in headers
                or b"transfer-encoding" in headers
            ):
                receive = self._guarded(headers, receive)
            await self._app(scope, receive, call.send)
        except Exception as exception:
            failure = exception
        if not call.status:
            await _answer(error_from(failure or Internal()), scope)(scope, receive, call.send)
        seconds = perf_counter() - started
        route = call.route or template_of(scope)
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._observe(method, route, call.status, seconds)
        if call.status >= 400 or failure is not None or route not in self._quiet or self._log_every:
            self._log(method, route, call, seconds, failure)

    def _guarded(self, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """Refuses a body that says it is too large, counts one that does not say."""
        length = headers.get(b"content-length")
        if length is not None and length.isdigit() and (len(length) > 18 or int(length) > self._body_bytes_max):
            raise BodyTooLarge(self._body_bytes_max)
        return _limited(receive, self._body_bytes_max)

    def _log(self, method: str, route: str, call: Call, seconds: float, failure: Exception | None) -> None:
        """One line a request. Failures always; successes and 404s of quiet routes only every so often."""
        if route in self._quiet and failure is None and (call.status < 400 or call.status == 404):
            self._seen += 1
            if not self._log_every or self._seen % self._log_every:
                return
        line: dict[str, Any] = {
            "method": method,
            "route": route,
            "status": call.status,
            "duration_ms": round(seconds * 1000, 3),
            "request_id": call.request_id,
            "caller": call.caller or None,
        }
        if call.code:
            line["code"] = call.code
        if failure is not None and not (isinstance(failure, FabricError) and call.status < 500):
            line["exc_info"] = failure
        log = structlog.get_logger()
        if call.status >= 500 or "exc_info" in line:
            log.error("request", **line)
        else:
            log.info("request", **line)


def template_of(scope: Scope) -> str:
    """The template of the route that took this request, such as `/v1/links/{link_id}`; never a path as it was sent."""
    route = scope.get("route")
    template = getattr(route, "path_format", None) or getattr(route, "path", None)
    return template if isinstance(template, str) else UNMATCHED


def _answer(error: FabricError, scope: Scope) -> Response:
    """The problem, with the id of this request; notes its code for the log."""
    call: Call | None = scope.get(_CALL)
    if call is None:
        return problem_response(error, "")
    call.code = error.code
    return problem_response(error, call.request_id)


def answer_problems(app: FastAPI) -> None:
    """Make every error inside the framework a problem from our table."""

    async def answer(request: Request, exception: Exception) -> Response:
        return _answer(error_from(exception), request.scope)

    for kind in (FabricError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, answer)

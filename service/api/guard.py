"""What keeps an instance within its bounds: how many requests are under way, and how long one may take."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.asgi import call_of
from service.api.direct import refusal
from service.errors import Busy, StoreUnavailable
from service.telemetry import Metrics

ALWAYS_OPEN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Never refused: an instance that is busy must be able to say so."""
WAITS: Final = frozenset({"/v1/changes", "/v1/policies/rollback"})
"""Paths that wait for as long as they are asked to."""


class Guard:
    """Refuses early what can't be taken, instead of letting everything become slow."""

    def __init__(self, app: ASGIApp, metrics: Metrics, requests_max: int, request_timeout_ms: int) -> None:
        self._app = app
        self._metrics = metrics
        self._requests_max = requests_max
        self._timeout_s = request_timeout_ms / 1000
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] in ALWAYS_OPEN:
            await self._app(scope, receive, send)
            return
        if self._under_way >= self._requests_max:
            self._metrics.refused.labels("requests").inc()
            await refusal(Busy(), call_of(scope))(scope, receive, send)
            return
        self._under_way += 1
        self._metrics.requests_under_way.set(self._under_way)
        try:
            await self._within(scope, receive, send)
        finally:
            self._under_way -= 1
            self._metrics.requests_under_way.set(self._under_way)

    async def _within(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What takes too long is ended; a change may still be carried out: the same Idempotency-Key tells."""
        path = scope["path"]
        if path in WAITS or b"wait=" in scope["query_string"]:
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._app(scope, receive, send)
        except TimeoutError:
            self._metrics.refused.labels("time").inc()
            if call_of(scope).status:
                raise
            error = StoreUnavailable("The request took too long; whether it was carried out is not known.")
            await refusal(error, call_of(scope))(scope, receive, send)

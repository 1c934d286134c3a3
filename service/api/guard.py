"""What keeps an instance within its bounds: how many requests are under way, and how long one may take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.asgi import call_of
from service.api.auth import Caller
from service.api.direct import refusal
from service.errors import Busy, RateLimited, StoreUnavailable
from service.telemetry import Metrics

ALWAYS_OPEN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Never refused: an instance that is busy must be able to say so."""
LOOK_UPS: Final = frozenset({"/v1/profiles", "/v1/profiles/lookup", "/v1/decisions"})
UNKNOWN: Final = "fabric.unknown"
"""In the scope: how many identifiers of a batch nobody knows."""
WAITS: Final = frozenset({"/v1/changes", "/v1/policies/rollback"})
"""Paths that wait for as long as they are asked to."""


class Rates(Protocol):
    """What each key has left, over all instances."""

    async def take(self, name: str, limit: int, *, per_minute: bool = False, cost: int = 1) -> int | None:
        """None, or seconds to wait."""


class Guard:
    """Refuses early what can't be taken, instead of letting everything become slow."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        requests_max: int,
        request_timeout_ms: int,
        known: Callable[[bytes | None], Caller | None],
        rates: Rates,
        rate: int,
        unknown_per_minute: int,
    ) -> None:
        self._app = app
        self._known = known
        self._rates = rates
        self._rate = rate
        self._unknown = unknown_per_minute
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
            await self._shared_out(scope, receive, send)
        finally:
            self._under_way -= 1
            self._metrics.requests_under_way.set(self._under_way)

    async def _shared_out(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Each key has its share, of requests and of look-ups that find nobody; a stranger is refused further in."""
        call = call_of(scope)
        caller = self._known(call.headers.get(b"authorization"))
        if caller is None:
            await self._within(scope, receive, send)
            return
        rate = self._rate if caller.rate is None else caller.rate
        wait_s = await self._rates.take(caller.name, rate) if rate else None
        looks_up = self._unknown > 0 and scope["path"] in LOOK_UPS
        if wait_s is None and looks_up:
            wait_s = await self._rates.take(f"{caller.name} unknown", self._unknown, per_minute=True, cost=0)
        if wait_s is not None:
            self._metrics.refused.labels("rate").inc()
            call.caller = caller.name
            await refusal(RateLimited(wait_s), call)(scope, receive, send)
            return
        await self._within(scope, receive, send)
        unknown = int(scope.get(UNKNOWN, 0)) or int(call.status == 404)
        if looks_up and unknown:
            self._metrics.lookups_unknown.labels(caller.name).inc(unknown)
            await self._rates.take(f"{caller.name} unknown", self._unknown, per_minute=True, cost=unknown)

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

"""Keeps this instance's clock on the graph's: no instance's own clock decides anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from service.clock import SteeredClock
from service.commands.rest import Rest
from service.errors import StoreUnavailable
from service.telemetry import Metrics

log = structlog.get_logger()
EVERY_S = 10.0
TOOK_S_MAX = 1.0
"""A question that took longer says too little about the time."""
TOLD_MS = 1_000
"""A clock that is further off than that is in the log when it is first seen."""


class Steering:
    """Asks for the shared time now and then. `shared`: ms since the epoch; raises StoreUnavailable."""

    def __init__(self, clock: SteeredClock, shared: Callable[[], Awaitable[int]], metrics: Metrics) -> None:
        self._clock = clock
        self._shared = shared
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None
        self._rest = Rest()

    async def start(self) -> None:
        """Put the clock right once, then go on in the background."""
        await self._once()
        self._task = asyncio.create_task(self._loop(), name="steering")

    async def stop(self) -> None:
        """End the loop at its next pause."""
        if self._task is not None:
            await self._rest.end(self._task)

    async def _once(self) -> None:
        began = self._clock.monotonic_s()
        try:
            shared = await self._shared()
        except StoreUnavailable:
            return  # readiness shows the store; the clock goes on as it was
        ended = self._clock.monotonic_s()
        if ended - began > TOOK_S_MAX:
            return
        before = self._clock.off_ms
        self._clock.steer(shared, began, ended)
        self._metrics.clock_off_seconds.set(self._clock.off_ms / 1000)
        if abs(self._clock.off_ms) > TOLD_MS >= abs(before):
            log.warning("clock_off", off_ms=self._clock.off_ms)

    async def _loop(self) -> None:
        while True:
            await self._rest(EVERY_S)
            await self._once()

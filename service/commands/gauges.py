"""Gauges that only the graph knows, read now and then rather than at every scrape."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from service.commands.rest import Rest
from service.errors import FabricError
from service.telemetry import Metrics

log = structlog.get_logger()
READ_EVERY_S = 15.0


class Gauges:
    """Reads them in the background. `open_reviews` counts the links that wait for a steward."""

    def __init__(self, open_reviews: Callable[[], Awaitable[int]], metrics: Metrics) -> None:
        self._open_reviews = open_reviews
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None
        self._rest = Rest()

    def start(self) -> None:
        """Begin to read."""
        self._rest = Rest()
        self._task = asyncio.create_task(self._read_on(), name="gauges")

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            await self._rest.end(self._task)

    async def read(self) -> None:
        """Read once. Raises StoreUnavailable."""
        self._metrics.reviews_open.set(await self._open_reviews())

    async def _read_on(self) -> None:
        while True:
            try:
                await self.read()
            except FabricError:
                pass  # the store is away; readiness shows it
            except Exception:
                log.exception("gauges_failed")
            await self._rest(READ_EVERY_S)

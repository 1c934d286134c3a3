"""Time as one more kind of change: links that have fallen due are flipped through the write path, in small turns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson
import structlog

from service.commands.carry_out import Outcome
from service.commands.write_path import WritePath
from service.errors import FabricError
from service.model.changes import ExpireDue, Origin, SweepReceipt

log = structlog.get_logger()
SWEEP_EVERY_S = 1.0
_ORIGIN = Origin("service:sweep")


def _render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
    return 200, orjson.dumps(len(outcomes))


class Sweeper:
    """Sweeps in the background; a reader that meets a due time first has the sweep done at once."""

    def __init__(self, write_path: WritePath) -> None:
        self._write_path = write_path
        self._task: asyncio.Task[None] | None = None
        self._under_way: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to sweep."""
        self._task = asyncio.create_task(self._sweep_on(), name="sweep")

    async def stop(self) -> None:
        """Stop sweeping."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def apply_due(self) -> None:
        """Flip all that is due, and return when that is true everywhere. Raises FabricError where it can't be."""
        if self._under_way is None or self._under_way.done():
            self._under_way = asyncio.create_task(self._sweep())
        await asyncio.shield(self._under_way)

    async def _sweep(self) -> None:
        more = True
        while more:
            answered = await self._write_path.submit([ExpireDue()], _ORIGIN, _render)
            (outcome,) = answered.outcomes
            if isinstance(outcome, FabricError):
                raise outcome
            more = isinstance(outcome, SweepReceipt) and outcome.more

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                await self.apply_due()
            except FabricError:
                pass  # the store is away; readiness shows it, and the next sweep finds what is due
            except Exception:
                log.exception("sweep_failed")

"""Time as one more kind of change: links that have fallen due are flipped through the write path, in small turns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import orjson
import structlog

from service.commands.carry_out import Outcome
from service.commands.rest import Rest
from service.commands.write_path import WritePath
from service.errors import FabricError, NotYetEnforced
from service.model.changes import ExpireDue, Origin
from service.model.identifiers import IdentifierKey

log = structlog.get_logger()
SWEEP_EVERY_S = 1.0
_ORIGIN = Origin("service:sweep")


def _render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
    return 200, orjson.dumps(len(outcomes))


class Sweeper:
    """Sweeps in the background; a reader that meets a due time first has that region swept at once."""

    def __init__(self, write_path: WritePath, is_due: Callable[[], Awaitable[bool]]) -> None:
        self._write_path = write_path
        self._is_due = is_due
        self._task: asyncio.Task[None] | None = None
        self._rest = Rest()

    def start(self) -> None:
        """Begin to sweep."""
        self._rest = Rest()
        self._task = asyncio.create_task(self._sweep_on(), name="sweep")

    async def stop(self) -> None:
        """Stop sweeping."""
        if self._task is not None:
            await self._rest.end(self._task)

    async def apply_due(self, keys: Sequence[IdentifierKey]) -> None:
        """Flip what is due in and around the profiles of these identifiers; returns when that is true in the graph.

        And everywhere else: no cached answer outlives a due time that it rests on, so its drop need not be waited for.
        Raises FabricError where it can't be.
        """
        try:
            answered = await self._write_path.submit([ExpireDue(tuple(keys))], _ORIGIN, _render)
        except NotYetEnforced:
            return
        (outcome,) = answered.outcomes
        if isinstance(outcome, FabricError):
            raise outcome

    async def _sweep_on(self) -> None:
        while True:
            await self._rest(SWEEP_EVERY_S)
            try:
                while await self._is_due():
                    await self.apply_due(())
            except FabricError:
                pass  # the store is away; readiness shows it, and the next sweep finds what is due
            except Exception:
                log.exception("sweep_failed")

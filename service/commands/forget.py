"""What was only kept to recognise a repetition is removed when its time is over, in small turns beside the work."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog

from service.commands.rest import Rest
from service.errors import StoreUnavailable

log = structlog.get_logger()
# Senders of webhooks repeat for days: ids are promised for seven, and kept a day longer.
KEPT_MS: Final = 8 * 24 * 3_600_000
TURN: Final = 500
EVERY_S: Final = 60.0
PAUSE_S: Final = 0.5


class Answers(Protocol):
    """Stored answers."""

    async def forget(self, kept_ms: int, limit: int) -> int:
        """Remove at most `limit` answers that are older; returns how many. Raises StoreUnavailable."""


class Forgetting:
    """Removes old answers in the background. Any number of instances may do so at once."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._task: asyncio.Task[None] | None = None
        self._rest = Rest()

    def start(self) -> None:
        """Begin."""
        self._rest = Rest()
        self._task = asyncio.create_task(self._go_on(), name="forgetting")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            await self._rest.end(self._task)

    async def _go_on(self) -> None:
        while True:
            pause_s = EVERY_S
            try:
                if await self._answers.forget(KEPT_MS, TURN) == TURN:
                    pause_s = PAUSE_S
            except StoreUnavailable:
                pass  # the store is away; readiness shows it
            except Exception:
                log.exception("forgetting_failed")
            await self._rest(pause_s)

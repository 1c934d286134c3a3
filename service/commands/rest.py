"""Where background loops pause, and the one place where they are ended: never in the middle of a call to a store."""

from __future__ import annotations

import asyncio


class Rest:
    """The pauses of one loop, a task of its own. `await rest(seconds)` instead of a sleep."""

    def __init__(self) -> None:
        self._ending = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        """Pause. Raises CancelledError when the loop is to end."""
        try:
            await asyncio.wait_for(self._ending.wait(), seconds)
        except TimeoutError:
            return
        raise asyncio.CancelledError

    @property
    def is_over(self) -> bool:
        """Whether the loop is to end."""
        return self._ending.is_set()

    async def end(self, task: asyncio.Task[None]) -> None:
        """Have the loop end at its next pause; returns when it has."""
        self._ending.set()
        await asyncio.wait([task])

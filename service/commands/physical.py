"""Physical deletion: after an erasure was answered, what it left in the graph's files is overwritten and looked for.

The identifier is held in memory only, for as long as that takes. A restart forgets it: the state then stays `pending`
until the erasure is sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from service.commands.sealing import SealedFile
from service.commands.world import Erasure
from service.control.tombstones import Tombstones
from service.errors import StoreUnavailable
from service.model.identifiers import IdentifierKey

log = structlog.get_logger()
LOOK_EVERY_S: Final = 15.0
LOOKS_A_ROUND: Final = 6
_AT_ONCE: Final = 50
_TIMES_MAX: Final = 4


class Scrubber(Protocol):
    """The graph as physical deletion sees it. Raises StoreUnavailable."""

    async def overwrite(self, keys: list[IdentifierKey], times: int) -> None:
        """Write filler where deleted identifiers were; `times` as much where less was not enough."""

    async def tidy(self) -> None:
        """Take away filler that a crash left."""

    async def gone(self, tombstone: str) -> None:
        """Note that nothing is left in the files of the one under this tombstone."""


Remains = Callable[[Sequence[IdentifierKey]], set[IdentifierKey]]
"""Those of some identifiers that files still hold. Takes its time: for a thread."""


class Physical:
    """Carries physical deletion through in the background. Without `remains` there are no files to look into."""

    def __init__(self, scrubber: Scrubber, sealed: SealedFile, tombstones: Tombstones, remains: Remains | None) -> None:
        self._scrubber = scrubber
        self._sealed = sealed
        self._tombstones = tombstones
        self._remains = remains
        self._waiting: list[IdentifierKey] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._began = False
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Begin; does nothing where there are no files to look into."""
        if self._remains is not None:
            self._task = asyncio.create_task(self._run(self._remains), name="physical deletion")

    async def stop(self) -> None:
        """End after the step under way, whatever waits, and leave no filler."""
        if self._task is not None:
            self._stopping.set()
            self._wake.set()
            await asyncio.wait([self._task])
            if self._began:
                with contextlib.suppress(StoreUnavailable):
                    await self._scrubber.tidy()

    async def erased(self, erasures: Sequence[Erasure]) -> None:
        """These were erased: what was moved out of the graph forgets them at once. Raises StoreUnavailable."""
        await self._sealed.forget([erasure.key for erasure in erasures])
        if self._task is not None:
            self._waiting += [erasure.key for erasure in erasures]
            self._wake.set()

    async def _run(self, remains: Remains) -> None:
        while not self._stopping.is_set():
            await self._wake.wait()
            self._wake.clear()
            times = 0
            while self._waiting and not self._stopping.is_set():
                times = min(times + 1, _TIMES_MAX)
                keys = list(dict.fromkeys(self._waiting[:_AT_ONCE]))
                try:
                    await self._round(keys, remains, times)
                except StoreUnavailable:
                    await self._pause()
                except Exception:
                    log.exception("physical_deletion_failed", identifiers=len(keys))
                    await self._pause()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), LOOK_EVERY_S)

    async def _round(self, keys: list[IdentifierKey], remains: Remains, times: int) -> None:
        """Overwrite, then look until nothing is found, or long enough to overwrite anew."""
        self._began = True
        await self._scrubber.overwrite(keys, times)
        left = set(keys)
        for _ in range(LOOKS_A_ROUND):
            await self._pause()
            if self._stopping.is_set():
                return
            await self._sealed.forget(sorted(left))  # a stretch may have been on its way there
            still = await asyncio.to_thread(remains, sorted(left))
            for key in left - still:
                await self._scrubber.gone(self._tombstones(key))
            self._waiting = [key for key in self._waiting if key not in left - still]
            left = still
            if not left:
                return

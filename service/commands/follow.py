"""Has profiles follow a change of policy: one small turn after another while a pass is running, whoever began it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import orjson
import structlog

from service.commands.carry_out import Outcome
from service.commands.ports import PolicyStore
from service.commands.rest import Rest
from service.commands.write_path import WritePath
from service.errors import FabricError
from service.model.changes import Origin, ResolveAnew

log = structlog.get_logger()
LOOK_EVERY_S: Final = 1.0
STRETCH: Final = 100
"""Links, identifiers or profiles that one turn looks at, and with them their neighbours."""

_ORIGIN = Origin("service:policy")


def _render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
    return 200, orjson.dumps(len(outcomes))


class Follower:
    """Runs in the background of every instance; how far the pass has come is in the graph."""

    def __init__(self, write_path: WritePath, store: PolicyStore) -> None:
        self._write_path = write_path
        self._store = store
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._rest = Rest()

    def start(self) -> None:
        """Begin to look."""
        self._rest = Rest()
        self._task = asyncio.create_task(self._follow(), name="follow policy")

    async def stop(self) -> None:
        """Stop; what is left goes on at the next start, or on another instance."""
        if self._task is not None:
            self._woken.set()
            await self._rest.end(self._task)

    def wake(self) -> None:
        """Look at once."""
        self._woken.set()

    async def _follow(self) -> None:
        while True:
            try:
                while not self._rest.is_over and not (await self._store.desk()).running.is_over:
                    await self._write_path.submit([ResolveAnew(STRETCH)], _ORIGIN, _render)
            except FabricError:
                pass  # a store is away; readiness shows it
            except Exception:
                log.exception("follow_policy_failed")
            if self._rest.is_over:
                return
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK_EVERY_S)

"""Time changes who is in an audience: everybody is looked at again, once in the shortest `refresh` of the policy.

Looking reads and works out; only a profile whose audiences differ from those noted goes through the write path. A
change of the audiences themselves is looked into at once. Where a round takes longer than `refresh`, the next begins
when it is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import orjson
import structlog

from service.clock import Clock
from service.commands.carry_out import Outcome
from service.commands.policies import Policies
from service.commands.rest import Rest
from service.commands.write_path import WritePath
from service.control.traits import audiences_of
from service.errors import FabricError
from service.model.changes import LookAgain, Origin
from service.model.policy import Policy

log = structlog.get_logger()
LOOK_EVERY_S: Final = 0.5
PAGE: Final = 200
REST: Final = 3
"""Times as long as looking at a page took, before the next."""

_ORIGIN = Origin("service:audiences")


def _render(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
    return 200, orjson.dumps(len(outcomes))


class Refresher:
    """Runs in the background of every instance; two that look at one profile find the same."""

    def __init__(self, write_path: WritePath, policies: Policies, clock: Clock) -> None:
        self._write_path = write_path
        self._policies = policies
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._rest = Rest()

    def start(self) -> None:
        """Begin to look."""
        self._rest = Rest()
        self._task = asyncio.create_task(self._rounds(), name="refresh audiences")

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            await self._rest.end(self._task)

    async def _rounds(self) -> None:
        last: Policy | None = None
        next_s = 0.0
        while True:
            await self._rest(LOOK_EVERY_S)
            try:
                policy = await self._policies.current()
                changed = last is None or policy.audiences != last.audiences or policy.purposes != last.purposes
                if changed or self._clock.monotonic_s() >= next_s:
                    began = self._clock.monotonic_s()
                    if policy.audiences or (last is not None and last.audiences):
                        await self._round(policy)
                    refresh_s = min((a.refresh_ms for a in policy.audiences.values()), default=86_400_000) / 1000
                    last, next_s = policy, began + refresh_s
            except FabricError:
                pass  # a store is away; readiness shows it
            except Exception:
                log.exception("refresh_failed")

    async def _round(self, policy: Policy) -> None:
        """Look at everybody once."""
        after = ""
        while True:
            began = self._clock.monotonic_s()
            profiles = await self._policies.store.profiles(after, PAGE)
            now = self._clock.now_ms()
            differ = [p.members[0].key for p in profiles if audiences_of(p, policy, now) != p.audiences]
            if differ:
                await self._write_path.submit([LookAgain(tuple(differ))], _ORIGIN, _render)
            if len(profiles) < PAGE:
                return
            after = profiles[-1].profile_id
            await self._rest(REST * (self._clock.monotonic_s() - began))

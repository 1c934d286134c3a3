"""The change feed: the outbox read in commit order. A reader that remembers a number misses nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from service.clock import Clock
from service.commands.announce import ASSERTION, Event
from service.commands.ports import Archive

FEED_LIMIT_MAX = 1_000
FEED_WAIT_S_MAX = 60
_POLL_S = 0.25
Gone = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Events after the number asked with, and the number to go on from."""

    items: list[Event]
    next: int


async def _never() -> bool:
    return False


class Feed:
    """Reads pages, and waits for what comes. `gone`, asked now and then, tells that nobody waits for it any more."""

    def __init__(self, turns: Archive, clock: Clock) -> None:
        self._turns = turns
        self._clock = clock
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closing.set()

    async def page(self, after: int, limit: int, wait_s: float = 0, gone: Gone = _never) -> FeedPage:
        """Up to `limit` events with numbers above `after`; with none there, waits up to `wait_s` for the first.

        Raises StoreUnavailable.
        """
        until = self._clock.monotonic_s() + wait_s
        while True:
            items = await self._read(after, limit)
            left = until - self._clock.monotonic_s()
            if items or left <= 0 or self._closing.is_set() or await gone():
                return FeedPage(items, int(str(items[-1]["seq"])) if items else after)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), min(_POLL_S, left))

    async def stream(self, after: int, wait_s: float, gone: Gone = _never) -> AsyncIterator[Event]:
        """Events one by one as they come, for `wait_s` seconds."""
        until = self._clock.monotonic_s() + wait_s
        while True:
            page = await self.page(after, FEED_LIMIT_MAX, max(0.0, until - self._clock.monotonic_s()), gone)
            for event in page.items:
                yield event
            after = page.next
            if not page.items:
                return

    async def _read(self, after: int, limit: int) -> list[Event]:
        """Skips turns that announce nothing."""
        items: list[Event] = []
        seen = after
        while len(items) < limit:
            turns = await self._turns.turns(seen, limit)
            for seq, events in turns:
                seen = seq
                items += [e for e in events if int(str(e["seq"])) > after and e["type"] != ASSERTION]
            if len(turns) < limit:
                break
        return items[:limit]

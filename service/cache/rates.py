"""How much each key may, over all instances: counted in Redis, taken in blocks so that most requests ask nobody.

An instance takes a block of a window's share at a time and spends it by itself. So together the instances never let
more through than the limit; a little less where one holds a block that it does not need. Without Redis each instance
keeps to the limit by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter

from service.clock import monotonic_s, now_ms

BLOCKS: Final = 20
"""Parts that a window's share is taken in."""
ATTEMPT_S: Final = 0.25
RETRY_S: Final = 1.0


@dataclass(slots=True)
class _Held:
    """What this instance has of one key's window, and may still spend."""

    window: int
    left: int
    spent: int = 0
    refused: bool = False


class Rates:
    """Counts by name. `url`: the Redis that all instances share."""

    def __init__(self, url: str) -> None:
        options: dict[str, float | str | bool] = {"socket_timeout": ATTEMPT_S, "socket_connect_timeout": ATTEMPT_S}
        self._storage = RedisStorage(
            "async+" + url, wrap_exceptions=True, implementation="redispy", key_prefix="rates", **options
        )
        self._windows = FixedWindowRateLimiter(self._storage)
        self._held: dict[tuple[str, str], _Held] = {}
        self._away_until = 0.0

    async def take(self, name: str, limit: int, *, per_minute: bool = False, cost: int = 1) -> int | None:
        """Spend `cost` of what `name` may in this second, or minute: None, or seconds to wait where it is used up.

        `cost` 0 asks only whether anything is left.
        """
        length = 60 if per_minute else 1
        now = now_ms() / 1000
        window = int(now // length)
        kind = "m" if per_minute else "s"
        held = self._held.get((kind, name))
        if held is None or held.window != window:
            held = self._held[kind, name] = _Held(window, 0)
        if not cost:
            return self._wait_s(window, length, now) if held.refused and held.left <= 0 else None
        if held.left < cost and not held.refused:
            await self._take_block(held, name, limit, per_minute, cost)
        if held.left < cost:
            held.left = 0
            return self._wait_s(window, length, now)
        held.left -= cost
        return None

    @staticmethod
    def _wait_s(window: int, length: int, now: float) -> int:
        return max(1, round((window + 1) * length - now + 0.5))

    async def _take_block(self, held: _Held, name: str, limit: int, per_minute: bool, cost: int) -> None:
        item: RateLimitItem = RateLimitItemPerMinute(limit) if per_minute else RateLimitItemPerSecond(limit)
        block = max(cost, limit // BLOCKS, 1)
        got = await self._hit(item, name, block)
        if got is None:  # Redis is away: the limit holds for this instance by itself
            block = max(0, limit - held.spent)
            held.left += block
            held.refused = True
        elif got:
            held.left += block
            held.spent += block
        else:
            held.refused = True

    async def _hit(self, item: RateLimitItem, name: str, block: int) -> bool | None:
        if monotonic_s() < self._away_until:
            return None
        try:
            return await self._windows.hit(item, name, cost=block)
        except Exception:  # whatever the library makes of a store that is away
            self._away_until = monotonic_s() + RETRY_S
            return None

    async def close(self) -> None:
        """End the connections."""
        connections = getattr(self._storage.bridge, "storage", None)
        if connections is not None:
            await connections.aclose()

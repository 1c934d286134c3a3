"""Which server is the current one, and is it up.

All connections of this instance form one set, to one server process, known by its marks (`keys`). The set lives and
dies as a whole: when any connection is lost or late, or its server turns out to be no primary any more, all are
closed at that moment, whoever waits is told, and until a new set stands every read is answered DOWN without trying
(the circuit). A set is never mended, so within one instance there are no two opinions of which server counts.

The background task opens the next set: at once, then with doubled, jittered waits; the waits start from the shortest
again only after a set that lived for a while, so that a server that greets well and then hangs is not hammered.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from service.cache.address import Address, ConnectRefused, open_lane, still_primary
from service.cache.lane import Lane, LaneLost
from service.cache.leases import ServerMarks
from service.cache.limits import CacheLimits
from service.cache.outcomes import CacheCounters, CacheState

Item = TypeVar("Item")


class ServerLanes:
    """The connections of this instance to one server process: one for reads, one for what changes something."""

    __slots__ = ("changes", "lost", "marks", "reads")

    def __init__(self, reads: Lane, changes: Lane, marks: ServerMarks) -> None:
        self.reads = reads
        self.changes = changes
        self.marks = marks
        self.lost = asyncio.Event()

    def close(self, reason: str) -> None:
        """Closes both connections; what is under way on them gets None."""
        self.reads.close(reason)
        self.changes.close(reason)


class Upkeep:
    """Keeps one set of connections standing. `lanes` is None while the cache is down."""

    def __init__(
        self,
        address: Address,
        limits: CacheLimits,
        counters: CacheCounters,
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        on_change: Callable[[CacheState], None] | None,
    ) -> None:
        self.lanes: ServerLanes | None = None
        self.state = CacheState(False, now_ms(), "not started")
        self._address = address
        self._limits = limits
        self._counters = counters
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None
        self._risen = asyncio.Event()
        self._down_at = asyncio.get_running_loop().time()
        self._closing = False

    async def start(self) -> bool:
        """Tries to connect once and goes on in the background; gives whether the cache is up now."""
        lanes = await self._open()
        self._task = asyncio.create_task(self._keep(lanes), name="cache-upkeep")
        return lanes is not None

    async def close(self) -> None:
        """Ends the background task and the connections."""
        self._closing = True
        self._risen.set()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self.lanes is not None:
            self.lanes.close("closed")
        self._note(False, "closed")

    async def risen(self, patience_s: float) -> ServerLanes | None:
        """The current set. Waits for the next one only until the outage is `patience_s` old; then None, at once."""
        timeout_s = self._down_at + patience_s - asyncio.get_running_loop().time()
        if self.lanes is not None or timeout_s <= 0:
            return self.lanes
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.lanes is None and not self._closing:
                    await self._risen.wait()
        return self.lanes

    def lanes_for(self, items: Iterable[Item]) -> list[tuple[ServerLanes, list[Item]]]:
        """Which connections serve which items; empty while down. The one place that Redis Cluster would change."""
        return [] if self.lanes is None else [(self.lanes, list(items))]

    async def _keep(self, lanes: ServerLanes | None) -> None:
        failures = 0 if lanes is not None else 1
        loop = asyncio.get_running_loop()
        while True:
            if lanes is not None:
                since = loop.time()
                await self._watch(lanes)
                if loop.time() - since >= self._limits.steady_after_s:
                    failures = 0
            if failures:
                await asyncio.sleep(self._retry_delay_s(failures))
            lanes = await self._open()
            failures += 1

    async def _open(self) -> ServerLanes | None:
        """Opens a set and makes it the current one; None, with the reason noted, where that fails."""
        opened: list[tuple[Lane, ServerMarks]] = []
        try:
            opened.append(await open_lane(self._address, self._limits))
            opened.append(await open_lane(self._address, self._limits))
            (reads, marks), (changes, other_marks) = opened
            if marks != other_marks:
                raise ConnectRefused("server changed while connecting")
            if reads.lost_reason or changes.lost_reason:
                raise ConnectRefused("connection lost while connecting")
        except (OSError, TimeoutError, ConnectRefused) as error:
            self._give_up(opened)
            self._counters.connect_failures += 1
            named = isinstance(error, ConnectRefused)
            self._note(False, str(error) if named else f"cannot connect: {type(error).__name__}")
            return None
        except BaseException:
            self._give_up(opened)
            raise
        lanes = ServerLanes(reads, changes, marks)
        reads.on_lost = changes.on_lost = lambda lane: self._fall(lanes, lane)
        self.lanes = lanes
        self._risen.set()
        self._counters.connects += 1
        self._note(True, "connected")
        return lanes

    @staticmethod
    def _give_up(opened: list[tuple[Lane, ServerMarks]]) -> None:
        for lane, _ in opened:
            lane.close("connect failed")

    async def _watch(self, lanes: ServerLanes) -> None:
        """Returns when the set is lost; looks at intervals whether its server is what it was."""
        while not lanes.lost.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.confirm_interval_s):
                    await lanes.lost.wait()
            with suppress(LaneLost):
                for lane in (lanes.reads, lanes.changes):
                    if not await still_primary(lane, lanes.marks):
                        lanes.close("server is not the primary that it was")

    def _fall(self, lanes: ServerLanes, first: Lane) -> None:
        """Called by the first lane that is lost, before anyone who waits on it is told."""
        if lanes.lost.is_set():
            return
        lanes.lost.set()
        if self.lanes is lanes:
            self.lanes = None
            self._risen.clear()
            self._down_at = asyncio.get_running_loop().time()
        if first.timed_out:
            self._counters.timeouts += 1
        reason = first.lost_reason or "lost"
        self._note(False, reason)
        lanes.close(reason)

    def _retry_delay_s(self, failures: int) -> float:
        doubled = self._limits.retry_delay_min_s * (1 << min(failures - 1, 16))
        longest = min(doubled, self._limits.retry_delay_max_s)
        return longest * (1 - self._random_bytes(1)[0] / 512)

    def _note(self, up: bool, reason: str) -> None:
        before = self.state
        if before.up == up and before.reason == reason:
            return
        since = before.since_ms if before.up == up else self._now_ms()
        self.state = CacheState(up, since, reason)
        if self._on_change is not None:
            self._on_change(self.state)

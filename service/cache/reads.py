"""Many gets, one round trip.

Calls of one turn of the event loop put what they want into a dict and get a future of their own each, so that one
caller's cancellation is nobody else's. At the end of the turn the dict is sent as one pipeline of HGETs; equal wishes
share a command. While `batches_under_way_max` pipelines are in flight, the next dict gathers. A wish never joins a
pipeline that is already sent: it could have been answered before a drop that the caller knows of.

Each pipeline also reads the version of the active policy, for the calls that go by it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from service.cache.keys import (
    HEADER_LENGTH,
    LIFE_SLICE,
    POLICY_VERSION_MAX,
    life_digits,
    policy_version_of,
    read_command,
    usable_prefix,
    value_of,
)
from service.cache.lane import Reply
from service.cache.limits import CacheLimits
from service.cache.outcomes import CacheCounters
from service.cache.upkeep import ServerLanes, Upkeep
from service.model.cached import ANY_POLICY, DOWN, MISS, POLICY_KEY, NoValue

Waiter = tuple[int | None, "asyncio.Future[bytes | NoValue]"]
Wishes = dict[tuple[str, str], list[Waiter]]

_NEVER: Final = b"-"
"""A prefix that no stored value has."""


def _prefix(policy_version: int | None, replication_id: bytes) -> bytes:
    if policy_version is None or not 0 <= policy_version <= POLICY_VERSION_MAX:
        return _NEVER
    return usable_prefix(policy_version, replication_id)


class ReadCoalescer:
    """Joins concurrent reads. Must be used on the loop that it was made on."""

    def __init__(self, upkeep: Upkeep, limits: CacheLimits, counters: CacheCounters, now_ms: Callable[[], int]) -> None:
        self._upkeep = upkeep
        self._limits = limits
        self._counters = counters
        self._now_ms = now_ms
        self._loop = asyncio.get_running_loop()
        self._gathering: Wishes = {}
        self._full: deque[Wishes] = deque()
        self._turn_ends = False
        self._under_way = 0

    def get(self, identifier: str, purpose: str, policy_version: int | None) -> Awaitable[bytes | NoValue]:
        """See `ProfileCache.get`."""
        future: asyncio.Future[bytes | NoValue] = self._loop.create_future()
        if self._upkeep.lanes is None:
            self._counters.bypasses += 1
            future.set_result(DOWN)
            return future
        gathering = self._gathering
        wish = (identifier, purpose)
        waiters = gathering.get(wish)
        if waiters is not None:
            waiters.append((policy_version, future))
            return future
        if len(gathering) >= self._limits.batch_keys_max:
            if len(self._full) >= self._limits.batches_waiting_max:
                self._counters.bypasses += 1
                future.set_result(DOWN)
                return future
            self._full.append(gathering)
            gathering = self._gathering = {}
        gathering[wish] = [(policy_version, future)]
        if not self._turn_ends:
            self._turn_ends = True
            self._loop.call_soon(self._send)
        return future

    def _send(self) -> None:
        self._turn_ends = False
        while self._under_way < self._limits.batches_under_way_max and (self._full or self._gathering):
            if self._full:
                wishes = self._full.popleft()
            else:
                wishes, self._gathering = self._gathering, {}
            groups = self._upkeep.lanes_for(wishes.items())
            if not groups:
                self._tell_down(wishes.values())
            for lanes, group in groups:
                self._send_group(lanes, group)

    def _send_group(self, lanes: ServerLanes, group: list[tuple[tuple[str, str], list[Waiter]]]) -> None:
        run_id = lanes.marks.run_id
        commands = [read_command(identifier, purpose, run_id) for (identifier, purpose), _ in group]
        commands.append(read_command(POLICY_KEY, "", run_id))
        self._under_way += 1
        self._counters.read_batches += 1
        all_waiters = [waiters for _, waiters in group]

        def settle(replies: list[Reply] | None) -> None:
            self._under_way -= 1
            if replies is None:
                self._tell_down(all_waiters)
            else:
                self._tell(all_waiters, replies, lanes)
            if (self._full or self._gathering) and not self._turn_ends:
                # At the end of the turn, so that the callers just told can join.
                self._turn_ends = True
                self._loop.call_soon(self._send)

        lanes.reads.send(b"".join(commands), len(commands), settle)

    def _tell(self, all_waiters: list[list[Waiter]], replies: list[Reply], lanes: ServerLanes) -> None:
        now = life_digits(self._now_ms())
        replication_id = lanes.marks.replication_id
        active = replies[-1]
        prefixes: dict[int | None, bytes] = {None: _NEVER}
        if isinstance(active, bytes):
            version = policy_version_of(value_of(active, usable_prefix(ANY_POLICY, replication_id), now))
            prefixes[None] = _prefix(version, replication_id)
        told = hits = 0
        refused: Reply = active
        for waiters, stored in zip(all_waiters, replies, strict=False):  # one reply more: the policy version
            for policy_version, future in waiters:
                told += 1
                answer: bytes | NoValue = MISS
                if type(stored) is bytes:
                    prefix = prefixes.get(policy_version)
                    if prefix is None:
                        prefix = prefixes[policy_version] = _prefix(policy_version, replication_id)
                    if stored.startswith(prefix) and stored[LIFE_SLICE] > now:
                        hits += 1
                        answer = stored[HEADER_LENGTH:]
                elif stored is not None:
                    refused = stored
                    answer = DOWN
                if not future.done():
                    future.set_result(answer)
        self._counters.hits += hits
        self._counters.misses += told - hits
        if refused is not None and type(refused) is not bytes:
            lanes.close("server refused a read")

    def _tell_down(self, all_waiters: Iterable[list[Waiter]]) -> None:
        for waiters in all_waiters:
            for _, future in waiters:
                self._counters.bypasses += 1
                if not future.done():
                    future.set_result(DOWN)

"""The cache as the rest of the service uses it: resolved views per identifier and purpose, as opaque bytes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import hiredis

from service.cache.address import error_code, parse_address
from service.cache.keys import life_digits, usable_prefix, value_of
from service.cache.lane import LaneLost, Reply, packed
from service.cache.leases import TOKEN_BYTES, drop_command, fill_commands, lease_commands
from service.cache.limits import CacheLimits
from service.cache.outcomes import CacheCounters, CacheState, CacheUnavailable
from service.cache.reads import ReadCoalescer
from service.cache.upkeep import ServerLanes, Upkeep
from service.model.cached import Fill, Lease, NoValue

_CODES_OF_ANOTHER_SERVER = frozenset(
    {"NOSCRIPT", "READONLY", "LOADING", "NOAUTH", "MASTERDOWN", "MOVED", "CLUSTERDOWN"}
)
"""Errors that say that the server is not what it was when the connection greeted it."""


class ProfileCache:
    """Leased cache on one Redis server.

    `now_ms` gives the time (ms since epoch) by which values end; the server's own clock ends them too. `random_bytes`
    gives that many unpredictable bytes. `on_change` is told each change of state and must not raise. Make it on the
    event loop that uses it, then `await start()`. ValueError if `url` is no Redis URL.

    Identifiers are `namespace:value`, or a reserved key that begins with `!`. A purpose is "" where none is asked for.
    """

    def __init__(
        self,
        url: str,
        *,
        now_ms: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        limits: CacheLimits | None = None,
        on_change: Callable[[CacheState], None] | None = None,
    ) -> None:
        self.counters = CacheCounters()
        self._limits = limits or CacheLimits()
        self._now_ms = now_ms
        self._random_bytes = random_bytes
        self._upkeep = Upkeep(parse_address(url), self._limits, self.counters, now_ms, random_bytes, on_change)
        self._reads = ReadCoalescer(self._upkeep, self._limits, self.counters, now_ms)

    async def start(self) -> bool:
        """Tries to connect once, goes on trying in the background; gives whether the cache is up now."""
        return await self._upkeep.start()

    async def close(self) -> None:
        """Ends all connections; reads under way are answered DOWN. The cache can't be started again."""
        await self._upkeep.close()

    @property
    def state(self) -> CacheState:
        """Up or down, since when, and why."""
        return self._upkeep.state

    @property
    def is_up(self) -> bool:
        """Whether reads are tried at all."""
        return self._upkeep.lanes is not None

    async def ping(self) -> bool:
        """Whether the server answers now."""
        lanes = self._upkeep.lanes
        if lanes is None:
            return False
        try:
            (reply,) = await lanes.reads.ask(packed("PING"), 1)
        except LaneLost:
            return False
        return reply == b"PONG"

    def get(self, identifier: str, purpose: str, policy_version: int | None) -> Awaitable[bytes | NoValue]:
        """One value, or MISS or DOWN. Calls of one turn of the event loop share a round trip.

        `policy_version` None means the active one: its version, cached under `POLICY_KEY`, is read in the same round
        trip, and where it is not cached the answer is MISS. Never raises; await it or drop it, as you like.
        """
        return self._reads.get(identifier, purpose, policy_version)

    async def get_many(self, wanted: Sequence[tuple[str, str]], policy_version: int | None) -> list[bytes | NoValue]:
        """The values of (identifier, purpose) pairs in the order asked; see `get`."""
        answers = [self._reads.get(identifier, purpose, policy_version) for identifier, purpose in wanted]
        return [await answer for answer in answers]

    async def lease_many(self, wanted: Sequence[tuple[str, str]], policy_version: int) -> list[Lease | bytes | None]:
        """For each (identifier, purpose) that missed: a lease, or the value that is there by now, or None.

        None means that another reader holds the lease or that the cache did not answer: read the graph, store
        nothing. Take leases *before* reading the graph, and for `POLICY_KEY` with `ANY_POLICY`.
        """
        lanes_and_positions = self._upkeep.lanes_for(range(len(wanted)))
        results: list[Lease | bytes | None] = [None] * len(wanted)
        now_ms = self._now_ms()
        for lanes, positions in lanes_and_positions:
            group = [wanted[position] for position in positions]
            tokens = [self._random_bytes(TOKEN_BYTES) for _ in group]
            pipeline = lease_commands(group, tokens, policy_version, now_ms, lanes.marks, self._limits)
            replies = await self._change(lanes, pipeline, len(group))
            prefix = usable_prefix(policy_version, lanes.marks.replication_id)
            for position, token, reply in zip(positions, tokens, replies, strict=True):
                if reply == 1:
                    results[position] = Lease(*wanted[position], token)
                elif isinstance(reply, bytes):
                    results[position] = value_of(reply, prefix, life_digits(now_ms))
        granted = sum(isinstance(result, Lease) for result in results)
        self.counters.leases += granted
        self.counters.lease_refusals += len(results) - granted
        return results

    async def fill_many(self, fills: Sequence[Fill]) -> list[bool]:
        """Stores each value whose lease still stands. False: refused (dropped meanwhile, over, too long) or unknown."""
        results = [False] * len(fills)
        fitting = [position for position, fill in enumerate(fills) if len(fill.value) <= self._limits.value_bytes_max]
        for lanes, positions in self._upkeep.lanes_for(fitting):
            pipeline = fill_commands([fills[position] for position in positions], lanes.marks, self._limits)
            replies = await self._change(lanes, pipeline, len(positions))
            for position, reply in zip(positions, replies, strict=True):
                results[position] = reply == 1
        stored = sum(results)
        self.counters.fills += stored
        self.counters.fill_refusals += len(results) - stored
        return results

    async def drop(self, identifiers: Sequence[str]) -> None:
        """Removes all values and leases of `identifiers`; returns only when that is certain.

        Call it after the commit and before the answer. Certain means: the server confirmed every removal, and after
        the last confirmation this instance's connections are still the set that they were sent on. Had the set
        changed, reads of this instance would by now go to another server process, under other keys, which another
        reader may have filled from before the commit: so the whole drop is repeated there. Instances connected to one
        process use the same keys, so one drop holds for all of them; those that were connected to a process that ended
        lost their connections with it. (Two servers that both believe to be the primary, with instances on each, are
        beyond any cache: whatever must not be stale compares stamps with the graph.)

        Raises CacheUnavailable when this can't be had within `drop_timeout_s`, at once in a longer outage. A removal
        that was sent but not confirmed may still happen, which does no harm.
        """
        unique = list(dict.fromkeys(identifiers))
        if not unique:
            return
        try:
            async with asyncio.timeout(self._limits.drop_timeout_s):
                await self._drop_until_certain(unique)
        except (CacheUnavailable, TimeoutError):
            self.counters.drop_failures += 1
            raise CacheUnavailable("drop not confirmed") from None
        self.counters.keys_dropped += len(unique)

    async def _drop_until_certain(self, identifiers: list[str]) -> None:
        while await self._upkeep.risen(self._limits.drop_timeout_s) is not None:
            groups = self._upkeep.lanes_for(identifiers)
            with suppress(LaneLost):
                for lanes, group in groups:
                    await self._drop_group(lanes, group)
                if groups and all(not lanes.lost.is_set() for lanes, _ in groups):
                    return
            self.counters.drop_repeats += 1
        raise CacheUnavailable("drop not confirmed")

    async def _drop_group(self, lanes: ServerLanes, identifiers: list[str]) -> None:
        size = self._limits.drop_chunk_keys
        for start in range(0, len(identifiers), size):
            command = drop_command(identifiers[start : start + size], lanes.marks)
            (reply,) = await lanes.changes.ask(command, 1)
            if isinstance(reply, hiredis.ReplyError):
                self.counters.server_errors += 1
                if error_code(reply) not in _CODES_OF_ANOTHER_SERVER:
                    raise CacheUnavailable("drop refused")
                lanes.close(f"server refused: {error_code(reply)}")
                raise LaneLost("server refused a drop")

    async def _change(self, lanes: ServerLanes, pipeline: bytes, count: int) -> list[Reply]:
        """Replies of a pipeline of leases or fills; all None when the connection was lost."""
        if not count:
            return []
        try:
            replies = await lanes.changes.ask(pipeline, count)
        except LaneLost:
            return [None] * count
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                self.counters.server_errors += 1
                if error_code(reply) in _CODES_OF_ANOTHER_SERVER:
                    lanes.close(f"server refused: {error_code(reply)}")
        return replies

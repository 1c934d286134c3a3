"""The policy in force, and those before it, compiled once each.

Which version that is stands at the head of the graph; every turn learns it there. Whoever only reads learns it from a
key of the cache that the turn of an activation drops with its commit, as it does with profiles; where the cache has
nothing, or is away, from the graph. So no request that begins after an activation was answered goes by an older one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import orjson

from service.commands.coalesce import Coalescer
from service.commands.ports import Cache, PolicyStore
from service.control.policy_document import compile_policy
from service.errors import StoreUnavailable
from service.model.cached import ANY_POLICY, POLICY_KEY, Fill, Lease
from service.model.policy import Policy
from service.model.policy_versions import InForce, Pass

_POLL_S = 0.1
Equip = Callable[[Policy], Awaitable[Policy]]
"""Gives a policy what its document only names. Raises StoreUnavailable."""


class Policies:
    """Knows the version in force."""

    def __init__(self, store: PolicyStore, cache: Cache, equip: Equip | None = None) -> None:
        self.store = store
        self._equip = equip
        self._cache = cache
        self._compiled: dict[int, Policy] = {}
        self._active: Policy | None = None
        self._since = -1
        self._reads: Coalescer[str, Policy] = Coalescer(self._read)

    def active(self) -> Policy:
        """The version last seen to be in force. Raises StoreUnavailable before the first is known."""
        if self._active is None:
            raise StoreUnavailable("The policy has not been read yet.")
        return self._active

    async def current(self) -> Policy:
        """The version in force at some moment after the call began. Raises StoreUnavailable."""
        cached = await self._cache.get(POLICY_KEY, "", ANY_POLICY)
        active = self._active
        if active is not None and isinstance(cached, bytes) and cached == b"%d" % active.version:
            return active
        found = await self._reads.ask(POLICY_KEY)
        assert found is not None
        return found

    async def _read(self, keys: list[str]) -> dict[str, Policy]:
        """Read the head under a lease, so that an activation meanwhile leaves nothing old in the cache."""
        (lease,) = await self._cache.lease_many([(POLICY_KEY, "")], ANY_POLICY)
        policy = await self.learn((await self.store.desk()).in_force)
        if isinstance(lease, Lease):
            await self._cache.fill_many([Fill(lease, b"%d" % policy.version, ANY_POLICY, None)])
        return dict.fromkeys(keys, policy)

    async def learn(self, in_force: InForce) -> Policy:
        """The policy that the head of the graph named as the one in force. Raises StoreUnavailable."""
        policy = await self.at(in_force.version)
        if in_force.since >= self._since:
            self._active, self._since = policy, in_force.since
        return policy

    async def at(self, version: int) -> Policy:
        """The policy of a version. Raises StoreUnavailable where the graph names one that it does not have."""
        policy = self._compiled.get(version)
        if policy is None:
            kept = await self.store.version(version)
            if kept is None:
                raise StoreUnavailable("The graph names a policy that it does not have.")
            policy = compile_policy(orjson.loads(kept.document), version)
            if self._equip is not None:
                policy = await self._equip(policy)
            self._compiled[version] = policy
        return policy

    async def at_time(self, at: int) -> Policy:
        """The policy that was in force at a time (ms). Raises StoreUnavailable."""
        return await self.at(await self.store.in_force_at(at))

    async def resolved(self, wait_s: float, now_s: Callable[[], float], gone: Callable[[], Awaitable[bool]]) -> Pass:
        """How far profiles follow the policy in force; waits up to `wait_s` seconds until they all do."""
        until = now_s() + wait_s
        while True:
            running = (await self.store.desk()).running
            if running.is_over or now_s() >= until or await gone():
                return running
            await asyncio.sleep(_POLL_S)

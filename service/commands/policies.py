"""The policy in force, and those before it, compiled once each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from service.control.policy_document import compile_policy
from service.errors import StoreUnavailable
from service.model.policy import Policy


class Policies:
    """Knows the active version; `read` gives the document of a version from the graph, None where there is none."""

    def __init__(self, read: Callable[[int], Awaitable[dict[str, object] | None]]) -> None:
        self._read = read
        self._compiled: dict[int, Policy] = {}
        self._active: Policy | None = None

    def active(self) -> Policy:
        """The version last seen to be in force. Raises StoreUnavailable before the first is known."""
        if self._active is None:
            raise StoreUnavailable("The policy has not been read yet.")
        return self._active

    async def at(self, version: int) -> Policy:
        """The policy of this version, which the head of the graph names as the one in force."""
        policy = self._compiled.get(version)
        if policy is None:
            document = await self._read(version)
            if document is None:
                raise StoreUnavailable("The graph names a policy that it does not have.")
            policy = self._compiled[version] = compile_policy(document, version)
        if self._active is None or version > self._active.version:
            self._active = policy
        return policy

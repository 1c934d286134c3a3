"""What the fault suite runs as an instance: the service itself, or, to show that the suite finds a class of bugs, the
service with one cure switched off.

`CLOCK_OFF_MS`: the clock of this instance is off by so much. `CURE_OFF`: one of CURES.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import service.clock


def _clock_off(by_ms: int) -> None:
    right = time.time_ns

    def off() -> int:
        return right() + by_ms * 1_000_000

    time.time_ns = off  # the one place that reads it is service.clock


def _without_drops() -> None:
    """Changes are acknowledged without taking what they replace out of the cache."""
    from service.cache.profiles import ProfileCache

    async def drop(_self: ProfileCache, _identifiers: Sequence[str]) -> None:
        return

    ProfileCache.drop = drop  # type: ignore[method-assign]


def _without_marks() -> None:
    """Values in Redis are taken from any server, also one that came back with what it held before."""
    from service.cache import address
    from service.cache.leases import ServerMarks

    greet = address._greet

    async def unmarked(*arguments: Any) -> ServerMarks:
        await greet(*arguments)
        return ServerMarks(b"r" * 16, b"0" * 8)

    async def primary(*_arguments: Any) -> bool:
        return True

    import service.cache.upkeep as upkeep

    address._greet = unmarked
    upkeep.still_primary = primary


def _without_commits() -> None:
    """One turn in forty is acknowledged and not committed."""
    from service.graph.ledger import GraphTurn

    commit, turns = GraphTurn.commit, 0

    async def forgetful(self: GraphTurn) -> None:
        nonlocal turns
        turns += 1
        if turns % 40:
            await commit(self)
        else:
            await self._transaction.rollback()

    GraphTurn.commit = forgetful  # type: ignore[method-assign]


def _without_settling() -> None:
    """An unknown outcome counts as not done, and what was asked is done again, stored answers or not."""
    from service.graph.ledger import GraphLedger, GraphTurn

    async def never(_self: GraphLedger, _op: str) -> bool:
        return False

    async def none(_self: GraphTurn, _keys: Sequence[str]) -> dict[str, Any]:
        return {}

    GraphLedger.happened = never  # type: ignore[method-assign]
    GraphTurn.answers = none  # type: ignore[method-assign, assignment]


CURES: dict[str, Callable[[], None]] = {
    "drops": _without_drops,
    "marks": _without_marks,
    "commits": _without_commits,
    "settling": _without_settling,
}


def main() -> None:
    """Run it."""
    if off := int(os.environ.get("CLOCK_OFF_MS", "0")):
        _clock_off(off)
    if cure := os.environ.get("CURE_OFF"):
        CURES[cure]()
    from service.cli import main as run

    run()


if __name__ == "__main__":
    assert service.clock.now_ms() > 0
    main()

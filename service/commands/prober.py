"""Compares, all the time and a little at a time, what the cache would answer with what the graph says.

A difference counts only if it is still there after the time in which a change that is under way drops what it replaces:
until then the change is not acknowledged, and either answer is right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import orjson
import structlog

from service.commands.rest import Rest
from service.errors import FabricError
from service.model.cached import NoValue
from service.model.identifiers import IdentifierKey
from service.telemetry import Metrics

log = structlog.get_logger()
EVERY_S: Final = 5.0
AT_ONCE: Final = 20
SETTLE_S: Final = 3.0
_MOMENT: Final = "resolved_at"

Question = tuple[IdentifierKey, str]


class Cache(Protocol):
    """What answers look-ups first."""

    def get(self, identifier: str, purpose: str, policy_version: int | None) -> Awaitable[bytes | NoValue]:
        """The value, or that there is none."""


class Prober:
    """`recent` gives questions whose answers may be cached, `graph` answers past the cache."""

    def __init__(
        self,
        cache: Cache,
        recent: Callable[[int], Sequence[Question]],
        graph: Callable[[list[Question]], Awaitable[dict[Question, bytes]]],
        metrics: Metrics,
    ) -> None:
        self._cache = cache
        self._recent = recent
        self._graph = graph
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None
        self._rest = Rest()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._loop(), name="prober")

    async def stop(self) -> None:
        """End at the next pause."""
        if self._task is not None:
            await self._rest.end(self._task)

    async def probe(self, settle_s: float = SETTLE_S) -> int:
        """Compare once: how many disagree. Raises StoreUnavailable."""
        questions = list(dict.fromkeys(self._recent(AT_ONCE)))
        suspects = await self._differing(questions, count=True)
        if suspects:
            await asyncio.sleep(settle_s)
            suspects = await self._differing(suspects, count=False)
        if suspects:
            self._metrics.probe_disagreements.inc(len(suspects))
            log.error("cache_disagrees", answers=len(suspects))
        return len(suspects)

    async def _differing(self, questions: list[Question], *, count: bool) -> list[Question]:
        cached = [await self._cache.get(key, purpose, None) for key, purpose in questions]
        asked = [question for question, value in zip(questions, cached, strict=True) if isinstance(value, bytes)]
        if not asked:
            return []
        said = await self._graph(asked)
        still = [await self._cache.get(key, purpose, None) for key, purpose in asked]
        if count:
            self._metrics.probe_compared.inc(len(asked))
        return [
            question
            for question, value in zip(asked, still, strict=True)
            if isinstance(value, bytes) and _meant(value) != _meant(said.get(question))
        ]

    async def _loop(self) -> None:
        while True:
            await self._rest(EVERY_S)
            try:
                await self.probe()
            except FabricError:
                pass  # a store is away; readiness shows it
            except Exception:
                log.exception("probe_failed")


def _meant(body: bytes | None) -> Any:
    """An answer without the moment at which it was made."""
    if body is None:
        return None
    found = orjson.loads(body)
    found.pop(_MOMENT, None)
    return found

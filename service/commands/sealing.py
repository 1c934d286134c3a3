"""What was recorded and is old moves out of the graph, in sealed stretches, so that the graph's size is bounded.

Three kinds, one way: audit entries, outbox entries, intervals that are over. A stretch is read, written to the sealed
file and through to the disk, and only then deleted from the graph, in one transaction that also moves the bound up to
which the file speaks. A crash between the two leaves a stretch in both places: it is written again, the same, and
deleted then. Readers ask the graph first and the bound afterwards, so whatever is gone by then they find in the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol

import structlog

from service.commands.rest import Rest
from service.errors import FabricError
from service.model.identifiers import IdentifierKey

log = structlog.get_logger()
Kind = Literal["audit", "turns", "past"]
KINDS: Final[tuple[Kind, ...]] = ("audit", "turns", "past")
STRETCH_ROWS: Final = 1_000
SEAL_EVERY_S: Final = 60.0
_PAUSE_S: Final = 0.2


class SealedTurn(NamedTuple):
    """An outbox entry; `items`: its events as JSON texts, `profiles`: those it speaks of."""

    seq: int
    at: int
    items: list[str]
    profiles: list[str]


class SealedView(NamedTuple):
    """How a profile looked from `since` until `until` (ms); `view` as its node had it."""

    profile: str
    since: int
    until: int
    view: str


class SealedStay(NamedTuple):
    """An identifier's time in a profile (ms)."""

    key: str
    profile: str
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """Up to where the sealed file speaks: audit entries and outbox entries up to these sequence numbers, intervals that
    ended before a time (ms).
    """

    audit: int = 0
    turns: int = 0
    past: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of one kind that follow `after` and reach to `last`; `marks`: what the graph knows them by."""

    kind: Kind
    after: int
    last: int
    audit: Sequence[dict[str, Any]] = ()
    turns: Sequence[SealedTurn] = ()
    views: Sequence[SealedView] = ()
    stays: Sequence[SealedStay] = ()
    marks: Sequence[str] = ()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.audit) + len(self.turns) + len(self.views) + len(self.stays)


class SealedFile(Protocol):
    """What was moved out of the graph. Raises StoreUnavailable where it can't be read or written."""

    async def add(self, stretch: Stretch) -> None:
        """Keep a stretch; returns once it is on the disk. The same rows again change nothing."""

    async def audit_after(self, after: int, upto: int, limit: int) -> list[dict[str, Any]]:
        """Audit entries by sequence number."""

    async def audit_like(self, asked: dict[str, str | None], before: int, limit: int) -> list[dict[str, Any]]:
        """Audit entries that match, newest first; names as `AuditFilter` has them."""

    async def turns_after(self, after: int, upto: int, limit: int) -> list[SealedTurn]:
        """Outbox entries by sequence number."""

    async def turns_of(self, profile: str, before: int, limit: int) -> list[SealedTurn]:
        """Outbox entries that speak of a profile, newest first."""

    async def stays_at(self, keys: Sequence[str], at: int) -> dict[str, str]:
        """The profile that each identifier was in at a time (ms)."""

    async def members_at(self, profile: str, at: int) -> list[str]:
        """Who was in a profile at a time (ms)."""

    async def views_at(self, profiles: Sequence[str], at: int) -> dict[str, str]:
        """How profiles looked at a time (ms)."""

    async def forget(self, keys: Sequence[IdentifierKey]) -> None:
        """Take out whatever names these identifiers; it is overwritten. Returns once that is on the disk."""


class Stretches(Protocol):
    """The graph, as what is old leaves it. Raises StoreUnavailable."""

    async def oldest(self, kind: Kind, keep_ms: int, limit: int) -> Stretch:
        """The rows that follow the bound and are older than `keep_ms` by the database's clock; may be none."""

    async def drop(self, stretch: Stretch) -> bool:
        """Delete a stretch and move the bound, in one transaction; False where somebody else did so first."""


class Sealer:
    """Seals in the background, in small turns. `keep_ms`: what is younger stays in the graph."""

    def __init__(self, stretches: Stretches, file: SealedFile, keep_ms: int, limit: int = STRETCH_ROWS) -> None:
        self._stretches = stretches
        self._file = file
        self._keep_ms = keep_ms
        self._limit = limit
        self._task: asyncio.Task[None] | None = None
        self._rest = Rest()

    def start(self) -> None:
        """Begin to seal."""
        self._rest = Rest()
        self._task = asyncio.create_task(self._seal_on(), name="sealing")

    async def stop(self) -> None:
        """Stop sealing; a stretch under way is finished at the next start."""
        if self._task is not None:
            await self._rest.end(self._task)

    async def seal(self, pause: Callable[[], Awaitable[None]] | None = None) -> int:
        """Move everything that is old enough; returns how many rows. Raises StoreUnavailable."""
        moved = 0
        for kind in KINDS:
            while (stretch := await self._stretches.oldest(kind, self._keep_ms, self._limit)).rows:
                await self._file.add(stretch)
                if not await self._stretches.drop(stretch):
                    break
                moved += stretch.rows
                if pause is not None:
                    await pause()
        return moved

    async def _seal_on(self) -> None:
        while True:
            await self._rest(SEAL_EVERY_S)
            try:
                if moved := await self.seal(lambda: self._rest(_PAUSE_S)):
                    log.info("sealed", rows=moved)
            except FabricError as error:
                log.warning("sealing_failed", code=error.code)
            except Exception:
                log.exception("sealing_failed")

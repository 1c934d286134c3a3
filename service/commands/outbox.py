"""Cache drops that are owed: a change is answered only when the drops of its own and all lower sequences are through.

An entry is written with the change it belongs to, so that after a crash between commit and drop another instance, or
the next start, finishes it. Drops may be done twice; they are never skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from service.commands.ports import Dropper
from service.commands.rest import Rest
from service.errors import StoreUnavailable
from service.model.identifiers import IdentifierKey
from service.telemetry import Metrics

log = structlog.get_logger()
RELAY_EVERY_S = 1.0


class Entries(Protocol):
    """The outbox as stored in the graph."""

    async def pending(self) -> dict[int, list[IdentifierKey]]:
        """Entries whose drops are not known to be through."""

    async def mark(self, seqs: Sequence[int]) -> None:
        """Note that the drops of these entries are through."""


class Outbox:
    """Keeps the account of this instance; what other instances owe is taken on when it is seen."""

    def __init__(self, entries: Entries, dropper: Dropper, metrics: Metrics) -> None:
        self._entries = entries
        self._dropper = dropper
        self._metrics = metrics
        self._owed: dict[int, Sequence[IdentifierKey]] = {}
        self._through: set[int] = set()
        self._last: asyncio.Task[None] | None = None
        self._relay_task: asyncio.Task[None] | None = None
        self._rest = Rest()

    def start(self) -> None:
        """Begin to finish what is left over, of this instance or another."""
        self._relay_task = asyncio.create_task(self._relay(), name="outbox relay")

    async def stop(self) -> None:
        """End the relay, after a last try to note what is through."""
        await self.idle()
        if self._relay_task is not None:
            await self._rest.end(self._relay_task)
        try:
            await self._mark()
        except StoreUnavailable:
            log.warning("outbox_not_marked", entries=len(self._through))

    async def idle(self) -> None:
        """Wait until the drops under way are through, or have failed."""
        if self._last is not None:
            await asyncio.wait([self._last])

    def found(self, pending: Mapping[int, Sequence[IdentifierKey]]) -> None:
        """Take on entries seen in the graph, whoever they belong to."""
        for seq, keys in pending.items():
            if seq not in self._through:
                self._owed.setdefault(seq, keys)

    def owes(self, seq: int, keys: Sequence[IdentifierKey]) -> None:
        """A turn of this instance was committed."""
        self._owed[seq] = keys

    def marks(self) -> list[int]:
        """Entries that are through and can be marked so with the next write."""
        return sorted(self._through)

    def marked(self, seqs: Sequence[int]) -> None:
        """These were marked."""
        self._through.difference_update(seqs)

    def when_through(self, seq: int, answer: Callable[[bool], None], *, noted: bool = False) -> None:
        """Call `answer` once the drops of all sequences up to `seq` are through (True) or can't be done now (False).

        `noted`: not before the graph knows that they are through and names nobody in them any more.
        """
        previous = self._last
        self._last = asyncio.create_task(self._finish(previous, seq, answer, noted), name="cache drops")

    async def _finish(
        self, previous: asyncio.Task[None] | None, seq: int, answer: Callable[[bool], None], noted: bool
    ) -> None:
        if previous is not None and not previous.done():
            await asyncio.wait([previous])
        try:
            await self._drop(seq)
            if noted:
                await self._mark()
        except StoreUnavailable:
            answer(False)
        except Exception:
            log.exception("drop_failed")
            answer(False)
        else:
            answer(True)
        self._metrics.outbox_pending.set(len(self._owed))

    async def _drop(self, up_to: int) -> None:
        owed = {seq: keys for seq, keys in self._owed.items() if seq <= up_to}
        keys = sorted({key for some in owed.values() for key in some})
        if keys:
            await self._dropper.drop(keys)
        for seq in owed:
            self._owed.pop(seq, None)
        self._through.update(owed)

    async def _mark(self) -> None:
        marks = self.marks()
        if marks:
            await self._entries.mark(marks)
            self.marked(marks)

    async def _relay(self) -> None:
        while True:
            await self._rest(RELAY_EVERY_S)
            try:
                await self._mark()
                self.found(await self._entries.pending())
                if self._owed:
                    await self._drop(max(self._owed))
                    await self._mark()
            except StoreUnavailable:
                pass  # readiness shows the store; the entries stay owed
            except Exception:
                log.exception("outbox_relay_failed")

"""Checkpoints of the audit chain, kept outside the graph: who cuts its tail, or writes it anew, is found out.

One every so many entries, exactly there, and one of the last entry when there was nothing new for a while. `verify`
compares the chain with them, and so does every start before the service is ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import structlog

from service.commands.ports import Audit, AuditFilter, AuditVerdict
from service.commands.rest import Rest
from service.errors import StartRefused, StoreUnavailable

log = structlog.get_logger()
LOOK_EVERY_S: Final = 1.0
REST_S: Final = 60  # after so long without one, the last entry gets a checkpoint of its own
AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The digest of one entry, at a time (RFC 3339)."""

    seq: int
    hash: str
    at: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What the file says. `broken_after`: up to where it can be relied on, None for all of it."""

    checkpoints: tuple[Checkpoint, ...]
    broken_after: int | None = None

    @property
    def last(self) -> int:
        """The highest sequence number that is vouched for."""
        return self.checkpoints[-1].seq if self.checkpoints else 0


class CheckpointFile(Protocol):
    """The file outside the graph. Raises OSError."""

    def read(self) -> Kept:
        """Checkpoints that count, ascending."""

    def append(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Add checkpoints; returns once they are on the disk."""

    def accept_restore(self, kept_to: int) -> None:
        """Note that an older graph was put back on purpose: what is vouched for above does not count any more."""

    def restore_announced(self) -> bool:
        """Whether somebody said that a backup was put back."""


class ChainEnds(Protocol):
    """Digests of the chain as it is stored. Raises StoreUnavailable."""

    async def end(self) -> Checkpoint:
        """The last entry, by the head; sequence number 0 for an empty chain."""

    async def at(self, seqs: Sequence[int]) -> list[Checkpoint]:
        """Entries by sequence number, ascending, as far as they are in the graph."""


class Checkpoints:
    """Writes checkpoints in the background."""

    def __init__(self, ends: ChainEnds, file: CheckpointFile, every: int) -> None:
        self._ends = ends
        self._file = file
        self._every = every
        self._last = 0
        self._rested_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._rest = Rest()

    async def compare(self) -> str | None:
        """Before the service is ready: does the graph hold what was vouched for? None, or one line of what is wrong.

        An older graph is accepted if somebody said that a backup was put back. Raises StoreUnavailable, OSError.
        """
        kept, end = await asyncio.to_thread(self._file.read), await self._ends.end()
        if end.seq < kept.last and await asyncio.to_thread(self._file.restore_announced):
            await asyncio.to_thread(self._file.accept_restore, end.seq)
            kept = await asyncio.to_thread(self._file.read)
        self._last = kept.last
        if end.seq < kept.last:
            return (
                f"the audit in the graph ends at entry {end.seq}, and entries up to {kept.last} are vouched for. "
                "If a backup was put back, say so with `accept-restore` and start again"
            )
        found = await self._ends.at([kept.last])
        if found and found[0].hash != kept.checkpoints[-1].hash:
            return f"entry {kept.last} of the audit is not the one that was vouched for"
        return None

    def start(self) -> None:
        """Begin."""
        self._rest = Rest()
        self._task = asyncio.create_task(self._go_on(), name="checkpoints")

    async def stop(self) -> None:
        """Write the last one, and end."""
        if self._task is not None:
            await self._rest.end(self._task)
        try:
            await self.write(tail=True)
        except (StoreUnavailable, OSError):
            log.warning("checkpoint_failed")

    async def write(self, *, tail: bool) -> None:
        """Vouch for all that is due by now; `tail`: for the last entry too. Raises StoreUnavailable, OSError."""
        end = await self._ends.end()
        due = range((self._last // self._every + 1) * self._every, end.seq + 1, self._every)
        for first in range(0, len(due), AT_ONCE):
            await self._append(await self._ends.at(list(due[first : first + AT_ONCE])))
        if tail and end.seq > self._last:
            await self._append([end])

    async def _append(self, found: Sequence[Checkpoint]) -> None:
        if found:
            await asyncio.to_thread(self._file.append, found)
            self._last = found[-1].seq
            self._rested_s = 0

    async def _go_on(self) -> None:
        while True:
            await self._rest(LOOK_EVERY_S)
            self._rested_s += LOOK_EVERY_S
            try:
                await self.write(tail=self._rested_s >= REST_S)
            except StoreUnavailable:
                pass  # readiness shows it
            except Exception:
                log.exception("checkpoint_failed")


async def hold_against(checkpoints: Checkpoints, say: Callable[[str], None]) -> None:
    """What does not fit is said, and `verify` names it; the service goes on. Raises StartRefused, StoreUnavailable."""
    try:
        wrong = await checkpoints.compare()
    except OSError as error:
        raise StartRefused(f"CHECKPOINT_DIR can't be used: {error.strerror}") from None
    if wrong is not None:
        log.error("audit_altered")
        say(wrong)


class CheckedAudit:
    """The audit, verified against what is vouched for outside. See `service.commands.ports.Audit`."""

    def __init__(self, audit: Audit, ends: ChainEnds, file: CheckpointFile) -> None:
        self._audit = audit
        self._ends = ends
        self._file = file

    async def search(self, asked: AuditFilter, before: int, limit: int) -> list[dict[str, Any]]:
        """As it is kept."""
        return await self._audit.search(asked, before, limit)

    async def verify(self) -> AuditVerdict:
        """The first entry that does not fit the chain, or what was vouched for; one that is gone counts as such."""
        try:
            kept = await asyncio.to_thread(self._file.read)  # before the chain: nothing here is newer than it
        except OSError as error:
            raise StoreUnavailable("The checkpoints of the audit can't be read.") from error
        verdict = await self._audit.verify()
        bad = [] if verdict.first_bad_seq is None else [verdict.first_bad_seq]
        bad += [] if kept.broken_after is None else [kept.broken_after + 1]
        before = min([*bad, verdict.entries + 1]) if verdict.ok else min(bad)  # what is not there is named below
        if (other := await self._first_other([c for c in kept.checkpoints if c.seq < before])) is not None:
            bad.append(other)
        if verdict.ok and verdict.entries < kept.last:
            bad.append(verdict.entries + 1)
        return replace(verdict, ok=False, first_bad_seq=min(bad)) if bad else verdict

    async def _first_other(self, vouched: Sequence[Checkpoint]) -> int | None:
        """The first entry that nothing vouches for any more: behind the last checkpoint that fits."""
        whole_to = 0
        for first in range(0, len(vouched), AT_ONCE):
            part = vouched[first : first + AT_ONCE]
            stored = {found.seq: found.hash for found in await self._ends.at([checkpoint.seq for checkpoint in part])}
            for checkpoint in part:
                digest = stored.get(checkpoint.seq) or await self._moved(checkpoint.seq)
                if digest != checkpoint.hash:
                    return whole_to + 1
                whole_to = checkpoint.seq
        return None

    async def _moved(self, seq: int) -> str | None:
        """The digest of an entry that is not in the graph any more, from wherever it was moved."""
        found = await self._audit.search(AuditFilter(), seq + 1, 1)
        return str(found[0]["hash"]) if found and found[0]["seq"] == seq else None

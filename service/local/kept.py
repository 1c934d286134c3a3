"""A child that is kept alive: started, waited for, started again when it ends by itself, and ended with the service."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from service.clock import monotonic_s
from service.errors import LocalStoreError
from service.local.child import Child, last_lines
from service.local.connect import StoreRefuses
from service.local.jars import Say
from service.local.orphans import ChildRecord

_RESTARTS_MAX: Final = 5
_RESTARTS_WITHIN_S: Final = 300.0
_LINES_SHOWN: Final = 4
_PORT_TAKEN: Final = ("address already in use", "address in use", "could not create server tcp listening socket")


class PortTaken(LocalStoreError):
    """Another program took the port between its choice and its use; another choice helps."""


@dataclass(slots=True)
class KeptChild:
    """One local store. `start` makes its process, `answers` returns once it serves; a restart calls both again."""

    name: str
    folder: Path
    logs: tuple[Path, ...]
    stop_s: float
    start: Callable[[], Awaitable[Child]]
    answers: Callable[[], Awaitable[None]]
    record: ChildRecord
    _child: Child | None = None
    _stopping: bool = False
    _restarts: deque[float] = field(default_factory=deque)
    _watch: asyncio.Task[None] | None = None

    async def up(self) -> None:
        """Starts it and waits until it answers. Raises LocalStoreError with the last lines of its log, or PortTaken."""
        self._child = child = await self.start()
        self.record.note(self.name, child.process.pid)
        ended = asyncio.ensure_future(child.process.wait())
        answered = asyncio.ensure_future(self.answers())
        try:
            await asyncio.wait({ended, answered}, return_when=asyncio.FIRST_COMPLETED)
            if answered.done():
                return await answered
            raise self._failed(f"ended with status {ended.result()} while it started")
        except StoreRefuses:
            raise LocalStoreError(
                f"the local {self.name} refuses the password in {self.folder / 'password'}; "
                "put that file back, or start with another DATA_DIR"
            ) from None
        except LocalStoreError as error:
            raise error if not answered.done() else self._failed("does not answer") from None
        finally:
            ended.cancel()
            answered.cancel()

    def _failed(self, what: str) -> LocalStoreError:
        lines = [line for log in self.logs for line in last_lines(log, _LINES_SHOWN)]
        kind = PortTaken if any(sign in line.lower() for line in lines for sign in _PORT_TAKEN) else LocalStoreError
        return kind("\n    ".join((f"the local {self.name} {what}; the end of its log:", *lines)))

    def keep(self, broken: asyncio.Future[str], say: Say) -> None:
        """From now on starts it again when it ends; sets `broken` when that does not help any more."""
        self._watch = asyncio.create_task(self._keep(broken, say), name=f"keep {self.name}")

    async def _keep(self, broken: asyncio.Future[str], say: Say) -> None:
        while self._child is not None:
            status = await self._child.process.wait()
            if self._stopping:
                return
            reason = f"the local {self.name} ended with status {status}"
            if not self._may_restart():
                _set(broken, f"{reason}, after {_RESTARTS_MAX} restarts within {_RESTARTS_WITHIN_S:.0f} s")
                return
            say(f"{reason}; starting it again")
            try:
                await self.up()
            except (LocalStoreError, OSError) as error:
                say(error.detail if isinstance(error, LocalStoreError) else f"it can't be started: {error.strerror}")
                await self._child.stop(self.stop_s)
            else:
                say(f"the local {self.name} answers again")

    def _may_restart(self) -> bool:
        now = monotonic_s()
        while self._restarts and now - self._restarts[0] > _RESTARTS_WITHIN_S:
            self._restarts.popleft()
        self._restarts.append(now)
        return len(self._restarts) <= _RESTARTS_MAX

    async def stop(self) -> None:
        """Ends it, in good time if it can."""
        self._stopping = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
        if self._child is not None:
            await self._child.stop(self.stop_s)


def _set(broken: asyncio.Future[str], reason: str) -> None:
    if not broken.done():
        broken.set_result(reason)

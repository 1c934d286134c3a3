"""One child process: started so that it can't outlive this one, its output in a log file, ended in good time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LAUNCH: Final = Path(__file__).with_name("launch.py")
_TAIL_BYTES: Final = 16_384
_LOG_BYTES_MAX: Final = 4 << 20


def launched(command: Sequence[str]) -> list[str]:
    """The command line that starts `command` (its program an absolute path) as a child that dies with this process."""
    return [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), *command]


def _opened(log: Path) -> int:
    if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
        log.replace(log.with_suffix(".old"))
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


@dataclass(slots=True)
class Child:
    """A running child. `log` holds its standard output and error."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], *, folder: Path, log: Path, env: Mapping[str, str] | None = None
    ) -> Child:
        """Starts `command` in `folder`, in a session of its own: signals of the terminal reach the service alone."""
        output = _opened(log)
        try:
            process = await asyncio.create_subprocess_exec(
                *launched(command),
                cwd=folder,
                env={**os.environ, **(env or {})},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        finally:
            os.close(output)
        return cls(name, process, log)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.returncode is None

    async def stop(self, grace_s: float) -> None:
        """Asks it to end, and ends it after `grace_s` seconds."""
        if not self.running:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), grace_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()


def last_lines(path: Path, count: int, hide: Sequence[str] = ()) -> list[str]:
    """The last telling lines of a log, without stack frames and without the secrets in `hide`."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    for secret in hide:
        text = text.replace(secret, "…")
    lines = [line.rstrip() for line in text.splitlines()]
    return [line for line in lines if line and not line.lstrip().startswith(("at ", "... "))][-count:]

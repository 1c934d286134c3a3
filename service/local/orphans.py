"""Ends what an earlier run left behind. Children are noted with process id and start time: no other is ever hit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import orjson

from service.errors import LocalStoreError
from service.local.data_dir import write_private

_FILE: Final = "children.json"
_POLL_S: Final = 0.05
_TERM_WAIT_S: Final = 20.0
_KILL_WAIT_S: Final = 10.0


def birth_of(pid: int) -> str | None:
    """What tells this process from any other that ever has this id; None when there is none (or only its remains)."""
    if sys.platform != "linux":
        shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return shown.stdout.strip() or None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


class ChildRecord:
    """The file of the data folder that names the children of the service that holds it."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / _FILE
        self._found: dict[str, tuple[int, str]] = {}

    def note(self, name: str, pid: int) -> None:
        """Writes down a child that was just started, in the place of the last one of that name."""
        born = birth_of(pid)
        if born is not None:
            self._found[name] = (pid, born)
            self._write()

    def clear(self) -> None:
        """All children have ended."""
        self._found = {}
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        write_private(self._path, orjson.dumps(self._found))

    async def end_leftovers(self) -> list[str]:
        """Ends the children that the last run left alive; returns their names. Raises LocalStoreError if one stays."""
        left = {name: (pid, born) for name, pid, born in self._read() if birth_of(pid) == born}
        await asyncio.gather(*(_end(name, pid, born) for name, (pid, born) in left.items()))
        self.clear()
        return sorted(left)

    def _read(self) -> list[tuple[str, int, str]]:
        try:
            found = orjson.loads(self._path.read_bytes())
            return [(str(name), int(pid), str(born)) for name, (pid, born) in found.items()]
        except (OSError, ValueError, AttributeError, TypeError):
            return []


async def _end(name: str, pid: int, born: str) -> None:
    for number, wait_s in ((signal.SIGTERM, _TERM_WAIT_S), (signal.SIGKILL, _KILL_WAIT_S)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        for _ in range(int(wait_s / _POLL_S)):
            if birth_of(pid) != born:
                return
            await asyncio.sleep(_POLL_S)
    raise LocalStoreError(f"a {name} of an earlier run (process {pid}) does not end; end it by hand and start again")

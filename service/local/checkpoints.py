"""The file `audit-checkpoints.jsonl`: signed, each line over the one before, only ever appended to.

A line is a checkpoint, or says that an older graph was put back: then what is vouched for above it counts no more. A
line that a crash cut short is no line. One that was changed, taken out or put in breaks the signatures from there on.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import rfc8785

from service.commands.checkpoints import Checkpoint, Kept
from service.local.data_dir import make_private_folder

FILE: Final = "audit-checkpoints.jsonl"
ANNOUNCED: Final = "backup-restored"


def announce_restore(data_dir: Path) -> None:
    """Say that a backup was put back: the next start accepts a graph that is older than its checkpoints."""
    (make_private_folder(data_dir) / ANNOUNCED).touch(mode=0o600)


class SignedCheckpoints:
    """See `service.commands.checkpoints.CheckpointFile`. In a folder of its owner only."""

    def __init__(self, folder: Path, secret: bytes, announced_in: Path) -> None:
        """`announced_in`: the data folder, where a restore is announced."""
        self._path = make_private_folder(folder) / FILE
        self._announced = announced_in / ANNOUNCED
        self._key = hmac.digest(secret, b"audit checkpoints", hashlib.sha256)

    def _mac(self, line: dict[str, Any]) -> str:
        return hmac.digest(self._key, rfc8785.dumps(line), hashlib.sha256).hex()

    def _lines(self) -> tuple[list[dict[str, Any]], bool]:
        """Lines that are signed as they must be, up to the first that is not; and whether that is the end."""
        found: list[dict[str, Any]] = []
        previous = ""
        if not self._path.exists():
            return found, True
        for text in self._path.read_bytes().splitlines(keepends=True):
            if not text.endswith(b"\n"):
                break  # cut short by a crash: it was never vouched for
            try:
                line = orjson.loads(text)
                mac = line.pop("mac")
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
                return found, False
            if line.get("prev") != previous or not hmac.compare_digest(str(mac), self._mac(line)):
                return found, False
            found.append(line)
            previous = mac
        return found, True

    def read(self) -> Kept:
        """Checkpoints that count, ascending."""
        lines, whole = self._lines()
        counted: list[Checkpoint] = []
        for line in lines:
            if "kept_to" in line:
                counted = [checkpoint for checkpoint in counted if checkpoint.seq <= line["kept_to"]]
            else:
                counted.append(Checkpoint(line["seq"], line["hash"], line["at"]))
        return Kept(tuple(counted), None if whole else (counted[-1].seq if counted else 0))

    def append(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Add checkpoints that are newer than the last one; returns once they are on the disk."""
        with self._alone() as file:
            last = self.read().last
            self._append(file, [{"seq": c.seq, "hash": c.hash, "at": c.at} for c in checkpoints if c.seq > last])

    def accept_restore(self, kept_to: int) -> None:
        """Note that an older graph was put back on purpose."""
        with self._alone() as file:
            self._append(file, [{"kept_to": kept_to}])
        self._announced.unlink(missing_ok=True)

    def restore_announced(self) -> bool:
        """Whether somebody said that a backup was put back."""
        return self._announced.exists()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[int]:
        """The open file, while no other process writes to it."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    def _append(self, file: int, added: Sequence[dict[str, Any]]) -> None:
        lines, whole = self._lines()
        previous = self._mac(lines[-1]) if lines else ""
        text = b""
        for told in added:
            line = {**told, "prev": previous}
            previous = self._mac(line)
            text += orjson.dumps({**line, "mac": previous}, option=orjson.OPT_APPEND_NEWLINE)
        stored = self._path.read_bytes()
        end = stored.rfind(b"\n") + 1 if whole else len(stored)  # what is broken is evidence, and stays
        os.ftruncate(file, end)
        os.lseek(file, end, os.SEEK_SET)
        os.write(file, text)
        os.fsync(file)

"""A file outside the database that remembers refusals, so that a backup put back does not bring consent to life.

One JSON line for each refusal or erasure, written through to the disk before it is answered. A line that a crash cut
short is no line. It is only ever appended to, but for an erasure: that takes the lines out that name the person, and
leaves one with a keyed hash.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from service.commands.world import Erasure
from service.control.tombstones import Tombstones
from service.local.data_dir import make_private_folder
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey

FILE: Final = "refusals.jsonl"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal with the sequence number of the change that recorded it."""

    seq: int
    key: IdentifierKey
    record: ConsentRecord


@dataclass(frozen=True, slots=True)
class Buried:
    """An erasure with the sequence number of its change: the name of its tombstone, when (ms), its birth counter."""

    seq: int
    tombstone: str
    at: int
    base: int


def _for_owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _ends_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


class Journal:
    """The file `refusals.jsonl` in a data folder, readable by its owner only."""

    def __init__(self, data_dir: Path, tombstones: Tombstones) -> None:
        self._path = make_private_folder(data_dir) / FILE
        self._tombstones = tombstones
        self._lock = threading.Lock()

    def append(
        self, seq: int, refusals: Sequence[tuple[IdentifierKey, ConsentRecord]], erasures: Sequence[Erasure] = ()
    ) -> None:
        """Remember refusals and erasures of one turn, and forget what was refused by those erased; returns once that is
        on the disk. Raises OSError.
        """
        with self._lock:
            self._append(seq, refusals, erasures)

    def _append(
        self, seq: int, refusals: Sequence[tuple[IdentifierKey, ConsentRecord]], erasures: Sequence[Erasure]
    ) -> None:
        if erasures:
            gone = {erasure.key for erasure in erasures}
            self._forget(lambda key: key in gone)
        lines = b"".join(
            orjson.dumps(
                {
                    "seq": seq,
                    "identifier": key,
                    "purpose": record.purpose,
                    "regulation": record.regulation,
                    "state": record.state,
                    "at": record.at,
                    "source": record.source,
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for key, record in refusals
        )
        lines += b"".join(
            orjson.dumps(
                {"seq": seq, "tombstone": self._tombstones(key), "at": tomb.at, "base": tomb.base},
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for key, tomb in ((erasure.key, erasure.tomb) for erasure in erasures)
        )
        with open(self._path, "ab+", opener=_for_owner_only) as file:
            if file.seek(0, os.SEEK_END) and not _ends_line(file):
                lines = b"\n" + lines  # what a crash cut short must not swallow the next line
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    def refusals(self, after: int) -> list[Refusal]:
        """Refusals with a higher sequence number, in the order they were written."""
        found = []
        for _, row in self._lines():
            if row["seq"] > after and "identifier" in row:
                record = ConsentRecord(row["purpose"], row["regulation"], row["state"], row["at"], row["source"])
                found.append(Refusal(row["seq"], IdentifierKey(row["identifier"]), record))
        return found

    def buried(self, after: int) -> list[Buried]:
        """Erasures with a higher sequence number, in the order they were written."""
        return [
            Buried(row["seq"], row["tombstone"], row["at"], row["base"])
            for _, row in self._lines()
            if row["seq"] > after and "tombstone" in row
        ]

    def forget(self, gone: Callable[[IdentifierKey], bool]) -> None:
        """Take out the lines that name identifiers which are `gone`: written anew and put in place. Raises OSError."""
        with self._lock:
            self._forget(gone)

    def _forget(self, gone: Callable[[IdentifierKey], bool]) -> None:
        if not self._path.exists():
            return
        kept = [
            line for line, row in self._lines() if not ("identifier" in row and gone(IdentifierKey(row["identifier"])))
        ]
        if len(kept) == len(self._path.read_bytes().splitlines()):
            return
        anew = self._path.with_suffix(".anew")
        with contextlib.suppress(FileNotFoundError):
            anew.unlink()
        file = os.open(anew, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(file, b"".join(line + b"\n" for line in kept))
            os.fsync(file)
        finally:
            os.close(file)
        anew.replace(self._path)

    def _lines(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        if not self._path.exists():
            return
        for line in self._path.read_bytes().splitlines():
            try:
                row: dict[str, Any] = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            yield line, row

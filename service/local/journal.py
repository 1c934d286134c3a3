"""A file outside the database that remembers refusals, so that a backup put back does not bring consent to life.

One JSON line for each refusal and, every so often, a checkpoint of the sequence and the audit chain. Only ever appended
to, and written through to the disk before the refusal is answered. A line that a crash cut short is no line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

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


def _for_owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _ends_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


class Journal:
    """The file `refusals.jsonl` in a data folder, readable by its owner only."""

    def __init__(self, data_dir: Path) -> None:
        self._path = make_private_folder(data_dir) / FILE

    def append(self, seq: int, refusals: Sequence[tuple[IdentifierKey, ConsentRecord]]) -> None:
        """Remember refusals of one turn; returns once they are on the disk. Raises OSError."""
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
        with open(self._path, "ab+", opener=_for_owner_only) as file:
            if file.seek(0, os.SEEK_END) and not _ends_line(file):
                lines = b"\n" + lines  # what a crash cut short must not swallow the next line
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())

    def refusals(self, after: int) -> list[Refusal]:
        """Refusals with a higher sequence number, in the order they were written."""
        if not self._path.exists():
            return []
        found = []
        for line in self._path.read_bytes().splitlines():
            try:
                row: dict[str, Any] = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if row["seq"] > after:
                record = ConsentRecord(row["purpose"], row["regulation"], row["state"], row["at"], row["source"])
                found.append(Refusal(row["seq"], IdentifierKey(row["identifier"]), record))
        return found

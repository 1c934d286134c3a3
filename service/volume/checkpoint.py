"""What an interrupted import goes on from: how many rows are through, and the file of refused ones up to there.

The effect of these rows is committed. Rows after them may be too; they are sent again, which changes nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from service.errors import StartRefused
from service.volume.columns import Columns
from service.volume.items import Refusal
from service.volume.rows import Broken


def digest_of(path: Path, columns: Columns, graph: str) -> str:
    """Of what is imported, how, and where to; another one begins anew. Raises StartRefused."""
    try:
        found = path.stat()
    except OSError as error:
        raise StartRefused(f"{path.name} can't be read: {error.strerror}") from None
    told = [str(path.resolve()), found.st_size, found.st_mtime_ns, graph, columns.kind]
    told += [sorted(columns.columns.items()), sorted(columns.constants.items()), sorted(columns.plain)]
    return hashlib.sha256(orjson.dumps([*told, columns.delimiter])).hexdigest()


class Checkpoint:
    """The state file beside the file of refused rows. Both are readable by their owner only."""

    def __init__(self, errors: Path, digest: str) -> None:
        self.errors = errors
        self.rows = 0
        self.refused = 0
        self._digest = digest
        self._state = errors.with_name(errors.name + ".state")
        self._size = 0
        self._read()

    def _read(self) -> None:
        try:
            found = orjson.loads(self._state.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            found = {}
        if isinstance(found, dict) and found.get("digest") == self._digest:
            self.rows, self.refused, self._size = found["rows"], found["refused"], found["errors_bytes"]
        try:
            self.errors.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(self.errors, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
                file.truncate(self._size)
        except OSError as error:
            raise StartRefused(f"{self.errors} can't be written: {error.strerror}") from None

    def refuse(self, refused: Iterable[Refusal], broken: Iterable[Broken] = ()) -> None:
        """Write down rows that were not taken: number and reason, no value."""
        lines: list[dict[str, Any]] = [
            {"row": row, "errors": [{"pointer": e.pointer, "message": e.message} for e in errors]}
            for row, errors in refused
        ]
        lines += [{"line": line, "errors": [{"pointer": "", "message": reason}]} for line, reason in broken]
        self.refused += len(lines)
        if lines:
            with self.errors.open("ab") as file:
                file.write(b"".join(orjson.dumps(line) + b"\n" for line in lines))

    def keep(self, rows: int) -> None:
        """So many more rows are through."""
        self.rows += rows
        self._size = self.errors.stat().st_size
        state = {"digest": self._digest, "rows": self.rows, "refused": self.refused, "errors_bytes": self._size}
        draft = self._state.with_name(self._state.name + ".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(orjson.dumps(state))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._state)

    def end(self) -> None:
        """All is through: nothing to go on from, and no file where no row was refused."""
        self._state.unlink(missing_ok=True)
        if not self.refused:
            self.errors.unlink(missing_ok=True)

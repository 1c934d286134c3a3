"""`python -m service import FILE`: from a path and a map to rows in the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from service.commands.newcomers import RowsOf
from service.commands.write_path import WritePath
from service.errors import NotNow, StartRefused
from service.model.identifiers import IdentifierKey
from service.volume.checkpoint import Checkpoint, digest_of
from service.volume.columns import load_columns
from service.volume.items import ReadItem, ReadJson
from service.volume.loading import ACTOR, BATCH_LINKS, WINDOW_ROWS, Loaded, Loading, asked
from service.volume.progress import Shown, told
from service.volume.rows import format_of
from service.volume.worker import Task

Say = Callable[[str], None]
_GOES_ON: Final = "What is through stays, and the same command goes on from there."


class Bulk(Protocol):
    """What an import asks of the graph."""

    async def known(self, keys: Sequence[IdentifierKey]) -> tuple[set[IdentifierKey], int]:
        """Those of the identifiers that the graph knows anything of, and a sequence number at which that was so."""

    async def now(self) -> int:
        """The database's clock, ms."""

    async def fingerprint(self) -> str:
        """Of the identity key that the graph was made with."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to import. `errors`: where refused rows are written down; None for a file in the data folder.
    `window_rows`: how many rows are looked at together, and gone back at most after an interruption.
    """

    file: Path
    columns: Path | None = None
    kind: str | None = None
    errors: Path | None = None
    window_rows: int = WINDOW_ROWS

    @property
    def is_export(self) -> bool:
        """Whether it is the folder of an export."""
        return self.file.is_dir()


@dataclass(frozen=True, slots=True)
class Means:
    """What an import is given. `document`: the policy in force, of `policy_version`; `readers`: an item's by kind."""

    write_path: WritePath
    bulk: Bulk
    document: dict[str, object]
    policy_version: int
    secret: bytes
    data_dir: Path
    graph: str
    rows_of: RowsOf
    readers: dict[str, ReadItem]
    read_json: ReadJson


async def import_rows(request: Request, means: Means, say: Say) -> Loaded:
    """Import a file. Raises StartRefused in one line for one that can't be read, and where the stores stay away.

    What is through then stays, and the same call goes on from there.
    """
    columns = load_columns(request.columns, request.kind)
    if columns.kind not in means.readers:
        raise StartRefused(f"{columns.kind} can't be imported from a single file; import the folder of an export")
    format_of(request.file)
    digest = digest_of(request.file, columns, f"{means.graph} {await means.bulk.fingerprint()}")
    errors = request.errors or means.data_dir / "imports" / f"{request.file.name}.{digest[:8]}.errors.jsonl"
    checkpoint = Checkpoint(errors, digest)
    if checkpoint.rows:
        say(f"going on after row {checkpoint.rows:,}")
    task = Task(
        request.file.resolve(),
        columns,
        checkpoint.rows,
        await means.bulk.now(),
        means.document,
        means.policy_version,
        means.secret,
        ACTOR,
        BATCH_LINKS,
        means.rows_of,
        means.readers[columns.kind],
        means.read_json,
    )
    try:
        async with asked(task) as asks:
            total = await asks("count")
            with Shown(request.file.name, total, checkpoint.rows, say) as shown:
                links = columns.kind == "links"
                loading = Loading(means.write_path, means.bulk.known, asks, checkpoint, shown, links=links)
                loaded = await loading.run(request.window_rows)
    except BrokenProcessPool:
        raise StartRefused(f"The process that reads the file ended. {_GOES_ON}") from None
    except NotNow as error:
        raise StartRefused(f"{error.detail} {_GOES_ON}") from None
    checkpoint.end()
    say(summary(request.file.name, loaded, errors))
    return loaded


def summary(name: str, loaded: Loaded, errors: Path) -> str:
    """What came of it, in one line."""
    became = ", ".join(f"{count:,} {status}" for status, count in sorted(loaded.statuses.items()))
    refused = f"; {loaded.refused:,} refused, see {errors}" if loaded.refused else ""
    rate = f"{(loaded.rows - loaded.first) / max(loaded.seconds, 1e-6):,.0f} rows/s"
    return f"{name}: {loaded.rows:,} rows in {told(loaded.seconds)} ({rate}): {became or 'nothing'}{refused}"

"""`python -m service import DIR`: an export into an empty graph, to the same profiles and ids.

Everything goes through the write path as evidence; profiles follow from it. One that was interrupted begins anew, on
an empty graph.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import orjson

from service.commands.write_path import WritePath
from service.errors import FabricError, StartRefused
from service.model.changes import Origin, Restore
from service.volume import tables
from service.volume.exporting import FORMAT, MANIFEST, POLICY
from service.volume.progress import Shown
from service.volume.tables import Cells, Table

_BATCH = 1_000
_FETCH = 2_048
_ORIGIN = Origin("service:import", "restore")


@dataclass(frozen=True, slots=True)
class Target:
    """Where an export goes. `advance`: go on from at least this sequence number."""

    write_path: WritePath
    is_empty: Callable[[], Awaitable[bool]]
    advance: Callable[[int], Awaitable[None]]
    fingerprint: str
    document: dict[str, object]


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found = orjson.loads((folder / MANIFEST).read_bytes())
        policy = orjson.loads((folder / POLICY).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        raise StartRefused(f"{folder} is no export: its {MANIFEST} or {POLICY} can't be read") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise StartRefused(f"{folder} is an export of another format than {FORMAT}")
    return found | {"policy": policy}


def rows_of(folder: Path, table: Table) -> Iterator[Cells]:
    """The rows of one table, times in ms. Raises StartRefused for one that can't be read."""
    select = ", ".join(f'epoch_ms("{name}")' if name in table.times else f'"{name}"' for name in table.columns)
    path = str(folder / f"{table.name}.parquet").replace("'", "''")
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET threads = 1")
        try:
            found = connection.execute(f"SELECT {select} FROM read_parquet('{path}')")
            while rows := found.fetchmany(_FETCH):
                yield from (dict(zip(table.columns, row, strict=True)) for row in rows)
        except duckdb.Error:
            raise StartRefused(f"{table.name}.parquet of the export can't be read") from None


def pieces_of(folder: Path) -> Iterator[Restore]:
    """All of an export, in the order in which profiles follow without detours."""
    for cells in rows_of(folder, tables.IDENTIFIERS):
        yield Restore(tables.identifier_of(cells), resolves=False)
    for cells in rows_of(folder, tables.CONSENTS):
        yield Restore(tables.consent_of(cells), resolves=False)
    for cells in rows_of(folder, tables.REVOCATIONS):
        yield Restore(tables.revocation_of(cells), resolves=False)
    for cells in rows_of(folder, tables.PROFILES):
        yield Restore(tables.id_of(cells), resolves=False)
    for cells in rows_of(folder, tables.ASSERTIONS):
        yield Restore(tables.assertion_of(cells), resolves=False)
    for cells in rows_of(folder, tables.LINKS):
        yield Restore(tables.link_of(cells))
    for cells in rows_of(folder, tables.IDENTIFIERS):
        yield Restore(tables.identifier_of(cells))


async def restore_export(folder: Path, target: Target, say: Callable[[str], None]) -> int:
    """Bring an export in; returns the number of pieces. Raises StartRefused in one line where it does not fit."""
    manifest = _manifest(folder)
    if manifest.get("identity_fingerprint") != target.fingerprint:
        raise StartRefused("the export was made under another IDENTITY_KEY: its ids would not fit; set that key")
    if manifest["policy"] != target.document:
        raise StartRefused(f"the export's policy is not the one in force; begin with POLICY_FILE={folder / POLICY}")
    if not await target.is_empty():
        raise StartRefused("an export can only be imported into an empty graph")
    await target.advance(int(manifest["seq"]))
    counts = manifest["rows"]
    total = sum(counts.values()) + counts[tables.IDENTIFIERS.name]
    pieces, done = pieces_of(folder), 0
    with Shown(folder.name, total, 0, say) as shown:
        while batch := list(islice(pieces, _BATCH)):
            answered = await target.write_path.submit(batch, _ORIGIN, _render)
            failed = next((outcome for outcome in answered.outcomes if isinstance(outcome, FabricError)), None)
            if failed is not None:
                raise StartRefused(f"the export can't be brought in: {failed.detail}")
            done += len(batch)
            shown.advance(len(batch), 0)
    say(f"{folder}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()) + " are there again")
    return done


def _render(outcomes: object) -> tuple[int, bytes]:
    """Nobody reads the body: the outcomes are looked at."""
    return 200, b""

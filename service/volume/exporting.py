"""`python -m service export DIR`: everything that profiles follow from, and the profiles, as Parquet files.

All tables are of one moment: the head's sequence number is the same before and after reading, else it is read again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import duckdb
import orjson

from service.clock import now_ms
from service.errors import StartRefused
from service.model.changes import KeptConsent, KeptId, KeptIdentifier, Revocation
from service.model.evidence import Assertion, Link, Reason
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.times import rfc3339
from service.volume import tables
from service.volume.tables import Cells, Table

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
POLICY: Final = "policy.json"
_TRIES: Final = 3
_LINES_AT_ONCE: Final = 2_000


class Snapshot(Protocol):
    """Streams of everything that an export has."""

    async def seq(self) -> int:
        """The sequence number of the last change, as it is now."""

    def identifiers(self) -> AsyncIterator[tuple[KeptIdentifier, ProfileId | None]]:
        """Every identifier, with the profile it is in."""

    def profiles(self) -> AsyncIterator[tuple[KeptId, IdentifierKey, int | None, list[IdentifierKey]]]:
        """Every id ever handed out."""

    def links(self) -> AsyncIterator[tuple[Link, Reason | None]]:
        """Every link, and why it is withheld."""

    def assertions(self) -> AsyncIterator[Assertion]:
        """Every assertion, undone ones too."""

    def consents(self) -> AsyncIterator[KeptConsent]:
        """Every consent record."""

    def revocations(self) -> AsyncIterator[Revocation]:
        """Every revocation."""


@dataclass(frozen=True, slots=True)
class Source:
    """What an export reads."""

    snapshot: Callable[[], AbstractAsyncContextManager[Snapshot]]
    fingerprint: str
    document: dict[str, object]
    policy_version: int


async def _cells(snapshot: Snapshot, table: Table) -> AsyncIterator[Cells]:
    if table is tables.IDENTIFIERS:
        async for kept, profile in snapshot.identifiers():
            yield tables.identifier_cells(kept, profile)
    elif table is tables.PROFILES:
        async for profile_id, holder, due, members in snapshot.profiles():
            yield tables.profile_cells(profile_id, holder, due, members)
    elif table is tables.LINKS:
        async for link, withheld in snapshot.links():
            yield tables.link_cells(link, withheld)
    elif table is tables.ASSERTIONS:
        async for assertion in snapshot.assertions():
            yield tables.assertion_cells(assertion)
    elif table is tables.CONSENTS:
        async for consent in snapshot.consents():
            yield tables.consent_cells(consent)
    else:
        async for revocation in snapshot.revocations():
            yield tables.revocation_cells(revocation)


def _private(path: Path) -> Any:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


async def _write(snapshot: Snapshot, table: Table, folder: Path) -> int:
    """One table; returns its number of rows."""
    lines, target = folder / f".{table.name}.ndjson", folder / f"{table.name}.parquet"
    rows = 0
    try:
        with _private(lines) as file:
            waiting: list[bytes] = []
            async for cells in _cells(snapshot, table):
                waiting.append(orjson.dumps(tables.told(table, cells)))
                rows += 1
                if len(waiting) >= _LINES_AT_ONCE:
                    file.write(b"\n".join(waiting) + b"\n")
                    waiting.clear()
            file.write(b"\n".join(waiting))
        _to_parquet(table, lines, target)
        target.chmod(0o600)
    finally:
        lines.unlink(missing_ok=True)
    return rows


def _to_parquet(table: Table, lines: Path, target: Path) -> None:
    columns = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in table.columns.items()) + "}"
    source, to = (str(path).replace("'", "''") for path in (lines, target))
    sorting = target.with_name(".sorting")
    settings = "SET threads = 1; SET memory_limit = '512MB'; SET temp_directory = '{}'"
    with duckdb.connect(":memory:") as connection:
        connection.execute(settings.format(str(sorting).replace("'", "''")))
        connection.execute(
            f"COPY (SELECT * FROM read_json('{source}', format = 'newline_delimited', columns = {columns}, "
            f"maximum_object_size = 67108864) ORDER BY {table.order}) TO '{to}' (FORMAT parquet, COMPRESSION zstd)"
        )
    shutil.rmtree(sorting, ignore_errors=True)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise StartRefused(f"{folder} is not empty; give an export a folder of its own")
    except OSError as error:
        raise StartRefused(f"{folder} can't be used: {error.strerror}") from None


async def export_tables(source: Source, folder: Path, say: Callable[[str], None]) -> dict[str, int]:
    """Write an export into an empty or new folder; returns the number of rows by table. Raises StartRefused."""
    _make(folder)
    for _ in range(_TRIES):
        async with source.snapshot() as snapshot:
            seq = await snapshot.seq()
            rows = {table.name: await _write(snapshot, table, folder) for table in tables.TABLES}
            if await snapshot.seq() == seq:
                break
        say("the graph changed meanwhile; reading again")
    else:
        for table in tables.TABLES:
            (folder / f"{table.name}.parquet").unlink(missing_ok=True)
        raise StartRefused("the graph changes faster than it can be read; export while less is written")
    with _private(folder / POLICY) as file:
        file.write(orjson.dumps(source.document, option=orjson.OPT_INDENT_2))
    manifest = {
        "format": FORMAT,
        "made_at": rfc3339(now_ms()),
        "seq": seq,
        "identity_fingerprint": source.fingerprint,
        "policy_version": source.policy_version,
        "rows": rows,
    }
    with _private(folder / MANIFEST) as file:
        file.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    say(f"{folder}: " + ", ".join(f"{count:,} {name}" for name, count in rows.items()))
    return rows

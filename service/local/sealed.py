"""The sealed file: what was moved out of the graph, in one SQLite database for its owner only.

Rows are only ever added, each under the name that it had in the graph, so adding a stretch twice changes nothing. Every
addition is one transaction, on the disk before it returns. A person's rows can be deleted for good (`secure_delete`).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from service.commands.sealing import Kind, SealedStay, SealedTurn, SealedView, Stretch
from service.control.rewriting import events_without, view_without
from service.errors import StoreUnavailable
from service.local.data_dir import make_private_folder
from service.model.identifiers import IdentifierKey

FOLDER: Final = "sealed"
FILE: Final = "sealed.sqlite"
T = TypeVar("T")

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY, at TEXT, subject TEXT, actor TEXT, action TEXT, destination TEXT, entry BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS audit_subject ON audit (subject, seq);
CREATE TABLE IF NOT EXISTS turns (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, items BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS turns_of (profile TEXT, seq INTEGER, PRIMARY KEY (profile, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS views (
    profile TEXT, since INTEGER, until INTEGER, view TEXT NOT NULL, PRIMARY KEY (profile, since, until)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stays (
    key TEXT, since INTEGER, until INTEGER, profile TEXT, PRIMARY KEY (key, since, until, profile)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS stays_in ON stays (profile, since);
CREATE TABLE IF NOT EXISTS bounds (kind TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
"""


class SqliteSealed:
    """See `service.commands.sealing.SealedFile`. The file is made with the first stretch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            path = make_private_folder(self._folder) / FILE
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False, isolation_level=None)
            self._connection.executescript("PRAGMA synchronous = EXTRA; PRAGMA secure_delete = ON;" + _TABLES)
        return self._connection

    async def _ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def locked() -> T:
            with self._lock:
                try:
                    return work(self._open())
                except (sqlite3.Error, OSError) as error:
                    raise StoreUnavailable("What was moved out of the graph can't be read or written.") from error

        return await asyncio.to_thread(locked)

    async def _rows(self, query: str, *parameters: object) -> list[Any]:
        return await self._ask(lambda connection: connection.execute(query, parameters).fetchall())

    async def _reaches(self, kind: Kind, upto: int) -> None:
        """Raises StoreUnavailable where the graph knows of more than this file has: it is another one's."""
        rows = await self._rows("SELECT last FROM bounds WHERE kind = ?", kind)
        if upto > (rows[0][0] if rows else 0):
            raise StoreUnavailable("What was moved out of the graph is not in SEALED_DIR.")

    async def add(self, stretch: Stretch) -> None:
        """Keep a stretch; returns once it is on the disk. The same rows again change nothing."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                _add(connection, stretch)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise

        await self._ask(work)

    async def audit_after(self, after: int, upto: int, limit: int) -> list[dict[str, Any]]:
        """Audit entries by sequence number."""
        query = "SELECT entry FROM audit WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        return [orjson.loads(row[0]) for row in await self._rows(query, after, upto, limit)]

    async def audit_like(self, asked: dict[str, str | None], before: int, limit: int) -> list[dict[str, Any]]:
        """Audit entries that match, newest first; names as `AuditFilter` has them."""
        query = (
            "SELECT entry FROM audit WHERE seq < :before AND (:subject IS NULL OR subject = :subject) "
            "AND (:actor IS NULL OR actor = :actor) AND (:action IS NULL OR action = :action) "
            "AND (:destination IS NULL OR destination = :destination) "
            "AND (:since IS NULL OR at >= :since) AND (:until IS NULL OR at <= :until) ORDER BY seq DESC LIMIT :limit"
        )
        if asked.get("subject") is not None:
            query = query.replace("(:subject IS NULL OR subject = :subject)", "subject = :subject")
        named = {**asked, "before": before, "limit": limit}
        rows = await self._ask(lambda connection: connection.execute(query, named).fetchall())
        return [orjson.loads(row[0]) for row in rows]

    async def turns_after(self, after: int, upto: int, limit: int) -> list[SealedTurn]:
        """Outbox entries by sequence number."""
        await self._reaches("turns", upto)
        query = "SELECT seq, at, items FROM turns WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        return [_turn(row) for row in await self._rows(query, after, upto, limit)]

    async def turns_of(self, profile: str, before: int, limit: int) -> list[SealedTurn]:
        """Outbox entries that speak of a profile, newest first."""
        query = (
            "SELECT turns.seq, at, items FROM turns_of JOIN turns ON turns.seq = turns_of.seq "
            "WHERE profile = ? AND turns_of.seq < ? ORDER BY turns_of.seq DESC LIMIT ?"
        )
        return [_turn(row) for row in await self._rows(query, profile, before, limit)]

    async def stays_at(self, keys: Sequence[str], at: int) -> dict[str, str]:
        """The profile that each identifier was in at a time (ms)."""
        await self._reaches("past", at + 1)
        query = (
            "SELECT stays.key, profile FROM stays JOIN json_each(?) AS asked ON asked.value = stays.key "
            "WHERE since <= ? AND until > ?"
        )
        return dict(await self._rows(query, orjson.dumps(list(keys)).decode(), at, at))

    async def members_at(self, profile: str, at: int) -> list[str]:
        """Who was in a profile at a time (ms)."""
        await self._reaches("past", at + 1)
        query = "SELECT key FROM stays WHERE profile = ? AND since <= ? AND until > ?"
        return [row[0] for row in await self._rows(query, profile, at, at)]

    async def views_at(self, profiles: Sequence[str], at: int) -> dict[str, str]:
        """How profiles looked at a time (ms)."""
        query = (
            "SELECT profile, view FROM views JOIN json_each(?) AS asked ON asked.value = profile "
            "WHERE since <= ? AND until > ?"
        )
        return dict(await self._rows(query, orjson.dumps(list(profiles)).decode(), at, at))

    async def forget(self, keys: Sequence[IdentifierKey]) -> None:
        """Take out whatever names these identifiers; it is overwritten. Returns once that is on the disk."""
        if self._connection is None and not (self._folder / FILE).exists():
            return

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                for key in keys:
                    _forget(connection, key)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise

        await self._ask(work)


def _forget(connection: sqlite3.Connection, key: IdentifierKey) -> None:
    """Turns and views are found through the profiles that it was in, of a household through the text itself."""
    quoted = orjson.dumps(key).decode()
    profiles = [row[0] for row in connection.execute("SELECT DISTINCT profile FROM stays WHERE key = ?", (key,))]
    within = "profile IN (SELECT value FROM json_each(:profiles)) AND " if profiles else ""
    asked = {"profiles": orjson.dumps(profiles).decode(), "quoted": quoted}
    views = f"SELECT profile, since, until, view FROM views WHERE {within}instr(view, :quoted)"
    for profile, since, until, view in connection.execute(views, asked).fetchall():
        place = (profile, since, until)
        anew = view_without(view, key)
        if anew is None:
            connection.execute("DELETE FROM views WHERE profile = ? AND since = ? AND until = ?", place)
        else:
            connection.execute(
                "UPDATE views SET view = ? WHERE profile = ? AND since = ? AND until = ?", (anew, *place)
            )
    turns = "SELECT seq, items FROM turns WHERE seq IN (SELECT seq FROM turns_of WHERE profile IN "
    turns += "(SELECT value FROM json_each(?)))"
    for seq, items in connection.execute(turns, (asked["profiles"],)).fetchall():
        kept = orjson.loads(items)
        anew_items = events_without(kept, key)
        if any(key in item for item in kept):
            connection.execute("UPDATE turns SET items = ? WHERE seq = ?", (orjson.dumps(anew_items), seq))
    connection.execute("DELETE FROM stays WHERE key = ?", (key,))


def _turn(row: Any) -> SealedTurn:
    return SealedTurn(row[0], row[1], orjson.loads(row[2]), [])


def _add(connection: sqlite3.Connection, stretch: Stretch) -> None:
    searched = ("seq", "at", "subject", "actor", "action", "destination")
    connection.executemany(
        "INSERT OR REPLACE INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)",
        ([*(entry.get(name) for name in searched), orjson.dumps(entry)] for entry in stretch.audit),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO turns VALUES (?, ?, ?)",
        ((turn.seq, turn.at, orjson.dumps(turn.items)) for turn in stretch.turns),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO turns_of VALUES (?, ?)",
        ((profile, turn.seq) for turn in stretch.turns for profile in turn.profiles),
    )
    views: Sequence[SealedView] = stretch.views
    connection.executemany("INSERT OR REPLACE INTO views VALUES (?, ?, ?, ?)", views)
    stays: Sequence[SealedStay] = stretch.stays
    connection.executemany(
        "INSERT OR REPLACE INTO stays VALUES (?, ?, ?, ?)",
        ((stay.key, stay.since, stay.until, stay.profile) for stay in stays),
    )
    connection.execute(
        "INSERT INTO bounds VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET last = max(last, excluded.last)",
        (stretch.kind, stretch.last),
    )

"""Migration files: read from their folder, checked, and compared with what a graph says it has applied.

Nothing here talks to a graph. A file is ``V0001__snake_case_name.cypher``; its statements end with ``;`` at the end of
a line. See docs/migrations.md for the rules and why they are so.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = [
    "AppliedMigration",
    "MigrationError",
    "MigrationFile",
    "MigrationRefused",
    "MigrationStatus",
    "Statement",
    "compare",
    "parse",
    "read_folder",
    "refuse_unless_consistent",
    "split_statements",
]

FILE_BYTES_MAX = 1_048_576
PROBLEMS_SHOWN_MAX = 5

StatementKind = Literal["schema", "content", "batched"]
MigrationState = Literal["applied", "pending", "changed", "missing", "renamed"]

_FILE_NAME = re.compile(r"(?P<stem>V(?P<version>[0-9]{4})__[a-z0-9]+(?:_[a-z0-9]+)*)\.cypher")
_TOKEN = re.compile(
    r"""(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`)
      |(?P<comment>//[^\n]*|/\*.*?\*/)
      |(?P<end>;)
      |(?P<unclosed>['"`]|/\*)""",
    re.VERBOSE | re.DOTALL,
)
_REST_OF_LINE = re.compile(r"[ \t]*(?://[^\n]*)?(?:\n|\Z)")
_SCHEMA = re.compile(r"(?P<verb>CREATE|DROP)\s+(?:OR\s+REPLACE\s+)?(?:[A-Z]+\s+)?(?:CONSTRAINT|INDEX)\b", re.IGNORECASE)
_GUARD = {
    "CREATE": re.compile(r"\bIF\s+NOT\s+EXISTS\b", re.IGNORECASE),
    "DROP": re.compile(r"\bIF\s+EXISTS\b", re.IGNORECASE),
}
_BATCHED = re.compile(r"\bIN\s+(?:\S+\s+CONCURRENT\s+)?TRANSACTIONS\b", re.IGNORECASE)
_PLAIN_CREATE = re.compile(r"(?<![.:|&!$\w])(?:CREATE|INSERT)\s*(?:\w+\s*=\s*)?\(", re.IGNORECASE)


class MigrationError(Exception):
    """Root of what the migration runner raises. Its text is one line without values from the graph's data."""


class MigrationRefused(MigrationError):
    """The folder is not in order, or it does not fit what the graph has applied. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One Cypher statement of a file; `line` is where its first word stands, counted from 1."""

    text: str
    line: int
    kind: StatementKind


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """One file. `checksum` and `chain` are SHA-256 in hex; `chain` covers this file and all before it."""

    version: int
    name: str
    checksum: str
    chain: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """What the graph recorded when it applied a migration; `applied_at` in ms since epoch by the graph's clock."""

    version: int
    name: str
    checksum: str
    chain: str
    applied_at: int


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One migration as folder and graph see it; `why` says in words what is wrong and is empty when nothing is."""

    version: int
    name: str
    state: MigrationState
    applied_at: int | None
    why: str = ""


def read_folder(folder: Path) -> list[MigrationFile]:
    """All migrations of a folder, by version. Raises MigrationRefused for anything that is not as it should be.

    A gap in the versions is left to `refuse_unless_consistent`, which can say whether the graph knows the missing one.
    """
    if not folder.is_dir():
        raise MigrationRefused(f"migration folder {folder} does not exist")
    found: dict[int, tuple[str, bytes]] = {}
    for path in sorted(folder.iterdir()):
        if path.name == "README.md":
            continue
        match = _FILE_NAME.fullmatch(path.name)
        if match is None or not path.is_file():
            raise MigrationRefused(
                f"migration folder {folder} holds {path.name!r}; only README.md and files named"
                " V0001__snake_case_name.cypher belong there"
            )
        version, stem = int(match["version"]), match["stem"]
        if version in found:
            raise MigrationRefused(f"two migrations have version {version:04}: {found[version][0]} and {stem}")
        if path.stat().st_size > FILE_BYTES_MAX:
            raise MigrationRefused(f"{stem} is larger than {FILE_BYTES_MAX} bytes")
        found[version] = (stem, path.read_bytes())
    if not found:
        raise MigrationRefused(f"migration folder {folder} holds no migration")
    if 0 in found:
        raise MigrationRefused(f"{found[0][0]}: versions start at 0001")
    return _chained(found)


def _chained(found: dict[int, tuple[str, bytes]]) -> list[MigrationFile]:
    files: list[MigrationFile] = []
    chain = ""
    for version, (name, content) in sorted(found.items()):
        normalised = content.replace(b"\r\n", b"\n")
        checksum = hashlib.sha256(normalised).hexdigest()
        chain = hashlib.sha256((chain + checksum).encode()).hexdigest()
        files.append(MigrationFile(version, name, checksum, chain, parse(name, normalised)))
    return files


def parse(name: str, content: bytes) -> tuple[Statement, ...]:
    """The statements of one file's normalised bytes, each safe to run twice; `name` is only for the error's text."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MigrationRefused(f"{name} is not UTF-8 (byte {error.start})") from None
    if text.startswith("\ufeff"):
        raise MigrationRefused(f"{name} starts with a byte order mark")
    if "\r" in text:
        raise MigrationRefused(f"{name} has a carriage return that ends no line")
    if "\\u" in text:
        # Cypher 5 turns these into characters before it looks for quotes, so one could end a string unseen.
        raise MigrationRefused(f"{name} has a \\u escape; write the character itself")
    statements = split_statements(name, text)
    if not statements:
        raise MigrationRefused(f"{name} holds no statement")
    return tuple(statements)


def split_statements(name: str, text: str) -> list[Statement]:
    """Cuts a text at each ``;`` that ends a line, looking past strings, quoted names and comments."""
    statements: list[Statement] = []
    start = position = 0
    bare: list[str] = []  # the statement so far: comments as blanks, strings empty
    for token in _TOKEN.finditer(text):
        if token.start() < position:
            continue  # a comment behind a ";" that was already skipped
        bare.append(text[position : token.start()])
        position = token.end()
        if token["unclosed"]:
            raise MigrationRefused(f"{name}, line {_line(text, token.start())}: {token['unclosed']} is never closed")
        if token["end"]:
            rest = _REST_OF_LINE.match(text, token.end())
            if rest is None:
                raise MigrationRefused(f"{name}, line {_line(text, token.start())}: text behind ';' on the same line")
            statements.append(_statement(name, text, start, token.start(), "".join(bare)))
            start = position = rest.end()
            bare = []
        else:
            bare.append("''" if token["quoted"] else re.sub(r"[^\n]", " ", token["comment"]))
    if ("".join(bare) + text[position:]).strip():
        raise MigrationRefused(f"{name}: the last statement does not end with ';'")
    return statements


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _statement(name: str, text: str, start: int, end: int, bare: str) -> Statement:
    code = bare.strip()
    first_line = _line(text, start) + bare[: len(bare) - len(bare.lstrip())].count("\n")
    where = f"{name}, line {first_line}"
    if not code:
        raise MigrationRefused(f"{where}: an empty statement")
    schema = _SCHEMA.match(code)
    if schema is not None and not _GUARD[schema["verb"].upper()].search(code):
        wanted = "IF NOT EXISTS" if schema["verb"].upper() == "CREATE" else "IF EXISTS"
        raise MigrationRefused(f"{where}: a constraint or index needs {wanted}, so that the file can run again")
    if schema is None and _PLAIN_CREATE.search(code):
        raise MigrationRefused(f"{where}: CREATE of a node or relationship runs twice after a crash; use MERGE")
    kind: StatementKind = "schema" if schema else "batched" if _BATCHED.search(code) else "content"
    return Statement(text[start:end].strip(), first_line, kind)


def compare(files: Sequence[MigrationFile], applied: Iterable[AppliedMigration]) -> list[MigrationStatus]:
    """Every migration that folder or graph knows, by version, with its state."""
    on_disk = {file.version: file for file in files}
    in_graph = {record.version: record for record in applied}
    statuses: list[MigrationStatus] = []
    for version in sorted(on_disk.keys() | in_graph.keys()):
        file, record = on_disk.get(version), in_graph.get(version)
        if file is None:
            statuses.append(_absent_on_disk(in_graph[version], files))
        elif record is None:
            statuses.append(_absent_in_graph(file, in_graph))
        else:
            # A file that differs breaks the chain of all behind it: only the first is to blame.
            judge_chain = not any(status.why for status in statuses if status.state != "renamed")
            statuses.append(_in_both(file, record, in_graph, judge_chain))
    return statuses


def _absent_on_disk(record: AppliedMigration, files: Sequence[MigrationFile]) -> MigrationStatus:
    why = "it was applied to this graph and its file is missing"
    if record.version > files[-1].version:
        why = f"the graph is newer than this code, whose last migration is {files[-1].name}"
    return MigrationStatus(record.version, record.name, "missing", record.applied_at, why)


def _absent_in_graph(file: MigrationFile, in_graph: Mapping[int, AppliedMigration]) -> MigrationStatus:
    later = max(in_graph, default=0)
    why = f"it was never applied, but {in_graph[later].name} after it was" if later > file.version else ""
    return MigrationStatus(file.version, file.name, "pending", None, why)


def _in_both(
    file: MigrationFile, record: AppliedMigration, in_graph: Mapping[int, AppliedMigration], judge_chain: bool
) -> MigrationStatus:
    state: MigrationState = "applied"
    why = ""
    if file.checksum != record.checksum:
        twin = next((each.name for each in in_graph.values() if each.checksum == file.checksum), None)
        state = "changed"
        why = f"reordered: its content was applied as {twin}" if twin else "its content is not what was applied"
    elif file.name != record.name:
        state, why = "renamed", f"it was applied under the name {record.name}"
    elif judge_chain and file.chain != record.chain:
        state, why = "changed", "the graph's record of it does not follow from those before it (chain differs)"
    return MigrationStatus(file.version, file.name, state, record.applied_at, why)


def refuse_unless_consistent(files: Sequence[MigrationFile], statuses: Sequence[MigrationStatus]) -> None:
    """Raises MigrationRefused, naming each migration and what is wrong with it, unless graph and folder agree."""
    problems = [f"{status.name}: {status.why}" for status in statuses if status.why]
    known = {status.version for status in statuses}
    gap = next((v for v in range(1, files[-1].version) if v not in known), None)
    if gap is not None:
        problems.append(f"version {gap:04} is missing in the folder, versions may have no gap")
    if problems:
        more = len(problems) - PROBLEMS_SHOWN_MAX
        tail = f"; and {more} more" if more > 0 else ""
        raise MigrationRefused("; ".join(problems[:PROBLEMS_SHOWN_MAX]) + tail)

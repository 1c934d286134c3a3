"""Rows of CSV, NDJSON and Parquet files, read by DuckDB as a stream."""

from __future__ import annotations

import csv
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import duckdb

from service.errors import StartRefused
from service.volume.columns import FIELDS, TIME_FIELDS, Columns

Format = Literal["csv", "ndjson", "parquet"]
_FORMATS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".parquet": "parquet",
}
_FETCH: Final = 2_048
_LINE_BYTES_MAX: Final = 4_194_304
_MEMORY: Final = "512MB"
_GATHERED_ROWS_MAX: Final = 5_000_000  # about 100 bytes an identifier meanwhile


class Broken(NamedTuple):
    """A line that is no row; what was in it is not repeated."""

    line: int
    reason: str


def format_of(path: Path) -> Format:
    """By the name's ending, also before `.gz`. Raises StartRefused."""
    endings = [ending.lower() for ending in path.suffixes]
    ending = endings[-2] if len(endings) > 1 and endings[-1] in (".gz", ".zst") else (endings or [""])[-1]
    if ending not in _FORMATS:
        raise StartRefused(f"{path.name} must end in one of {', '.join(_FORMATS)}")
    return _FORMATS[ending]


def _text(value: str) -> str:
    """As a SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    """As a SQL name."""
    return '"' + value.replace('"', '""') + '"'


def _places(found: duckdb.DuckDBPyConnection) -> Iterator[int]:
    """Of each row (two numbers that stand for its ends) the number of the first row of its neighbourhood."""
    parents: dict[int, int] = {}
    firsts: dict[int, int] = {}
    lefts = array("Q")

    def root(end: int) -> int:
        while (parent := parents.setdefault(end, end)) != end:
            parents[end] = end = parents[parent]
        return end

    while rows := found.fetchmany(_FETCH):
        for left, right in rows:
            lefts.append(left)
            a, b = root(left), root(right)
            if a != b:
                parents[b] = a
    for number, left in enumerate(lefts):
        yield firsts.setdefault(root(left), number)


class Rows:
    """A file's rows. Of a CSV or Parquet file tuples in the order of `fields`, None for what is empty; of NDJSON one
    text a row. Raises StartRefused for a file that can't be read as what its name says.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        self.format = format_of(path)
        self.fields = FIELDS[columns.kind]
        self._path = path
        self._columns = columns
        self._connection = duckdb.connect(":memory:")
        self._connection.execute(
            f"SET threads = 1; SET memory_limit = '{_MEMORY}'; SET preserve_insertion_order = true"
        )
        self._selected, self._source = self._query()
        self._select = ", ".join(self._selected)

    def _query(self) -> tuple[list[str], str]:
        """An expression for each field, and where they are from."""
        if self.format == "ndjson":
            return ["line"], self._lines()
        if self.format == "csv":
            return self._csv()
        return self._parquet()

    def _lines(self) -> str:
        """The file as one text a line."""
        options = (
            "auto_detect = false, header = false, columns = {'line': 'VARCHAR'}, delim = E'\\x01', quote = '', "
            f"escape = '', parallel = false, max_line_size = {_LINE_BYTES_MAX}"
        )
        return f"read_csv({_text(str(self._path))}, {options})"

    @property
    def _delimiter(self) -> str:
        return "\t" if ".tsv" in self._path.name.lower() else self._columns.delimiter

    def _csv(self) -> tuple[list[str], str]:
        names = self._header()
        types = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in names)
        options = (
            f"auto_detect = false, header = true, columns = {{{types}}}, delim = {_text(self._delimiter)}, "
            f"quote = '\"', escape = '\"', parallel = false, ignore_errors = true, store_rejects = true, "
            f"max_line_size = {_LINE_BYTES_MAX}"
        )
        chosen = self._columns.chosen(names)
        select = [
            f"nullif({_name(chosen[field])}, '')" if field in chosen else self._constant(field) for field in self.fields
        ]
        return select, f"read_csv({_text(str(self._path))}, {options})"

    def _header(self) -> list[str]:
        try:
            first = self._connection.execute(f"SELECT line FROM {self._lines()}").fetchone()
        except duckdb.Error as error:
            raise self._refused(error) from None
        names = next(csv.reader([first[0].lstrip("\ufeff")], delimiter=self._delimiter)) if first and first[0] else []
        if len(set(names)) != len(names) or not all(names):
            raise StartRefused(f"{self._path.name} must begin with a line that names each column once")
        return names

    def _parquet(self) -> tuple[list[str], str]:
        source = f"read_parquet({_text(str(self._path))})"
        try:
            described = self._connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        except duckdb.Error as error:
            raise self._refused(error) from None
        types = {row[0]: str(row[1]) for row in described}
        chosen = self._columns.chosen(list(types))
        select = [
            self._typed(field, chosen[field], types) if field in chosen else self._constant(field)
            for field in self.fields
        ]
        return select, source

    @staticmethod
    def _typed(field: str, column: str, types: dict[str, str]) -> str:
        name, kind = _name(column), types[column]
        if field in TIME_FIELDS:
            if kind.startswith(("TIMESTAMP", "DATE")):
                return f"epoch_ms({name})"
            return f"CAST({name} AS BIGINT)" if "INT" in kind else f"CAST({name} AS VARCHAR)"
        return f"CAST({name} AS {'DOUBLE' if field == 'confidence' and kind != 'VARCHAR' else 'VARCHAR'})"

    def _constant(self, field: str) -> str:
        value = self._columns.constants.get(field)
        return "NULL" if value is None else _text(value)

    def _refused(self, error: duckdb.Error) -> StartRefused:
        reason = "it can't be opened" if isinstance(error, duckdb.IOException) else f"it is no {self.format} file"
        return StartRefused(f"{self._path.name}: {reason}")

    def count(self) -> int:
        """How many rows there are, about: lines that are no rows may be counted."""
        try:
            found = self._connection.cursor().execute(f"SELECT count(*) FROM {self._source}").fetchone()
        except duckdb.Error as error:
            raise self._refused(error) from None
        return int(found[0]) if found else 0

    def read(self, skip: int, *, gathered: bool = False) -> Iterator[tuple[int, Any]]:
        """Row numbers, from 1, and rows, but the first `skip`. `gathered`: links of one neighbourhood follow each other
        (not of NDJSON, and not where there are very many); the order is the same each time.
        """
        try:
            if gathered and self.format != "ndjson" and self.count() <= _GATHERED_ROWS_MAX:
                yield from self._gathered(skip)
                return
            found = self._connection.execute(f"SELECT {self._select} FROM {self._source} OFFSET {skip}")
            number = skip
            while rows := found.fetchmany(_FETCH):
                for row in rows:
                    number += 1
                    yield number, row if self.format != "ndjson" else row[0]
        except duckdb.Error as error:
            raise self._refused(error) from None

    def _gathered(self, skip: int) -> Iterator[tuple[int, Any]]:
        """By the place of each row's neighbourhood, which is that of its first row; sorted on disk."""
        with tempfile.TemporaryDirectory(prefix="fabric-import-") as folder:
            self._connection.execute(f"SET temp_directory = {_text(folder)}")
            named = ", ".join(
                f"{expression} AS {field}" for expression, field in zip(self._selected, self.fields, strict=True)
            )
            ends = "hash(a_namespace, a_value), hash(b_namespace, b_value)"
            found = self._connection.execute(f"SELECT {ends} FROM (SELECT {named} FROM {self._source})")
            places = Path(folder) / "places.csv"
            with places.open("w") as file:
                file.writelines(f"{place}\n" for place in _places(found))
            listed = (
                f"read_csv({_text(str(places))}, header = false, columns = {{'place': 'BIGINT'}}, parallel = false)"
            )
            rows = f"(SELECT row_number() OVER () AS number, {named} FROM {self._source})"
            found = self._connection.execute(
                f"SELECT number, {', '.join(self.fields)} FROM {rows} POSITIONAL JOIN {listed} "
                f"ORDER BY place, number OFFSET {skip}"
            )
            while part := found.fetchmany(_FETCH):
                yield from ((row[0], row[1:]) for row in part)

    def broken(self) -> list[Broken]:
        """Lines of a CSV file that were no rows, once it is read to its end."""
        if self.format != "csv":
            return []
        query = "SELECT DISTINCT line, error_type FROM reject_errors ORDER BY line"
        try:
            rows = self._connection.execute(query).fetchall()
        except duckdb.CatalogException:
            return []
        return [Broken(line, f"is no row: {str(reason).lower()}") for line, reason in rows]

    def close(self) -> None:
        """Give back what DuckDB holds."""
        self._connection.close()

"""Delta tables as destinations. The library records transaction ids and never enforces them, so rows are merged by
their own id: a batch written twice leaves one row each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import TableNotFoundError

from service.adapters.delivery.shapes import TableWrite

SCHEMA: Final = pa.schema(
    [
        pa.field("delivery_id", pa.string(), nullable=False),
        pa.field("event_source", pa.string()),
        pa.field("event_id", pa.string()),
        pa.field("event_type", pa.string()),
        pa.field("event_time", pa.int64()),
        pa.field("profile_id", pa.string()),
        pa.field("granularity", pa.string()),
        pa.field("identifiers", pa.string()),
        pa.field("properties", pa.string()),
    ]
)
_PLAIN: Final = {"delta.dataSkippingStatsColumns": "delivery_id,event_time"}
"""No statistics of columns that may hold something personal: they would outlive a deletion in the log."""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


class Tables:
    """Writes rows, and takes them out for good."""

    def write(self, write: TableWrite) -> None:
        """Raises what the library raises; the same rows may be written again."""
        if write.removes:
            self._remove(write)
            return
        table = self._table(write.uri)
        rows = pa.Table.from_pylist([dict(row) for row in write.rows], schema=SCHEMA)
        properties = WriterProperties(compression="ZSTD")
        (
            table.merge(rows, "t.delivery_id = s.delivery_id", "s", "t", writer_properties=properties)
            .when_not_matched_insert_all()
            .execute()
        )

    @staticmethod
    def _table(uri: str) -> DeltaTable:
        try:
            return DeltaTable(uri)
        except TableNotFoundError:
            if "://" not in uri:
                Path(uri).mkdir(parents=True, exist_ok=True)
            empty = pa.Table.from_pylist([], schema=SCHEMA)
            write_deltalake(uri, empty, mode="ignore", configuration=_PLAIN)
            return DeltaTable(uri)

    def _remove(self, write: TableWrite) -> None:
        """Delete the rows of a person, and the files that held them."""
        try:
            table = DeltaTable(write.uri)
        except TableNotFoundError:
            return
        for row in write.rows:
            tests = [f"profile_id = {_quoted(row['profile_id'])}"] if row["profile_id"] else []
            names: list[dict[str, Any]] = orjson.loads(row["identifiers"])
            for name in names:
                shown = orjson.dumps(name).decode()
                tests.append(f"strpos(identifiers, {_quoted(shown)}) > 0")
            if tests:
                table.delete(" OR ".join(tests))
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)

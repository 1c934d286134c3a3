"""How an event lies in the record: columns, partitions, what Parquet and the table's log may say of them.

Nothing that could name a person reaches a statistic: the log keeps minima and maxima of sequence numbers and times
only, the files' own footers likewise, and rows are deleted by sequence number, so that no value enters the log's
account of a deletion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import orjson
import pyarrow as pa
from deltalake import ColumnProperties, WriterProperties

from service.model.events import CanonicalEvent, EventConsent
from service.model.identifiers import IdentifierKey

_TIME: Final = pa.timestamp("us", tz="UTC")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TEXTS: Final = pa.list_(pa.string())

COLUMNS: Final = pa.schema(
    [
        pa.field("day", pa.date32(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("occurred_at", _TIME, nullable=False),
        pa.field("received_at", _TIME, nullable=False),
        pa.field("recorded_at", _TIME, nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("schema_version", pa.string()),
        pa.field("identifiers", _TEXTS),
        pa.field("consent", pa.string()),
        pa.field("regulation", pa.string()),
        pa.field("basis", pa.string()),
        pa.field("purposes", _TEXTS),
        pa.field("granularity", pa.string()),
        pa.field("retention", pa.string()),
        pa.field("flags", _TEXTS),
        pa.field("traits", pa.string()),
        pa.field("properties", pa.string()),
        pa.field("signals", pa.string()),
        pa.field("extensions", pa.string()),
        pa.field("digest", pa.string()),
    ]
)
"""One row an event. `day`: UTC day of `recorded_at`. `identifiers`: `namespace:value`, digests where the namespace is
hashed. `consent` (purpose to state), `traits`, `properties`, `signals`, `extensions`: JSON objects.
"""

PARTITIONS: Final = ("day", "type")
COUNTED: Final = ("seq", "occurred_at", "received_at", "recorded_at")
"""The columns of which there are statistics."""

CONFIGURATION: Final[Mapping[str, str]] = {
    "delta.dataSkippingStatsColumns": ",".join(COUNTED),
    "delta.logRetentionDuration": "interval 7 days",
    "delta.deletedFileRetentionDuration": "interval 1 days",
    "delta.checkpointInterval": "50",
}


def writing() -> WriterProperties:
    """How files are written, when events come in and whenever they are written anew."""
    return WriterProperties(
        compression="ZSTD",
        compression_level=3,
        default_column_properties=ColumnProperties(statistics_enabled="NONE"),
        column_properties=dict.fromkeys(COUNTED, ColumnProperties(statistics_enabled="CHUNK")),
    )


def moment(at: int) -> datetime:
    """A time in ms as the table has it."""
    return _EPOCH + timedelta(milliseconds=at)


def ms_of(at: datetime) -> int:
    """The inverse of `moment`."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def day_of(at: int) -> date:
    """The UTC day of a time in ms."""
    return moment(at).date()


def row_of(event: CanonicalEvent) -> dict[str, Any]:
    """An event by column name; times are still ms."""
    return {
        "type": event.type,
        "seq": event.seq,
        "occurred_at": event.occurred_at,
        "received_at": event.received_at,
        "recorded_at": event.recorded_at,
        "source": event.source,
        "id": event.event_id,
        "schema_version": event.schema_version,
        "identifiers": list(event.identifiers),
        "consent": orjson.dumps(dict(event.consent.states)).decode(),
        "regulation": event.consent.regulation or None,
        "basis": event.consent.basis,
        "purposes": list(event.purposes),
        "granularity": event.granularity,
        "retention": event.retention,
        "flags": list(event.flags),
        "traits": event.traits,
        "properties": event.properties,
        "signals": event.signals,
        "extensions": event.extensions,
        "digest": event.digest,
    }


def event_of(row: Mapping[str, Any]) -> CanonicalEvent:
    """The inverse, of a row as it is read."""
    return CanonicalEvent(
        row["source"],
        row["id"],
        row["type"],
        row["schema_version"],
        ms_of(row["occurred_at"]),
        ms_of(row["received_at"]),
        tuple(IdentifierKey(key) for key in row["identifiers"]),
        row["digest"],
        EventConsent(tuple(orjson.loads(row["consent"]).items()), row["regulation"] or "", row["basis"]),
        tuple(row["purposes"]),
        row["granularity"],
        row["retention"],
        tuple(row["flags"]),
        row["properties"],
        row["traits"],
        row["signals"],
        row["extensions"],
        ms_of(row["recorded_at"]),
        row["seq"],
    )


def as_table(events: Sequence[CanonicalEvent]) -> pa.Table:
    """Events as Arrow has them."""
    rows = [row_of(event) for event in events]
    columns: list[list[Any]] = []
    for field in COLUMNS:
        if field.name == "day":
            columns.append([day_of(row["recorded_at"]) for row in rows])
        elif field.type == _TIME:
            columns.append([moment(row[field.name]) for row in rows])
        else:
            columns.append([row[field.name] for row in rows])
    return pa.Table.from_arrays(
        [pa.array(values, type=field.type) for values, field in zip(columns, COLUMNS, strict=True)], schema=COLUMNS
    )

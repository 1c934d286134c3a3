"""The record as a table: exactly once, nothing personal in a statistic or a log, deleted means in no file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from service.commands.record_ports import AnotherWriter, Span
from service.model.events import CanonicalEvent, EventConsent
from service.model.identifiers import IdentifierKey
from service.record.layout import COUNTED
from service.record.table import DeltaRecord

DAY = 86_400_000
BEGAN = 1_790_000_000_000
ALL = Span(0, 2**62)


def row(seq: int, person: str = "anna", **more: Any) -> CanonicalEvent:
    at = BEGAN + seq * 1_000
    names = (IdentifierKey(f"crm_id:{person}"), IdentifierKey(f"cookie_id:c-{seq}"))
    event = CanonicalEvent("web", f"evt-{seq}", "page_view", "1-0-0", at, at + 5, names, f"digest-{seq}")
    known: dict[str, Any] = {
        "retention": "events-default",
        "properties": '{"page":"x"}',
        "traits": f'{{"of":"{person}"}}',
    }
    return replace(event, **known | {"recorded_at": at + 9, "seq": seq} | more)


def rows(first: int, last: int, person: str = "anna", **more: Any) -> list[CanonicalEvent]:
    return [row(seq, person, **more) for seq in range(first, last + 1)]


def seqs(record: DeltaRecord, span: Span = ALL) -> list[int]:
    return [found.seq for found in record.rows(span, 10_000)]


def holds(folder: Path, text: str) -> bool:
    """Whether any file below the folder has the text, in the clear or in a column of a Parquet file."""
    for path in folder.rglob("*"):
        if path.is_file() and text.encode() in path.read_bytes():
            return True
        if (
            path.suffix == ".parquet"
            and "_delta_log" not in path.parts
            and text in str(pq.read_table(path).to_pylist())
        ):
            return True
    return False


def test_what_was_added_is_read_back_in_order(tmp_path: Path) -> None:
    record = DeltaRecord(str(tmp_path / "events"))
    assert record.last() == 0 and seqs(record) == []
    record.append([row(1), row(2, type="checkout"), row(4, schema_version="2-0-0")])
    assert record.last() == 4 and seqs(record) == [1, 2, 4]
    assert seqs(record, Span(1, 4)) == [2, 4] and seqs(record, Span(0, 3)) == [1, 2]
    assert seqs(record, Span(0, 9, types=("checkout",))) == [2]
    assert seqs(record, Span(0, 9, versions=("2-0-0",))) == [4]
    assert seqs(record, Span(0, 9, since=BEGAN + 2_000, until=BEGAN + 4_000)) == [2]
    assert [found.seq for found in record.rows(ALL, 2)] == [1, 2]
    consent = EventConsent((("advertising", "granted"),), "GDPR", "consent")
    full = row(9, consent=consent, purposes=("advertising",), granularity="person", flags=("late",), signals='{"a":1}')
    record.append([full])
    assert record.rows(Span(4, 9), 5) == [full] and record.rows(ALL, 1) == [row(1)]
    assert record.held().events == 4 and record.count(Span(1, 4)) == 2


def test_nothing_is_added_twice(tmp_path: Path) -> None:
    one, other = DeltaRecord(str(tmp_path / "events")), DeltaRecord(str(tmp_path / "events"))
    assert other.last() == 0
    assert one.append(rows(1, 5)) == 5
    assert other.append(rows(1, 5)) == 0 and other.append(rows(4, 7)) == 2
    assert seqs(one) == [1, 2, 3, 4, 5, 6, 7] and one.last() == 7
    assert one.append([row(6, digest="of another history"), row(8)]) == 2, "the graph was restored from a backup"


def test_a_writer_that_was_away_writes_nothing(tmp_path: Path) -> None:
    """It had read the table before the other wrote: the version it stands on is no longer the newest."""
    one, away = DeltaRecord(str(tmp_path / "events")), DeltaRecord(str(tmp_path / "events"))
    one.append(rows(1, 5))
    stale = away._table()
    one.append(rows(6, 9))
    away._table = lambda: stale  # type: ignore[method-assign]
    for act in (lambda: away.append(rows(6, 9)), lambda: away.remove([2]), away.purge):
        with pytest.raises(AnotherWriter):
            act()
    assert seqs(one) == list(range(1, 10))


def test_statistics_say_nothing_of_a_person(tmp_path: Path) -> None:
    record = DeltaRecord(str(tmp_path / "events"))
    record.append(rows(1, 5, "somebody-in-particular"))
    record.append(rows(6, 9, "somebody-in-particular"))
    record.remove([7])
    record.tidy()
    for path in (tmp_path / "events").rglob("*.parquet"):
        footer = pq.ParquetFile(path).metadata
        groups = [footer.row_group(g) for g in range(footer.num_row_groups)]
        columns = [group.column(c) for group in groups for c in range(footer.num_columns)]
        counted = {c.path_in_schema for c in columns if c.statistics is not None and c.statistics.has_min_max}
        assert counted <= set(COUNTED)
    logs = "".join(path.read_text() for path in (tmp_path / "events" / "_delta_log").glob("*.json"))
    assert "somebody-in-particular" not in logs and "evt-" not in logs and "c-7" not in logs


def test_what_is_removed_is_in_no_file_of_any_version(tmp_path: Path) -> None:
    record = DeltaRecord(str(tmp_path / "events"))
    record.append(rows(1, 5, "erased-one"))
    record.append(rows(6, 9, "kept-one"))
    record.append(rows(10, 12, "erased-one"))
    record.tidy()
    found = record.seqs_naming(lambda name: name == "crm_id:erased-one", below=11)
    assert sorted(found) == [1, 2, 3, 4, 5, 10]
    assert record.remove(found) == 6
    assert holds(tmp_path, "c-3"), "an older version still has it"
    record.purge()
    assert not holds(tmp_path, "c-3") and seqs(record) == [6, 7, 8, 9, 11, 12]
    assert holds(tmp_path, "kept-one") and holds(tmp_path, "erased-one"), "what came after stays"


def test_a_file_of_a_writer_that_crashed_goes_too(tmp_path: Path) -> None:
    record = DeltaRecord(str(tmp_path / "events"))
    record.append(rows(1, 3))
    written = next((tmp_path / "events").rglob("*.parquet"))
    written.with_name("part-of-a-crash.parquet").write_bytes(written.read_bytes())
    record.purge()
    assert not list((tmp_path / "events").rglob("part-of-a-crash.parquet")) and seqs(record) == [1, 2, 3]


def test_retention_takes_out_what_is_old_under_its_terms(tmp_path: Path) -> None:
    record = DeltaRecord(str(tmp_path / "events"))
    old = {"occurred_at": BEGAN - 30 * DAY}
    record.append([row(1), row(2, **old), row(3, retention="short", **old), row(4, retention="dropped", **old), row(5)])
    assert record.expire(["short"], BEGAN - 31 * DAY) == 0
    assert record.expire(["short"], BEGAN - 29 * DAY) == 1
    assert record.expire(["short"], BEGAN - 29 * DAY, all_others=True) == 2
    assert seqs(record) == [1, 5]


def test_small_files_become_one(tmp_path: Path) -> None:
    record = DeltaRecord(str(tmp_path / "events"))
    for seq in range(1, 9):
        record.append(rows(seq, seq))
    assert record.held().files == 8
    record.tidy()
    assert record.held()[:2] == (8, 1) and seqs(record) == list(range(1, 9))
    record.append(rows(9, 9))
    assert record.last() == 9

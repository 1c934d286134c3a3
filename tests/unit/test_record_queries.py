"""The queries of docs/record.md, run as they stand there; and the record on object storage."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable

from service.commands.record_ports import AnotherWriter, Span
from service.model.events import CanonicalEvent, EventConsent
from service.record.layout import moment
from service.record.table import DeltaRecord
from tests.unit.test_record_table import BEGAN, row, rows

PAGE = (Path(__file__).parents[2] / "docs" / "record.md").read_text()
QUERIES = {found[0]: found[1] for found in re.findall(r"```sql\n-- (\w+)[^\n]*\n(.*?)```", PAGE, re.DOTALL)}


def of(seq: int, visitor: str, kind: str, **more: Any) -> CanonicalEvent:
    return replace(row(seq, visitor), type=kind, **more)


GRANTED = EventConsent((("advertising", "granted"),), "GDPR")
DENIED = EventConsent((("advertising", "denied"),), "GDPR")
EVENTS = [
    of(1, "anna", "product_view", consent=GRANTED, purposes=("advertising", "analytics")),
    of(2, "anna", "add_to_cart", consent=GRANTED, purposes=("advertising", "analytics")),
    of(3, "ben", "checkout", consent=DENIED, purposes=("analytics",), flags=("late",)),
    of(4, "anna", "checkout", consent=GRANTED, purposes=("advertising", "analytics")),
    of(5, "ben", "product_view", consent=DENIED, purposes=("analytics",)),
    of(6, "ben", "add_to_cart", purposes=("analytics",)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("record") / "events")
    DeltaRecord(folder).append(EVENTS)
    return folder


def ask(folder: str, name: str, **given: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("events", DeltaTable(folder).to_pyarrow_dataset())
        return connection.execute(QUERIES[name], given or None).fetchall()


def test_events_of_a_profile_as_of_a_time(folder: str) -> None:
    asked = {"identifiers": ["crm_id:anna", "cookie_id:c-9"], "as_of": moment(BEGAN + 3_000)}
    assert [found[0] for found in ask(folder, "events_of_profile", **asked)] == [1, 2]


def test_the_funnel_counts_steps_in_their_order(folder: str) -> None:
    span = {"since": moment(BEGAN), "until": moment(BEGAN + 60_000)}
    assert ask(folder, "funnel", **span) == [(2, 2, 1)]


def test_counts_by_consent(folder: str) -> None:
    found = ask(folder, "by_consent", purpose="advertising")
    assert ("checkout", "GDPR", "denied", 1) in found and ("add_to_cart", "none", "unknown", 1) in found
    assert sum(line[-1] for line in found) == len(EVENTS)
    usable = ask(folder, "usable", purpose="advertising")
    assert sum(line[2] for line in usable) == 3 and {line[3] for line in usable} == {1}
    assert sum(line[-1] for line in ask(folder, "lateness")) == 1


def test_every_query_of_the_page_is_run_here() -> None:
    assert set(QUERIES) == {"events_of_profile", "funnel", "by_consent", "usable", "lateness"}


# ---- object storage


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import boto3
        from moto.server import ThreadedMotoServer

        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        given = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
        for name, value in {**given, "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true"}.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        client.create_bucket(Bucket="record")
        yield "record"
        client.close()
        server.stop()


def test_the_record_on_object_storage(bucket: str) -> None:
    one, other = DeltaRecord(f"s3://{bucket}/events"), DeltaRecord(f"s3://{bucket}/events")
    one.append(rows(1, 5))
    stale = other._table()
    one.append(rows(6, 8))
    away = DeltaRecord(f"s3://{bucket}/events")
    away._table = lambda: stale  # type: ignore[method-assign]
    with pytest.raises(AnotherWriter):
        away.append(rows(6, 8))
    assert one.remove([2, 3]) == 2
    one.purge()
    one.tidy()
    assert [event.seq for event in other.rows(Span(0, 99), 99)] == [1, 4, 5, 6, 7, 8] and other.last() == 8

"""Files as they come: columns and their map, three formats, rows as the API would read them, what is refused."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from service.api.body import parse_json
from service.api.items import consent_item, link_item
from service.commands.terms import Terms
from service.control.link_ids import link_ids_under
from service.control.policy_document import compile_policy
from service.errors import StartRefused
from service.model.changes import ObserveLink, RecordConsent, Revoke
from service.model.times import parse_rfc3339, rfc3339
from service.volume.columns import CONSENT_FIELDS, LINK_FIELDS, Columns, load_columns
from service.volume.items import ConsentRows, ItemReader, LinkRows
from service.volume.rows import Broken, Rows, format_of

POLICY = compile_policy(
    orjson.loads((Path(__file__).parents[2] / "service" / "policies" / "default.json").read_bytes()), 1
)
NOW = parse_rfc3339("2026-06-01T00:00:00Z")
TERMS = Terms(lambda: POLICY, link_ids_under(b"a key of thirty-two bytes in all"), lambda: NOW)
ROW: dict[str, Any] = {
    "a_namespace": "crm_id",
    "a_value": "c-1",
    "b_namespace": "device_id",
    "b_value": "d-1",
    "method": "deterministic",
    "confidence": "0.9",
    "source": "crm",
    "rule": "r",
    "rule_version": "1",
    "observed_at": "2026-05-01T10:00:00Z",
}


def flat(**more: Any) -> list[Any]:
    return [(ROW | more).get(name) for name in LINK_FIELDS]


def links(columns: Columns | None = None) -> LinkRows:
    return LinkRows(columns or Columns(), TERMS, link_item, NOW)


def read_line(line: bytes) -> object:
    return parse_json(line, "application/json", limit_bytes=len(line))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# ---- columns


def test_without_a_map_columns_have_the_fields_names() -> None:
    assert load_columns(None, None) == Columns()
    assert Columns().chosen(["b_value", "other", "a_value"]) == {"a_value": "a_value", "b_value": "b_value"}


def test_a_map_renames_fills_in_and_says_what_is_plain(tmp_path: Path) -> None:
    told = {"columns": {"b_value": "email"}, "constants": {"b_namespace": "email_sha256"}, "plain": ["b"]}
    found = load_columns(write(tmp_path / "map.json", orjson.dumps(told).decode()), None)
    assert found.chosen(["a_value", "email", "b_namespace"]) == {"a_value": "a_value", "b_value": "email"}
    assert found.plain == {"b"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "must be an object"),
        ("{", "not JSON"),
        ('{"unknown": 1}', "must be an object"),
        ('{"columns": {"nobody": "x"}}', "names a field"),
        ('{"columns": 3}', "must be an object of texts"),
        ('{"plain": ["c"]}', "lists ends"),
        ('{"delimiter": ";;"}', "one character"),
        ('{"kind": "people"}', "--kind"),
    ],
)
def test_a_map_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(StartRefused, match=says) as refused:
        load_columns(write(tmp_path / "map.json", text), None)
    assert "\n" not in refused.value.detail


def test_a_map_names_columns_that_are_there() -> None:
    with pytest.raises(StartRefused, match="does not have: nowhere"):
        Columns(columns={"a_value": "nowhere"}).chosen(["a_value"])


# ---- formats


def test_formats_go_by_the_ending() -> None:
    assert format_of(Path("a.CSV")) == "csv"
    assert format_of(Path("a.jsonl.gz")) == "ndjson"
    assert format_of(Path("a.parquet")) == "parquet"
    with pytest.raises(StartRefused):
        format_of(Path("a.xlsx"))


def test_csv_with_quotes_empty_cells_and_lines_that_are_no_rows(tmp_path: Path) -> None:
    text = 'b_value,a_value,more\n"x,1",y,\n1,2,3,4\n"a ""b""",,2\n'
    rows = Rows(write(tmp_path / "a.csv", text), Columns(constants={"source": "it's"}))
    at = {name: index for index, name in enumerate(LINK_FIELDS)}
    found = [row for _, row in rows.read(0)]
    assert [(row[at["a_value"]], row[at["b_value"]], row[at["source"]]) for row in found] == [
        ("y", "x,1", "it's"),
        (None, 'a "b"', "it's"),
    ]
    assert rows.broken() == [Broken(3, "is no row: too many columns")]
    assert rows.count() == 2
    assert list(Rows(tmp_path / "a.csv", Columns()).read(1)) == [(2, (*found[1][:6], None, *found[1][7:]))]


def test_other_delimiters(tmp_path: Path) -> None:
    for name, columns in (("a.csv", Columns(delimiter=";")), ("b.tsv", Columns())):
        mark = columns.delimiter if name == "a.csv" else "\t"
        ((_, row),) = Rows(write(tmp_path / name, f"a_value{mark}b_value\n1{mark}2\n"), columns).read(0)
        assert row[1] == "1"
        assert row[3] == "2"


def test_parquet_times_in_any_type(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    duckdb.connect().execute(
        "COPY (SELECT 'c' AS a_value, 0.5::FLOAT AS confidence, TIMESTAMP '2026-05-01 10:00:00' AS observed_at, "
        f"1777629600000::BIGINT AS expires_at) TO '{path}' (FORMAT parquet)"
    )
    ((_, row),) = Rows(path, Columns()).read(0)
    found = dict(zip(LINK_FIELDS, row, strict=True))
    at = parse_rfc3339("2026-05-01T10:00:00Z")
    assert (found["confidence"], found["observed_at"], found["expires_at"]) == (0.5, at, at)
    assert Rows(path, Columns()).count() == 1


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.ndjson", "b.csv"])
def test_a_file_that_is_not_what_it_says(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "b.csv":
        path.write_text("a_value,a_value\n1,2\n")
    elif name == "a.parquet":
        path.write_bytes(b"certainly not")
    with pytest.raises(StartRefused) as refused:
        list(Rows(path, Columns()).read(0))
    assert "\n" not in refused.value.detail


def test_many_rows_come_in_order(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    with path.open("w") as file:
        csv.writer(file).writerows([["a_value"], *([f"c-{number}"] for number in range(10_000))])
    rows = Rows(path, Columns())
    assert [(n, row[1]) for n, row in rows.read(2_500)] == [(n + 1, f"c-{n}") for n in range(2_500, 10_000)]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_links_of_one_neighbourhood_follow_each_other(tmp_path: Path, ending: str) -> None:
    pairs = ["ab", "cd", "ef", "be", "gh", "dc", "xg"]
    path = tmp_path / f"links.{ending}"
    text = "a_namespace,a_value,b_namespace,b_value\n" + "".join(f"n,{a},n,{b}\n" for a, b in pairs)
    csv_path = write(tmp_path / "links.csv", text)
    if ending == "parquet":
        duckdb.connect().execute(f"COPY (SELECT * FROM read_csv('{csv_path}')) TO '{path}'")
    found = [(number, row[1] + row[3]) for number, row in Rows(path, Columns()).read(0, gathered=True)]
    assert found == [(1, "ab"), (3, "ef"), (4, "be"), (2, "cd"), (6, "dc"), (5, "gh"), (7, "xg")]
    assert [n for n, _ in Rows(path, Columns()).read(3, gathered=True)] == [2, 6, 5, 7]


# ---- rows as the API reads them


def test_a_row_is_the_link_that_the_api_would_read() -> None:
    item = {
        "a": {"namespace": "crm_id", "value": "c-1"},
        "b": {"namespace": "device_id", "value": "d-1"},
        "method": "deterministic", "confidence": 0.9, "source": "crm", "rule": "r", "rule_version": "1",
        "observed_at": "2026-05-01T10:00:00Z",
    }  # fmt: skip
    reading = links()
    wanted = link_item(item, TERMS)
    assert isinstance(wanted, ObserveLink)
    assert reading.flat(flat()) == wanted
    assert reading.flat(flat()) == wanted, "the second time it is read by what is known of its labels"


def test_a_link_without_a_time_counts_from_the_beginning_of_the_import() -> None:
    reading = links()
    for _ in range(2):
        found = reading.flat(flat(observed_at=None))
        assert isinstance(found, ObserveLink)
        assert found.observed_at == NOW


ODD = {
    "a_namespace": ["crm_id", "email_sha256", "household_id", "nowhere", None, ""],
    "a_value": ["c-1", "d-1", " c-1 ", "null", "", None, "x" * 600, "a\x00", "\u200b", "ab" * 32, 7, "Ä"],
    "b_namespace": ["device_id", "email_sha256", "crm_id"],
    "b_value": ["d-1", "c-1", "AB" * 32, "Tom@Example.org", "0"],
    "method": ["deterministic", "probabilistic", "certain", None],
    "confidence": ["0.9", "1", "2", "x", None, 0.5],
    "source": ["crm", "web", "", None, "x" * 200],
    "rule": ["r", None],
    "rule_version": ["1", None],
    "observed_at": ["2026-05-01T10:00:00Z", "2026-05-01", NOW, NOW + 10**9, None, "2027-01-01T00:00:00Z", "0000-00-00"],
    "expires_at": [None, "2026-07-01T10:00:00+02:00", 5, "soon"],
    "evidence": [None, None, '{"event_id": "e"}', "[]", "text"],
}


@pytest.mark.parametrize("plain", [frozenset[str](), frozenset({"b"}), frozenset({"a", "b"})])
def test_quick_reading_says_what_slow_reading_says(plain: frozenset[str]) -> None:
    """A reader that knows many labels already reads every row as one that knows none."""
    chance = random.Random(11)
    columns = Columns(plain=plain)
    knowing = links(columns)
    usual = flat(**{f"{end}_namespace": "email_sha256" for end in plain})
    sound = 0
    for _ in range(4_000):
        row = [chance.choice(ODD[name]) if chance.random() < 0.2 else usual[i] for i, name in enumerate(LINK_FIELDS)]
        found = knowing.flat(row)
        assert found == links(columns).flat(row)
        sound += isinstance(found, ObserveLink)
    assert sound > 100


def test_what_is_refused_names_no_value() -> None:
    refused = links().flat(flat(a_value="null", b_namespace="nowhere"))
    assert isinstance(refused, tuple)
    assert [error.pointer for error in refused] == ["/a/value"]
    assert "null" not in str(refused)


def test_ndjson_takes_the_apis_shape_and_flat_ones() -> None:
    reader = ItemReader(links(), LINK_FIELDS, read_line)
    nested = {
        "a": {"namespace": "crm_id", "value": "c-1"},
        "b": {"namespace": "device_id", "value": "d-1"},
        "method": "deterministic",
        "source": "crm",
        "rule": "r",
        "observed_at": rfc3339(NOW),
    }
    found = reader.read(orjson.dumps(nested).decode())
    assert isinstance(found, ObserveLink)
    assert reader.read(orjson.dumps({k: v for k, v in ROW.items() if v is not None}).decode()) == links().flat(flat())
    assert reader.read("   ") is None
    for wrong in ('{"a": 1, "a": 2}', "{", "7", '{"source": "crm", "unknown": 1}', '{"a_value": {"x": []}}'):
        refused = reader.read(wrong)
        assert isinstance(refused, tuple) and not isinstance(refused, ObserveLink), wrong


def test_consents_and_revocations() -> None:
    reading = ConsentRows(Columns("consents", plain=frozenset({"identifier"})), TERMS, consent_item, NOW)

    def row(**told: str) -> list[Any]:
        base = {"namespace": "email_sha256", "value": "Tom@Example.org", "source": "cmp"}
        return [(base | told).get(name) for name in CONSENT_FIELDS]

    found = reading.flat(row(purpose="advertising", state="denied", at="2026-05-01T10:00:00Z"))
    assert isinstance(found, RecordConsent)
    assert found.states == (("advertising", "denied"),)
    revoked = reading.flat(row(scope="purposes", purpose="advertising", reason="asked"))
    assert isinstance(revoked, Revoke)
    assert (revoked.purposes, revoked.at, revoked.identifier) == (("advertising",), NOW, found.identifier)
    assert isinstance(reading.flat(row(scope="linking")), Revoke)
    assert not isinstance(reading.flat(row(purpose="nothing", state="denied")), RecordConsent)
    assert not isinstance(reading.flat(row(state="denied")), RecordConsent)

"""RFC 3339 times and ISO 8601 durations, in and out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.times import parse_duration, parse_rfc3339, rfc3339

FIRST, LAST = -62_135_596_800_000, 253_402_300_799_999  # year 1 to year 9999


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.001Z", 1),
        ("1970-01-01t00:00:00.5z", 500),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.250Z", -750),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1970-01-01T00:00:01.9999Z", 1_999),
        ("1970-01-01T00:00:01.123456789Z", 1_123),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("2016-12-31T23:59:60Z", 1_483_228_799_000),
        ("2016-12-31T23:59:60.500Z", 1_483_228_799_500),
        ("9999-12-31T23:59:59.999Z", LAST),
    ],
)
def test_reads(text: str, at: int) -> None:
    assert parse_rfc3339(text) == at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-01-01",
        "2024-01-01T00:00:00",
        "2024-01-01 00:00:00Z",
        "2024-01-01T00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:00:61Z",
        "2024-13-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00,5Z",
        "2024-01-01T00:00:00.1234567890Z",
        "2024-01-01T00:00:00+0100",
        "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00Z\n",
        " 2024-01-01T00:00:00Z",
        "२०२४-01-01T00:00:00Z",
        "1704067200",
        "20240101T000000Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_refuses_what_is_not_rfc_3339_or_not_a_day_or_cannot_be_written_back(text: str) -> None:
    with pytest.raises(ValueError):
        parse_rfc3339(text)


@given(st.integers(FIRST, LAST))
def test_what_is_written_is_read_back_to_the_millisecond(at: int) -> None:
    assert parse_rfc3339(rfc3339(at)) == at


@given(st.integers(FIRST, LAST), st.integers(FIRST, LAST))
def test_written_times_sort_as_the_times_do(a: int, b: int) -> None:
    assert (rfc3339(a) < rfc3339(b)) == (a < b)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("P1D", 86_400_000),
        ("PT24H", 86_400_000),
        ("P1W2DT3H4M5S", 788_645_000),
        ("PT0S", 0),
        ("P390D", 33_696_000_000),
        ("PT90M", 5_400_000),
    ],
)
def test_durations(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1DT", "P1Y", "P1M", "1D", "P-1D", "P1.5D", "p1d", "P1D ", "PT1H1D", "P1D\n"]
)
def test_refuses_other_durations(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)

"""JSON at the door."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.body import DEPTH_MAX, parse_json
from service.api.values import refuse_personal
from service.errors import BodyTooLarge, FabricError, MalformedJson, PersonalValueInUrl, UnsupportedMedia

text = st.text(st.characters(exclude_categories=["Cs"]))
ordinary = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=30,
)


def parse(raw: bytes, content_type: str | None = "application/json") -> object:
    return parse_json(raw, content_type, limit_bytes=1_000_000)


@given(ordinary, st.booleans(), st.sampled_from([None, 2]))
def test_ordinary_json_comes_back_as_it_was(value: object, ascii_only: bool, indent: int | None) -> None:
    written = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    read = parse(written)
    assert read == value
    assert json.dumps(read) == json.dumps(value)


@given(st.binary())
def test_any_bytes_are_read_or_refused_as_malformed(raw: bytes) -> None:
    try:
        parse(raw)
    except MalformedJson as refused:
        assert refused.__cause__ is None
        assert refused.__suppress_context__ or refused.__context__ is None


@given(st.text(st.sampled_from('[]{}":,\\ud8019eE+-.aN \n')))
def test_any_near_json_is_read_as_the_standard_library_does_or_refused(written: str) -> None:
    try:
        read = parse(written.encode())
    except MalformedJson:
        return
    assert json.dumps(json.loads(written)) == json.dumps(read)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b'{"a": 1} x',
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b'{"a": 1, "a": 1}',
        b'{"x": [{"a": {}, "\\u0061": 2}]}',
        b"9223372036854775808",
        b"-9223372036854775809",
        b'{"n": ' + b"9" * 10_000 + b"}",
        b"1e400",
        b"[-1e999]",
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b'["a", {"b": ["\\ud83d \\ude00"]}]',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1),
        b'{"a":' * DEPTH_MAX + b"[]" + b"}" * DEPTH_MAX,
        b"'a'",
        b'"\x01"',
        b"01",
        b"[1,]",
        "[\uff11]".encode(),
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_what_two_readers_might_read_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedJson):
        parse(raw)


def test_the_edges_are_inside() -> None:
    assert parse(b"9223372036854775807") == 2**63 - 1
    assert parse(b"-9223372036854775808") == -(2**63)
    assert parse(b'"\\ud83d\\ude00"') == "\U0001f600"
    assert parse(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX)
    assert parse(b'["' + b"[" * 100 + b'"]') == ["[" * 100]
    assert parse(b"1e308") == 1e308


def test_a_refusal_repeats_nothing() -> None:
    for raw in (b'{"jane": 1, "jane": 2}', b'{"jane', b'["jane", 1e999]', b'["jane\\ud800"]', b'"jane\xff"'):
        with pytest.raises(MalformedJson) as refused:
            parse(raw)
        assert "jane" not in str(refused.value)


@pytest.mark.parametrize(
    "kind", ["application/json; charset=UTF-8", "Application/JSON", "application/cloudevents+json"]
)
def test_media_types_taken(kind: str) -> None:
    assert parse(b"{}", kind) == {}
    assert parse(b"{}", kind + ' ; charset="utf-8"') == {}


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/plain",
        "application/jsonx",
        "text/json+json",
        "application/json; charset=latin-1",
        "application/+json",
    ],
)
def test_media_types_refused(kind: str | None) -> None:
    with pytest.raises(UnsupportedMedia):
        parse(b"{}", kind)


def test_over_the_limit() -> None:
    with pytest.raises(BodyTooLarge):
        parse_json(b'"' + b"x" * 10 + b'"', "application/json", limit_bytes=11)


# ---- values


@pytest.mark.parametrize("value", ["jane@example.com", " Jane.Doe@Example.com ", "a@b", "x jane\uff20example.com"])
def test_an_address_is_refused_for_every_namespace(value: str) -> None:
    for hashed in (True, False):
        with pytest.raises(PersonalValueInUrl):
            refuse_personal(hashed, value)


@pytest.mark.parametrize("value", ["+31612345678", "0031 6 1234 5678", "(020) 123-4567", "06.12.34.56.78", "1234567"])
def test_a_phone_number_is_refused_where_a_digest_is_expected(value: str) -> None:
    refuse_personal(False, value)
    with pytest.raises(PersonalValueInUrl):
        refuse_personal(True, value)


@pytest.mark.parametrize(
    "value", ["c-1001", "ab" * 32, "123456", "@", "a @ b", "1" * 16, "", "2f0b7c1e-0000-4000-8000-1234567890ab"]
)
def test_what_is_neither_passes(value: str) -> None:
    refuse_personal(True, value)
    refuse_personal(False, value)


def test_all_refusals_are_of_one_tree() -> None:
    assert issubclass(PersonalValueInUrl, FabricError)

"""Encodings: small, keyed, readable by nobody, and compared to levels."""

from __future__ import annotations

import pytest

from service.matching.compare import levels, stack
from service.matching.encode import Encoded, Encoder
from service.matching.fields import FIELDS, LEVELS, normalise
from tests.unit.matching_people import ENCODER, PERSON, but, encoded

BYTES_MAX = 600


def level(field: str, a: str, b: str) -> str:
    pair = levels(stack([encoded(but(PERSON, **{field: a}))]), stack([encoded(but(PERSON, **{field: b}))]))
    return LEVELS[pair[0, FIELDS.index(field)]]


@pytest.mark.parametrize(
    ("field", "a", "b", "expected"),
    [
        ("given_name", "Katherine", "katherine", "equal"),
        ("given_name", "Katherine", "Kathrine", "close"),
        ("given_name", "Katherine", "Kate", "close"),
        ("given_name", "Anna", "Anna Maria", "close"),
        ("given_name", "Katherine", "K", "similar"),
        ("given_name", "K", "K.", "similar"),
        ("given_name", "Katherine", "Wolfgang", "different"),
        ("family_name", "Schmidt", "Schmidt-Meier", "close"),
        ("family_name", "Schmidt", "Schmitz", "similar"),
        ("birth_date", "1958-03-14", "1958-03-15", "close"),
        ("birth_date", "1958-03-12", "1958-12-03", "close"),
        ("birth_date", "1958-03-14", "1985-03-14", "close"),
        ("birth_date", "1958-03-14", "1971-03-14", "similar"),
        ("birth_date", "1958-03-14", "1977-11-02", "different"),
        ("house_number", "121", "122", "close"),
        ("house_number", "12", "12a", "close"),
        ("house_number", "121", "9", "different"),
        ("street", "Lantorwal Street", "Lantorwal St", "equal"),
        ("street", "Lantorwal Street", "Lantorwal Road", "close"),
        ("postcode", "3053", "3035", "close"),
        ("postcode", "3053", "3099", "similar"),
        ("postcode", "3053", "7214", "different"),
        ("country", "AU", "Australia", "equal"),
        ("phone", "+61412345678", "0412345678", "equal"),
        ("phone", "+61412345678", "+61412345679", "close"),
        ("email", "ada.lovelace@a.example", "ada.lovelace@b.example", "close"),
        ("email", "ada.lovelace@a.example", "", "missing"),
    ],
)
def test_levels(field: str, a: str, b: str, expected: str) -> None:
    assert level(field, a, b) == expected
    assert level(field, b, a) == expected


def test_swapped_names_are_close() -> None:
    swapped = but(PERSON, given_name=PERSON["family_name"], family_name=PERSON["given_name"])
    found = levels(stack([encoded(PERSON)]), stack([encoded(swapped)]))[0]
    assert [LEVELS[found[FIELDS.index(name)]] for name in ("given_name", "family_name")] == ["close", "close"]


def test_an_encoding_is_small_and_comes_back() -> None:
    one = encoded(PERSON)
    assert len(one.to_bytes()) <= BYTES_MAX
    assert Encoded.from_bytes(one.to_bytes()) == one
    assert one.fields == FIELDS
    assert encoded({"city": "Perth"}).fields == ("city",)
    for broken in (b"", one.to_bytes()[:50], b"\7" + one.to_bytes()[1:]):
        with pytest.raises(ValueError, match="encoding"):
            Encoded.from_bytes(broken)


def test_no_value_can_be_read_in_it_and_another_key_gives_another() -> None:
    kept = encoded(PERSON).to_bytes()
    for value in normalise(PERSON).values.values():
        assert len(value) < 4 or value.encode() not in kept
    other = Encoder(b"another key of a deployment").encode(normalise(PERSON))
    assert not set(other.keys) & set(encoded(PERSON).keys)
    assert other.code[2:106] != encoded(PERSON).code[2:106]
    assert ENCODER.encode(normalise(PERSON)) == encoded(PERSON)


def test_plain_values_are_kept_only_where_the_policy_says_so_and_compare_the_same() -> None:
    plain = Encoder(bytes(range(32)), keep="plain").encode(normalise(PERSON))
    assert Encoded.from_bytes(plain.to_bytes()).plain == dict(normalise(PERSON).values)
    assert (plain.code, plain.keys) == (encoded(PERSON).code, encoded(PERSON).keys)


def test_keys_are_checked_and_versions_kept_apart() -> None:
    with pytest.raises(ValueError, match="at least"):
        Encoder(b"short")
    with pytest.raises(ValueError, match="version"):
        Encoder(bytes(32), version=70_000)
    with pytest.raises(ValueError, match="different keys"):
        stack([encoded(PERSON), Encoder(bytes(32), version=2).encode(normalise(PERSON))])


@pytest.mark.parametrize(
    "changed",
    [
        but(PERSON, family_name="Baldrofenhal"),
        but(PERSON, "email", "phone"),
        but(PERSON, birth_date="1958-03-15"),
        but(PERSON, given_name=PERSON["family_name"], family_name=PERSON["given_name"]),
        but(PERSON, "given_name", "birth_date"),
        but(PERSON, house_number="7", street="Elm Road", suburb="Torul", postcode="6001", city="Zimver"),
        but(PERSON, "email", "phone", "postcode", "family_name", given_name="Kate"),
    ],
)
def test_a_record_shares_a_blocking_key_with_its_variations(changed: dict[str, str]) -> None:
    assert set(encoded(PERSON).keys) & set(encoded(changed).keys)

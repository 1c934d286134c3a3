"""Records in one spelling: scripts, titles, layouts of dates, addresses in one line, phones, and junk."""

from __future__ import annotations

import pytest

from service.matching.fields import FIELDS, normalise
from service.matching.names import root_of
from tests.unit.matching_people import PERSON


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("given_name", "  Anna-Maria ", "anna maria"),
        ("given_name", "Dr. José", "jose"),
        ("given_name", "Мария", "mariya"),
        ("given_name", "K.", "k"),
        ("family_name", "O'Brien", "obrien"),
        ("family_name", "O\u2019Brien", "obrien"),
        ("family_name", "Weiß", "weiss"),
        ("family_name", "van der Berg", "van der berg"),
        ("family_name", "Smith Jr.", "smith"),
        ("birth_date", "1948-05-17", "19480517"),
        ("birth_date", "19480517", "19480517"),
        ("birth_date", "1948/5/7", "19480507"),
        ("birth_date", "17.05.1948", "19480517"),
        ("birth_date", "05/17/1948", "19480517"),
        ("birth_date", "03/04/1948", "19480403"),
        ("birth_date", "17 May 1948", "19480517"),
        ("birth_date", "May 17, 1948", "19480517"),
        ("birth_date", "1948-13-45", "19481345"),
        ("house_number", "12 A", "12a"),
        ("house_number", "3/12", "12"),
        ("house_number", "12-14", "12"),
        ("house_number", "0012", "12"),
        ("street", "Main St.", "main|street"),
        ("street", "Hauptstraße", "haupt|street"),
        ("street", "Lange Str.", "lange|street"),
        ("postcode", "SW1A 1AA", "sw1a1aa"),
        ("postcode", "03052", "03052"),
        ("country", "Deutschland", "de"),
        ("country", "UK", "gb"),
        ("country", "AU", "au"),
        ("phone", "+61 412 345 678", "61412345678"),
        ("phone", "0061412345678", "61412345678"),
        ("phone", "0412 345 678", "412345678"),
        ("email", " A.B+news@GMail.com ", "ab@gmail.com"),
        ("email", "A.B@example.org", "a.b@example.org"),
    ],
)
def test_a_value_has_one_spelling(field: str, text: str, value: str) -> None:
    assert normalise({field: text}).get(field) == value


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *(
            (name, text)
            for name in ("given_name", "family_name")
            for text in ("test", "N/A", "xxx", "--", "unknown", "")
        ),
        ("birth_date", "1900-01-01"),
        ("birth_date", "1970-01-01"),
        ("birth_date", "0000-00-00"),
        ("birth_date", "soon"),
        ("house_number", "0"),
        ("street", "n/a"),
        ("postcode", "0000"),
        ("postcode", "99999"),
        ("phone", "000000"),
        ("phone", "1234567890"),
        ("phone", "0400 000 000"),
        ("phone", "12"),
        ("email", "n/a"),
        ("email", "noreply@shop.example"),
        ("email", "two words@shop.example"),
        ("city", "12345"),
    ],
)
def test_junk_is_missing(field: str, text: str) -> None:
    assert normalise({field: text}).is_empty


def test_a_phone_is_read_by_the_country() -> None:
    assert normalise({"phone": "0412 345 678", "country": "Australia"}).get("phone") == "61412345678"


def test_an_address_in_one_line_is_split_and_overrides_nothing() -> None:
    line = normalise({"street": "Unit 3, 12a Main St, Carlton 3053"})
    assert dict(line.values) == {
        "house_number": "12a",
        "street": "main|street",
        "suburb": "carlton",
        "postcode": "3053",
    }
    assert normalise({"street": "Hauptstr. 12"}).get("house_number") == "12"
    told = normalise({"street": "12 Main Street", "house_number": "14", "postcode": "3000"})
    assert (told.get("house_number"), told.get("street"), told.get("postcode")) == ("14", "main|street", "3000")


def test_fields_are_those_with_a_value_in_order() -> None:
    assert normalise(PERSON).fields == FIELDS
    assert normalise({"email": "n/a", "city": "Perth", "shoe_size": "9"}).fields == ("city",)


def test_short_forms_have_a_root() -> None:
    assert root_of("kate") == root_of("katherine") == root_of("kathy maria")
    assert root_of("zzyzx") == "zzyzx"

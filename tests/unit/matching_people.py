"""Somebody invented, and variations of them."""

from __future__ import annotations

from service.matching.encode import Encoded, Encoder
from service.matching.fields import normalise

ENCODER = Encoder(bytes(range(32)))
PERSON = {
    "given_name": "Katherine",
    "family_name": "Baldorfenhal",
    "birth_date": "1958-03-14",
    "house_number": "121",
    "street": "Lantorwal Street",
    "suburb": "Morpetkel",
    "postcode": "3053",
    "city": "Holjan",
    "country": "AU",
    "phone": "+61412345678",
    "email": "katherine.baldor7@posteo.example.net",
}


def but(record: dict[str, str], *without: str, **changed: str) -> dict[str, str]:
    """A record without some fields, others changed."""
    return {name: text for name, text in {**record, **changed}.items() if name not in without}


def encoded(record: dict[str, str]) -> Encoded:
    """Under the key of the tests."""
    return ENCODER.encode(normalise(record))

"""Addresses: a small honest rule for what is written in one line, street types and countries in one spelling."""

from __future__ import annotations

import re
from typing import NamedTuple

from service.matching.countries import CODES
from service.matching.text import is_junk, plain

_TYPES = {
    "street": "st str strt strasse straße",
    "road": "rd",
    "avenue": "ave av avn",
    "place": "pl plc",
    "court": "ct crt",
    "drive": "dr drv",
    "crescent": "cres cr crs",
    "close": "cl",
    "lane": "ln la",
    "circuit": "cct cir circ",
    "parade": "pde",
    "terrace": "tce ter terr",
    "square": "sq",
    "highway": "hwy",
    "boulevard": "blvd bvd boul",
    "grove": "gr gve",
    "way": "wy",
    "mount": "mt",
    "gardens": "gdns",
    "parkway": "pkwy",
}
_TYPE_OF = {short: full for full, shorts in _TYPES.items() for short in shorts.split()}
_UNIT = re.compile(
    r"^(?:unit|flat|apt|apartment|suite|ste|level|lot|shop|room|rm|#)\.?\s*#?\d*[a-z]?\b[\s,/]*", re.IGNORECASE
)
_FRONT = re.compile(r"^(?:no\.?\s*)?((?:\d+\s*/\s*)?\d+\s?[a-z]?(?:\s*-\s*\d+)?)[\s,]+(?=\D)", re.IGNORECASE)
_BACK = re.compile(r"^(\D.*?)[\s,]+(\d+\s?[a-z]?)$", re.IGNORECASE)
_MORE_THAN_A_STREET = re.compile(r"[\d,]")
_POSTCODE = re.compile(r"\b([A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}|\d{4,6})\b", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+)\s*([a-z]?)(?![a-z])", re.IGNORECASE)
_JUNK_CODES = frozenset(("1234", "12345", "123456"))


class Address(NamedTuple):
    """What one line held; '' for what it did not. None of it is in its final spelling but `house_number`."""

    house_number: str = ""
    street: str = ""
    place: str = ""
    postcode: str = ""


def split_street(text: str) -> Address:
    """The parts of `12 Main Street`, `Main Street 12`, `Unit 3, 12 Main Street, Carlton 3053`.

    The unit is dropped. The first part with a number, or else the first, is the street; of the rest the last number
    of four to six digits is the postcode, and the first words are the place.
    """
    text = text.strip()
    if not _MORE_THAN_A_STREET.search(text):
        return Address(street=text)
    parts = [part.strip() for part in _UNIT.sub("", text).split(",") if part.strip()]
    if not parts:
        return Address()
    at = next((i for i, part in enumerate(parts) if _FRONT.match(part) or _BACK.match(part)), 0)
    street, rest = parts[at], parts[at + 1 :]
    number = ""
    if (found := _FRONT.match(street)) is not None:
        number, street = found.group(1), street[found.end() :]
    elif (found := _BACK.match(street)) is not None:
        street, number = found.groups()
    codes = [code for part in rest for code in _POSTCODE.findall(part)]
    places = [place for part in rest if (place := _POSTCODE.sub("", part).strip())]
    return Address(house_number_of(number), street, places[0] if places else "", codes[-1] if codes else "")


def street_of(text: str) -> str:
    """A street's words; a known type at the end, in full, stands behind a bar: `main|street`."""
    words = plain(text).split()
    if not words or is_junk(" ".join(words)):
        return ""
    last = words[-1]
    for full in ("strasse", "straat"):  # written in one word where they belong to the name
        if last.endswith(full) and len(last) > len(full):
            return f"{' '.join([*words[:-1], last[: -len(full)]])}|street"
    if last.endswith("str") and len(last) > 5:
        return f"{' '.join([*words[:-1], last[:-3]])}|street"
    kind = _TYPE_OF.get(last, last if last in _TYPES else "")
    if kind and len(words) > 1:
        return f"{' '.join(words[:-1])}|{kind}"
    return " ".join(words)


def house_number_of(text: str) -> str:
    """Digits with at most one letter: `12a` of `12 A`, `12` of `3/12` and of `12-14`; '' for none and for zeros."""
    found = _NUMBER.search(text.rsplit("/", 1)[-1])
    if found is None or not found.group(1).strip("0"):
        return ""
    return (found.group(1).lstrip("0") + found.group(2).lower())[:8]


def postcode_of(text: str) -> str:
    """Letters and digits without blanks; '' for junk: fewer than three, zeros, nines, 12345."""
    code = plain(text).replace(" ", "")[:10]
    if len(code) < 3 or code in _JUNK_CODES or not code.strip("0") or not code.strip("9"):
        return ""
    return code if any(mark.isdigit() for mark in code) else ""


def city_of(text: str) -> str:
    """The words of a place."""
    words = plain(text)
    return "" if is_junk(words) or words.isdigit() else words


def country_of(text: str) -> str:
    """The code of two letters in lower case, or the words where none is known."""
    name = plain(text).replace(" ", "")
    return "" if is_junk(name) else name if len(name) == 2 and name != "uk" else CODES.get(name, name)

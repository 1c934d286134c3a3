"""How far the fields of two encodings agree: levels, for many pairs at once. Symmetric in its two sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from service.matching.encode import BLOOMS, CODE, TOKENS, Encoded
from service.matching.fields import CLOSE, DIFFERENT, EQUAL, FIELDS, MISSING, SIMILAR

Codes = npt.NDArray[Any]  # of CODE, one a record
Levels = npt.NDArray[np.uint8]  # pairs x fields: MISSING to EQUAL
Flags = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]

CLOSE_DICE, SIMILAR_DICE = 0.70, 0.50
_INITIAL_BITS = 2  # a filter of one letter pair
_WORD_BITS_MIN = 8  # a shorter word is part of too many names
_NAMES = ("given_name", "family_name")
_TOKEN = {name: i for i, name in enumerate(TOKENS)}
_BLOOM = {name: i for i, name in enumerate(BLOOMS)}


def stack(records: Sequence[Encoded]) -> Codes:
    """The codes of records as one array. Raises ValueError where their keys are of different versions."""
    if len({record.version for record in records}) > 1:
        raise ValueError("encodings under different keys are not comparable")
    return np.frombuffer(b"".join(record.code for record in records), dtype=CODE)


def levels(a: Codes, b: Codes) -> Levels:
    """Levels of each pair (a[i], b[i]); both of one length."""
    found = np.empty((len(a), len(FIELDS)), dtype=np.uint8)
    present = a["present"] & b["present"]
    for i, name in enumerate(FIELDS):
        compared = _BY_NUMBER[name](a, b) if name in _BY_NUMBER else _texts(a, b, name)
        compared[_same(a, b, name, name)] = EQUAL
        if name in _NAMES:
            compared[_are_initials(a, b, name)] = SIMILAR
        found[:, i] = np.where(present >> np.uint16(i) & 1, compared, MISSING)
    _uncross(found, a, b)
    return found


def _same(a: Codes, b: Codes, left: str, right: str) -> Flags:
    tokens = a["token"][:, _TOKEN[left]]
    found: Flags = (tokens == b["token"][:, _TOKEN[right]]) & (tokens != 0)
    return found


def _are_initials(a: Codes, b: Codes, name: str) -> Flags:
    """Both have no more than the same initial: that is not yet the same name."""
    bits = np.bitwise_count(a["bloom"][:, _BLOOM[name]]).sum(axis=1)
    found: Flags = _same(a, b, name, name) & (bits <= _INITIAL_BITS)
    return found


def _texts(a: Codes, b: Codes, name: str) -> Levels:
    """By the letter pairs in common; equality is not looked at."""
    found = _overlap(a["bloom"][:, _BLOOM[name]], b["bloom"][:, _BLOOM[name]], name in _NAMES)
    if name == "given_name":
        found[_same(a, b, "root", "root")] = CLOSE
    return found


def _overlap(x: Words, y: Words, named: bool) -> Levels:
    """`named`: of two names one may be part of the other, or its initial."""
    common = np.bitwise_count(x & y).sum(axis=1, dtype=np.int64)
    of_x = np.bitwise_count(x).sum(axis=1, dtype=np.int64)
    of_y = np.bitwise_count(y).sum(axis=1, dtype=np.int64)
    twice, both = 2 * common, of_x + of_y
    found = np.full(len(x), DIFFERENT, dtype=np.uint8)
    found[twice >= SIMILAR_DICE * both] = SIMILAR
    found[twice >= CLOSE_DICE * both] = CLOSE
    if named:
        shorter = np.minimum(of_x, of_y)
        within = common == shorter
        found[within & (shorter >= _WORD_BITS_MIN)] = CLOSE
        found[within & (shorter <= _INITIAL_BITS)] = SIMILAR
    return found


def _slips(a: Codes, b: Codes, name: str) -> Flags:
    """Any token of a slip in common."""
    x, y = a[name], b[name]
    found: Flags = ((x == y) & (x != 0)).any(axis=1)
    return found


def _birth(a: Codes, b: Codes) -> Levels:
    found = np.where(_slips(a, b, "parts"), SIMILAR, DIFFERENT).astype(np.uint8)
    found[_slips(a, b, "birth") | _same(a, b, "birth_date", "birth_swapped")] = CLOSE
    return found


def _house(a: Codes, b: Codes) -> Levels:
    return np.where(_slips(a, b, "house"), CLOSE, DIFFERENT).astype(np.uint8)


def _postcode(a: Codes, b: Codes) -> Levels:
    found = np.where((a["region"] == b["region"]) & (a["region"] != 0), SIMILAR, DIFFERENT).astype(np.uint8)
    found[_slips(a, b, "postcode")] = CLOSE
    return found


def _country(a: Codes, b: Codes) -> Levels:
    return np.full(len(a), DIFFERENT, dtype=np.uint8)


def _phone(a: Codes, b: Codes) -> Levels:
    return np.where(_slips(a, b, "phone"), CLOSE, DIFFERENT).astype(np.uint8)


def _uncross(found: Levels, a: Codes, b: Codes) -> None:
    """Swapped names: where both agree better crosswise, they count as close, or as what the worse of them has."""
    given, family = FIELDS.index("given_name"), FIELDS.index("family_name")
    at = np.flatnonzero((found[:, given] <= SIMILAR) & (found[:, family] <= SIMILAR) & (found[:, given] != MISSING))
    at = at[found[at, family] != MISSING]
    if not len(at):
        return
    x, y = a[at], b[at]
    first, last = _BLOOM["given_name"], _BLOOM["family_name"]
    one = _overlap(x["bloom"][:, first], y["bloom"][:, last], False)
    other = _overlap(x["bloom"][:, last], y["bloom"][:, first], False)
    crossed = np.minimum(one, other)
    better = crossed >= CLOSE
    found[at[better], given] = CLOSE
    found[at[better], family] = CLOSE


_BY_NUMBER = {
    "birth_date": _birth,
    "house_number": _house,
    "postcode": _postcode,
    "country": _country,
    "phone": _phone,
}

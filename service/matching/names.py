"""Names of persons: words without titles; short forms of given names lead to one root."""

from __future__ import annotations

from service.matching.nicknames import ROOTS
from service.matching.text import is_junk, plain

_TITLES = """
mr mrs ms miss mx dr prof sir dame rev herr frau hr fr mme mlle don dona sr jr ii iii iv phd md esq dipl ing
"""
_NO_NAME = frozenset(_TITLES.split())
_APOSTROPHES = str.maketrans("", "", "'`\u2019\u02bc")


def name_of(text: str) -> str:
    """The words of a name in order, joined by blanks; '' for junk. An apostrophe joins, a hyphen parts."""
    packed = plain(text if text.isalpha() else text.translate(_APOSTROPHES))
    if not packed or is_junk(packed):
        return ""
    words = packed.split()
    kept = [word for word in words if word not in _NO_NAME and not word.isdigit()] or [
        word for word in words if not word.isdigit()
    ]
    name = " ".join(kept)
    return "" if name != packed and is_junk(name) else name


def root_of(given_name: str) -> str:
    """The name that the first word is short for, or that word. `given_name`: as `name_of` gives it."""
    first = given_name.split(" ", 1)[0]
    return ROOTS.get(first, first)

"""Text in one spelling, and what people and programs write where they have nothing to say."""

from __future__ import annotations

import re

from anyascii import anyascii

_NO_WORD = re.compile(r"[^a-z0-9]+")
_JUNK_WORDS = """
na none null nil nan undefined unknown unbekannt inconnu test testing tester testuser tbd tba todo dummy fake sample
example anonymous anonym anon noname nobody missing empty blank notprovided notavailable notapplicable notgiven notknown
nolastname nofirstname fnu lnu asdf asdfasdf qwerty qwertz abc abcd default private refused withheld deleted redacted
user customer guest
"""
_JUNK = frozenset(_JUNK_WORDS.split())


def plain(text: str) -> str:
    """Latin letters without marks, digits and single blanks, in lower case: other scripts are transliterated."""
    if not text.isascii():
        text = anyascii(text.replace("ß", "ss"))
    lower = text.lower()
    return lower if lower.isalnum() else _NO_WORD.sub(" ", lower).strip()


def is_junk(text: str) -> bool:
    """True for what stands for nothing: `n/a`, `unknown`, `test`, one letter or digit again and again.

    `text`: as `plain` gives it.
    """
    packed = text.replace(" ", "")
    return not packed or packed in _JUNK or (len(packed) > 2 and packed == packed[0] * len(packed))

"""Text of a person, at the door: what may not be in a URL, and what no identifier may hold."""

from __future__ import annotations

import re
from typing import Final

from service.errors import BadValue, PersonalValueInUrl

VALUE_LENGTH_MAX: Final = 512

_AT = "@\uff20\ufe6b"  # also in its wide and small forms
_EMAIL = re.compile(rf"[^\s{_AT}][{_AT}][^\s{_AT}]")
_NOT_PHONE = re.compile(r"[^0-9+().\-/\s]")
_DIGITS_OF_PHONE = range(7, 16)

# Control characters, surrogates, and characters that change how others are shown or can't be seen at all.
_REFUSED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufdd0-\ufdef\ufeff"
    "\ufff9-\ufffb\ud800-\udfff"
    + "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
    + "]"
)


def refuse_personal(namespace_is_hashed: bool, value: str) -> None:
    """Raises PersonalValueInUrl for a value from a path or query that is somebody's plain address or number.

    A plain e-mail address is refused for every namespace. What looks like a phone number is refused only where a digest
    is expected, since a customer number may well be all digits.
    """
    if _EMAIL.search(value):
        raise PersonalValueInUrl
    if namespace_is_hashed and not _NOT_PHONE.search(value):
        digits = sum(c.isdigit() for c in value)
        if digits in _DIGITS_OF_PHONE:
            raise PersonalValueInUrl


def clean(value: str) -> str:
    """The value without blanks around it.

    Raises BadValue when it is empty or over 512 characters, or holds control characters, NUL, lone surrogates,
    non-characters, or invisible ones that reorder or hide text.
    """
    # Blanks only: other separators that `str.strip` takes are control characters, and those are refused.
    value = value.strip(" \t\r\n\u00a0\u3000")
    if not value:
        raise BadValue("must not be empty")
    if len(value) > VALUE_LENGTH_MAX:
        raise BadValue(f"must have at most {VALUE_LENGTH_MAX} characters")
    if not (value.isascii() and value.isprintable()) and _REFUSED.search(value):
        raise BadValue("must not hold control or invisible characters")
    return value

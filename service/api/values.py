"""Text of a person, at the door: what may not be in a URL."""

from __future__ import annotations

import re

from service.errors import PersonalValueInUrl

_AT = "@\uff20\ufe6b"  # also in its wide and small forms
_EMAIL = re.compile(rf"[^\s{_AT}][{_AT}][^\s{_AT}]")
_NOT_PHONE = re.compile(r"[^0-9+().\-/\s]")
_DIGITS_OF_PHONE = range(7, 16)


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

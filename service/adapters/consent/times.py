"""Times as vendors write them → milliseconds since the epoch."""

from __future__ import annotations

import re
from typing import Final

from service.adapters.consent.said import NotUnderstood
from service.model.times import parse_rfc3339

_SECONDS: Final = re.compile(r"[0-9]{1,11}")
_BARE_OFFSET: Final = re.compile(r"[+-][0-9]{4}$")


def of_text(text: str, place: str) -> int:
    """RFC 3339, also with an offset without its colon. Raises NotUnderstood."""
    if _BARE_OFFSET.search(text):
        text = f"{text[:-2]}:{text[-2:]}"
    try:
        return parse_rfc3339(text)
    except ValueError:
        raise NotUnderstood(place, "is not a time with a zone") from None


def of_seconds(value: int | str, place: str) -> int:
    """Whole seconds since 1970, as a number or as its digits. Raises NotUnderstood."""
    if not _SECONDS.fullmatch(str(value)):
        raise NotUnderstood(place, "is not a number of seconds since 1970")
    return int(value) * 1_000

"""RFC 3339 in and out of milliseconds since the epoch, UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_RFC3339 = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d{1,9})?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_DURATION = re.compile(
    r"P(?=.)(?:(\d{1,5})W)?(?:(\d{1,6})D)?(?:T(?=.)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?", re.ASCII
)


@lru_cache(maxsize=16_384)
def rfc3339(at_ms: int) -> str:
    """`2026-11-24T10:00:00.000Z`."""
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC).isoformat()[:-6]}.{at_ms % 1000:03d}Z"


def parse_rfc3339(text: str) -> int:
    """Milliseconds of an RFC 3339 time with an offset; finer digits are cut off. Raises ValueError otherwise."""
    if not _RFC3339.fullmatch(text):
        raise ValueError("not an RFC 3339 time")
    text = text.upper().replace("Z", "+00:00")
    head, fraction, tail = re.fullmatch(r"(.{19})(?:\.(\d+))?(.{6})", text).groups()  # type: ignore[union-attr]
    if head[17:19] == "60":  # a leap second counts as the last one
        head = head[:17] + "59"
    try:
        at = datetime.fromisoformat(head + tail).astimezone(UTC)
    except OverflowError:
        raise ValueError("not a time of the years 1 to 9999, UTC") from None
    return int(at.timestamp()) * 1000 + int(((fraction or "0") + "000")[:3])


def parse_duration(text: str) -> int:
    """Milliseconds of an ISO 8601 duration of weeks, days, hours, minutes, seconds. Raises ValueError otherwise."""
    found = _DURATION.fullmatch(text)
    if not found or not any(found.groups()):
        raise ValueError("not an ISO 8601 duration of weeks to seconds")
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000

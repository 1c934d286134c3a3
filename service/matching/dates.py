"""Birth dates in the layouts that people use, as eight digits."""

from __future__ import annotations

import re

_YEAR_FIRST = re.compile(r"(\d{4})[-/. ]?(\d{1,2})[-/. ]?(\d{1,2})(?:[T ]00:00.*)?")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/. ])\s?(\d{1,2})[-/. ]\s?(\d{4})")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_IN_WORDS = re.compile(
    r"(?:(\d{1,2})(?:st|nd|rd|th)?\.?\s+)?([a-z]{3,9})\.?\s+(?:(\d{1,2})(?:st|nd|rd|th)?,?\s+)?(\d{4})"
)
# What forms and programs fill in: first days of their calendars.
_JUNK = frozenset(("19000101", "18991230", "18991231", "19700101", "00010101", "99991231", "11111111", "19010101"))


def birth_date_of(text: str) -> str:
    """YYYYMMDD, or '' for junk and what is no date. A day that no calendar has is kept: its digits are compared.

    Without a year in front the day comes first, except where only the month can.
    """
    digits = _digits_of(text.strip().lower())
    return "" if digits in _JUNK or len(set(digits)) < 2 or digits[:4] == "0000" else digits


def _digits_of(text: str) -> str:
    if (found := _YEAR_FIRST.fullmatch(text)) is not None:
        year, month, day = found.groups()
        return f"{year}{int(month):02}{int(day):02}"
    if (found := _YEAR_LAST.fullmatch(text)) is not None:
        first, mark, second, year = found.groups()
        day, month = (second, first) if int(second) > 12 >= int(first) and mark != "." else (first, second)
        return f"{year}{int(month):02}{int(day):02}"
    if (found := _IN_WORDS.fullmatch(text)) is not None:
        before, word, after, year = found.groups()
        if word[:3] in _MONTHS and (before or after):
            return f"{year}{_MONTHS.index(word[:3]) + 1:02}{int(before or after):02}"
    return ""

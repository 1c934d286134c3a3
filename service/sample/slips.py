"""Slips of people who type: a mark too few, too many, another, two swapped; day and month swapped."""

from __future__ import annotations

from service.sample.draws import Draws

_LETTERS, _DIGITS = "abcdefghijklmnopqrstuvwxyz", "0123456789"


def slip(draws: Draws, field: str, text: str, share: float) -> str:
    """`text`, with a slip in this share of the calls, and a second one in a fifth of these."""
    if not text or not draws.happens(share) or field == "country":
        return text
    if field == "birth_date":
        return _in_a_date(draws, text)
    once = _typed(draws, field, text)
    return _typed(draws, field, once) if draws.happens(0.2) else once


def _typed(draws: Draws, field: str, text: str) -> str:
    fixed = field in ("postcode", "phone", "house_number")
    marks = _DIGITS if fixed else _LETTERS
    start = 4 if field == "phone" else 0
    if len(text) <= start + 1:
        return text if fixed else text + draws.one_of(marks)
    at = start + draws.below(len(text) - start - 1)
    kind = draws.below(4)
    if kind == 0:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if kind == 1 and not fixed:
        return text[:at] + text[at + 1 :]
    if kind == 2 and not fixed:
        return text[:at] + draws.one_of(marks) + text[at:]
    return text[:at] + draws.one_of(marks) + text[at + 1 :]


def _in_a_date(draws: Draws, text: str) -> str:
    year, month, day = text.split("-")
    kind = draws.below(6)
    if kind == 0 and int(day) <= 12:
        return f"{year}-{day}-{month}"
    if kind == 1:
        return f"{int(year) + draws.below(11) - 5}-{month}-{day}"
    if kind == 2:
        return f"{year}-{1 + draws.below(12):02}-{day}"
    if kind == 3:
        return f"{year}-{month}-{1 + draws.below(28):02}"
    if kind == 4:
        return f"{year[:2]}{year[3]}{year[2]}-{month}-{day}"
    return f"{year}-{month}-{day[0]}{draws.below(9) + 1}"

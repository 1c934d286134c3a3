"""Bit fields in base64url, read to the last bit: what is cut short, too long or of another form is unreadable."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_BITS: Final = {character: f"{value:06b}" for value, character in enumerate(_ALPHABET)}
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
PADDING_BITS_MAX: Final = 23  # encoders fill up to whole bytes and characters, the widest to 24 bits


class SignalUnreadable(ValueError):
    """A signal is not as its format says. The text names the rule, never the signal."""


class Bits:
    """Reads fields one after another. Every method raises SignalUnreadable where there is not enough left."""

    __slots__ = ("_at", "_bits")

    def __init__(self, text: str) -> None:
        """Raises SignalUnreadable for what is no base64url."""
        if not _TEXT.fullmatch(text):
            raise SignalUnreadable("is not base64url")
        self._bits = "".join(map(_BITS.__getitem__, text))
        self._at = 0

    def text(self, width: int) -> str:
        """The next bits as `0` and `1`."""
        end = self._at + width
        if end > len(self._bits):
            raise SignalUnreadable("is cut short")
        found = self._bits[self._at : end]
        self._at = end
        return found

    def number(self, width: int) -> int:
        """The next bits as an unsigned number."""
        return int(self.text(width), 2)

    def flag(self) -> bool:
        """The next bit."""
        return self.text(1) == "1"

    def chosen(self, width: int) -> frozenset[int]:
        """Numbers from 1 whose bits are set."""
        return frozenset(i for i, bit in enumerate(self.text(width), 1) if bit == "1")

    def letters(self, count: int) -> str:
        """Letters of six bits each, A to Z."""
        found = [self.number(6) for _ in range(count)]
        if any(value > 25 for value in found):
            raise SignalUnreadable("has a language or country that is none")
        return "".join(chr(65 + value) for value in found)

    def fibonacci(self) -> int:
        """A number in Fibonacci coding: sums of 1, 2, 3, 5 …, ended by two bits that are set."""
        value, first, second, last = 0, 1, 2, False
        for _ in range(40):
            bit = self.flag()
            if bit and last:
                return value
            value += first if bit else 0
            first, second, last = second, first + second, bit
        raise SignalUnreadable("has a number that does not end")

    def end(self) -> None:
        """Nothing but padding may be left."""
        rest = self._bits[self._at :]
        if len(rest) > PADDING_BITS_MAX or "1" in rest:
            raise SignalUnreadable("goes on after its end")


class Ranges:
    """Ids as ranges, however many they hold."""

    __slots__ = ("_ranges",)

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        """In ascending order, without overlap."""
        self._ranges = tuple(ranges)

    def __contains__(self, wanted: object) -> bool:
        return isinstance(wanted, int) and any(first <= wanted <= last for first, last in self._ranges)

    def ids(self) -> list[int]:
        """All of them."""
        return [i for first, last in self._ranges for i in range(first, last + 1)]


def ranges(bits: Bits, highest: int) -> Ranges:
    """A list of single ids and ranges, 16 bits an id, ascending, none over `highest`. Raises SignalUnreadable."""
    found: list[tuple[int, int]] = []
    last = 0
    for _ in range(bits.number(12)):
        is_range = bits.flag()
        first = bits.number(16)
        end = bits.number(16) if is_range else first
        if not last < first <= end <= highest:
            raise SignalUnreadable("has ids that are not in order")
        found.append((first, end))
        last = end
    return Ranges(found)


def vendors(bits: Bits) -> Ranges:
    """A vendor section: as one bit an id, or as ranges. Raises SignalUnreadable."""
    highest = bits.number(16)
    if bits.flag():
        return ranges(bits, highest)
    return Ranges([(i, i) for i in sorted(bits.chosen(highest))])

"""Draws that look like chance and are the same for one seed on every machine and Python."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """Numbers out of SHA-256 over a seed and a counter."""

    def __init__(self, seed: int) -> None:
        self._seed = str(seed).encode()
        self._count = 0

    def below(self, bound: int) -> int:
        """A whole number from 0 up to, without, `bound`."""
        self._count += 1
        digest = hashlib.sha256(b"%b/%d" % (self._seed, self._count)).digest()
        return int.from_bytes(digest[:8]) % bound

    def between(self, low: float, high: float) -> float:
        """A number between the two."""
        return low + (high - low) * self.below(1 << 32) / (1 << 32)

    def happens(self, share: float) -> bool:
        """True in this share of the calls."""
        return self.between(0, 1) < share

    def one_of(self, choices: Sequence[T]) -> T:
        """One of the choices."""
        return choices[self.below(len(choices))]

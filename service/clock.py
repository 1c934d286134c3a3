"""The only place where the wall clock is read and chance is drawn; everything else takes them as arguments."""

from __future__ import annotations

import secrets
import time
from typing import Protocol


def now_ms() -> int:
    """Milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


def monotonic_s() -> float:
    """Seconds of a clock that only moves forward; for durations and deadlines within one process."""
    return time.monotonic()


def random_bytes(nbytes: int) -> bytes:
    """Bytes that nobody can guess."""
    return secrets.token_bytes(nbytes)


def random_token(nbytes: int = 16) -> str:
    """`nbytes` of unguessable bytes as URL-safe text (about 4/3 characters a byte)."""
    return secrets.token_urlsafe(nbytes)


class Clock(Protocol):
    """What code that needs time or chance is given."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""

    def monotonic_s(self) -> float:
        """Seconds of a clock that only moves forward."""

    def random_token(self, nbytes: int = 16) -> str:
        """`nbytes` of unguessable bytes as URL-safe text."""


class SystemClock:
    """The clock and the chance of this machine."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC."""
        return now_ms()

    def monotonic_s(self) -> float:
        """Seconds of a clock that only moves forward."""
        return monotonic_s()

    def random_token(self, nbytes: int = 16) -> str:
        """`nbytes` of unguessable bytes as URL-safe text."""
        return random_token(nbytes)


class SteeredClock(SystemClock):
    """The clock of this machine, put right by another one that all instances share: the graph's.

    Withdrawals are dated, and one that is dated ahead is refused; so an instance whose own clock is minutes behind must
    not be the one that says what is ahead.
    """

    def __init__(self) -> None:
        self.off_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC, by the shared clock as it was seen last."""
        return now_ms() + self.off_ms

    def steer(self, shared_ms: int, began_s: float, ended_s: float) -> None:
        """The shared clock said `shared_ms` at some moment between `began_s` and `ended_s` (monotonic).

        What is not more than the question took, and a tenth of a second, is no difference: then nothing is put right.
        """
        took_ms = (ended_s - began_s) * 1000
        since_ms = (monotonic_s() - ended_s) * 1000 + took_ms / 2
        off_ms = round(shared_ms + since_ms) - now_ms()
        self.off_ms = off_ms if abs(off_ms) > took_ms + 100 else 0

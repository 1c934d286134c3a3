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

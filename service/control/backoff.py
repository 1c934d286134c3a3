"""How long to wait before the next attempt. Pure; chance is given."""

from __future__ import annotations

from typing import Final

FIRST_MS: Final = 1_000
LONGEST_MS: Final = 300_000
SPREAD: Final = 0.4


def later(failures: int, chance: float = 0.5) -> int:
    """Milliseconds to wait after so many failures in a row: doubling, spread by ±20 % for `chance` from 0 to 1."""
    step = min(LONGEST_MS, FIRST_MS << max(0, min(failures - 1, 20)))
    return int(step * (1 - SPREAD / 2 + SPREAD * chance))


def wait_for(failures: int, chance: float, retry_after_ms: int | None) -> int:
    """The same, but never less than the receiver asked for."""
    return max(later(failures, chance), retry_after_ms or 0)

"""What passes between look-ups and the cache: a value or why there is none, and the right to store one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

POLICY_KEY: Final = "!policy"
"""Reserved key whose value is the version of the active policy, in ASCII digits. No namespace begins with `!`."""

ANY_POLICY: Final = 0
"""The policy version to store values under that do not depend on one, such as that of `POLICY_KEY`."""


class NoValue(Enum):
    """Why a read gave no value."""

    MISS = "miss"
    """Nothing usable is stored: take a lease, read the graph, fill."""

    DOWN = "down"
    """The cache did not answer: read the graph, store nothing."""


MISS: Final = NoValue.MISS
DOWN: Final = NoValue.DOWN


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to store one value, as long as nobody drops its identifier. `token` is opaque."""

    identifier: str
    purpose: str
    token: bytes


@dataclass(frozen=True, slots=True)
class Fill:
    """A value to store under a lease. `expires_at_ms`: ms since epoch at which it stops being true, None if never."""

    lease: Lease
    value: bytes
    policy_version: int
    expires_at_ms: int | None

"""What was asked and answered: each call with when it was sent, when its answer came, and what it said.

Times are seconds on the monotonic clock of the process that calls. A write that was never answered ends at `NEVER`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

NEVER: Final = float("inf")
ALWAYS: Final = float("-inf")
Value = object


@dataclass(slots=True)
class Write:
    """One change of one register by its only writer, tried until acknowledged. `end`: when the 2xx was there."""

    register: str
    value: Value
    begin: float
    end: float = NEVER
    what: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """What an answer said of a register."""

    register: str
    value: Value
    begin: float
    end: float
    how: str = ""


@dataclass(slots=True)
class Tried:
    """One change and all requests that were sent for it: `name-0`, `name-1`, … as their request ids.

    `entries`: audit entries that carrying it out once makes.
    """

    name: str
    kind: str
    acknowledged: bool = False
    attempts: int = 0
    entries: int = 1
    maybe_none: bool = False


@dataclass(frozen=True, slots=True)
class Odd:
    """An answer that no fault excuses."""

    how: str
    status: int
    at: float
    what: str


@dataclass(slots=True)
class History:
    """Everything that one run saw."""

    writes: list[Write] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    odd: list[Odd] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    followed: list[dict[str, object]] = field(default_factory=list)
    requests: int = 0
    refused: int = 0
    unanswered: int = 0

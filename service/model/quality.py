"""How good the events of a source are: counts by source and type, and by hour. Times in ms."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

HOUR_MS: Final = 3_600_000
OTHER: Final = "*"
"""Stands for what is too much to be told apart."""


class Stream(NamedTuple):
    """Events of one source and type."""

    source: str
    type: str


@dataclass(slots=True)
class Tally:
    """What came of a stream. `fields`: `name type` of the properties seen, such as `url string`, to how many events had
    it. `violations`: codes of what was wrong. `lag_ms`, `record_ms`: sums, from occurred to received and from received
    to recorded, over accepted events; `lag_ms_max`: the longest.
    """

    received: int = 0
    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    no_identifier: int = 0
    no_consent: int = 0
    late: int = 0
    skewed: int = 0
    gaps_filled: int = 0
    lag_ms: int = 0
    lag_ms_max: int = 0
    record_ms: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Count what `other` counts as well."""
        for name in NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.lag_ms_max = max(self.lag_ms_max, other.lag_ms_max)
        self.fields.update(other.fields)
        self.violations.update(other.violations)


NUMBERS: Final = (
    "received",
    "accepted",
    "duplicates",
    "quarantined",
    "no_identifier",
    "no_consent",
    "late",
    "skewed",
    "gaps_filled",
    "lag_ms",
    "record_ms",
)


class Drift(NamedTuple):
    """How a stream differs from what it was. `kind`: new_field, missing_field, renamed_field (`field` → `instead`),
    type_changed, violations. `share`: of events now; `before`: then.
    """

    kind: str
    field: str
    instead: str | None
    share: float
    before: float

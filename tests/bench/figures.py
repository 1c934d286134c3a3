"""Rows of the result: what was measured on both sides, and whether it is what was asked for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

Verdict = Literal["holds", "MISSED", "not asked for", "not measured"]


@dataclass(slots=True)
class Row:
    """One comparison. `ours` and `baseline` hold one figure a round; rounds were taken in turn, so that the ratio of
    each is of figures taken next to each other. `at_least` or `below`: what the median ratio must be; for `below_value`
    it is the median of ours itself. None of them: the row is shown, not judged.
    """

    name: str
    against: str
    unit: str
    ours: list[float] = field(default_factory=list)
    baseline: list[float] = field(default_factory=list)
    at_least: float | None = None
    below: float | None = None
    below_value: float | None = None
    limits: str = ""

    def add(self, ours: float, baseline: float | None = None) -> None:
        """Note one round."""
        self.ours.append(ours)
        if baseline is not None:
            self.baseline.append(baseline)

    @property
    def ratios(self) -> list[float]:
        """Ours to the baseline, by round."""
        return [a / b for a, b in zip(self.ours, self.baseline, strict=False) if b]

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios."""
        return median(self.ratios) if self.ratios else None

    @property
    def target(self) -> str:
        """What is asked for, in words."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g} x"
        if self.below is not None:
            return f"< {self.below:g} x"
        return f"< {self.below_value:g} {self.unit}" if self.below_value is not None else ""

    @property
    def verdict(self) -> Verdict:
        """Whether it holds."""
        if not self.ours:
            return "not measured"
        ratio = self.ratio
        if self.at_least is not None and ratio is not None:
            return "holds" if ratio >= self.at_least else "MISSED"
        if self.below is not None and ratio is not None:
            return "holds" if ratio < self.below else "MISSED"
        if self.below_value is not None:
            return "holds" if median(self.ours) < self.below_value else "MISSED"
        return "not asked for"

    def as_json(self) -> dict[str, object]:
        """For `build/bench.json`."""
        return {
            "name": self.name,
            "against": self.against,
            "unit": self.unit,
            "ours": median(self.ours) if self.ours else None,
            "baseline": median(self.baseline) if self.baseline else None,
            "ratio": self.ratio,
            "target": self.target or None,
            "verdict": self.verdict,
            "rounds": {"ours": self.ours, "baseline": self.baseline, "ratio": self.ratios},
        }


def missed(rows: Sequence[Row]) -> list[Row]:
    """The rows that fall short."""
    return [row for row in rows if row.verdict == "MISSED"]


def unmeasured(rows: Sequence[Row]) -> list[Row]:
    """The rows without a figure, or without what they are to be judged against."""
    judged = [row for row in rows if row.at_least is not None or row.below is not None]
    return [row for row in rows if not row.ours or (row in judged and row.ratio is None)]

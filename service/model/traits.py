"""Traits: what sources report of the person behind an identifier. Evidence like links; nothing here is merged."""

from __future__ import annotations

from typing import NamedTuple

TraitValue = str | int | float | bool | list[str | int | float | bool] | None


class Trait(NamedTuple):
    """What one source reported last of one trait of one identifier. `value` None: that there is none. `at` in ms."""

    name: str
    source: str
    value: TraitValue
    at: int

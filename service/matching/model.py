"""A model: how often each field is at each level among pairs of one person, of one household, and of strangers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from service.matching.features import FEATURES
from service.matching.fields import CLASSES, EQUAL, FIELDS, LEVELS
from service.matching.rarity import Rarity

Floats = npt.NDArray[np.float64]
TOLD = LEVELS[1:]  # the levels of a field that both records have
BUILT_IN = "people/1"


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs with a confidence from `low` up to `high`: what was predicted on average, and what was so."""

    low: float
    high: float
    pairs: int
    predicted: float
    observed: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """`error`: the mean distance of confidence and truth among pairs of 0.5 and more, by bins, weighted by pairs.

    `against`: `truth` where it was known, `halves` where two models, of half the records each, were compared.
    """

    error: float
    against: str
    bins: tuple[Bin, ...] = ()


@dataclass(frozen=True, slots=True)
class Threshold:
    """What linking from a confidence up brings: expected pairs, and of these and of all matches the share of true."""

    confidence: float
    pairs: float
    precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class Model:
    """One version of a model; it never changes.

    `probabilities`: classes x FEATURES x TOLD, each row adding up to 1. `prior`: the share of CLASSES among all pairs
    of `population` records. `fields`: classes x FIELDS x TOLD, the same of each field by itself. `weights`, made of
    these: FIELDS x LEVELS, the log-odds that a level adds of one person against the rest. `rarity`: of names, where it
    is known. Raises ValueError where a table has another shape.
    """

    name: str
    version: int
    probabilities: Floats
    prior: tuple[float, float, float]
    population: int
    fields: Floats
    rarity: Rarity | None = None
    expected_matches: float = 0.0
    calibration: Calibration = Calibration(0.0, "halves")
    thresholds: tuple[Threshold, ...] = ()
    log_tables: Floats = field(init=False, repr=False, compare=False)
    log_prior: Floats = field(init=False, repr=False, compare=False)
    weights: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shapes = (self.probabilities.shape, self.fields.shape)
        if shapes != ((len(CLASSES), len(FEATURES), len(TOLD)), (len(CLASSES), len(FIELDS), len(TOLD))):
            raise ValueError(
                "a model has a table of classes, features and levels, and one of classes, fields and levels"
            )
        tables = np.zeros((len(CLASSES), len(FEATURES), len(LEVELS)))
        tables[:, :, 1:] = np.log(self.probabilities)
        object.__setattr__(self, "log_tables", tables)
        object.__setattr__(self, "log_prior", np.log(np.array(self.prior)))
        object.__setattr__(self, "weights", weights_of(self.fields, self.prior))

    @property
    def full_name(self) -> str:
        """As a policy names it: `people/1`."""
        return f"{self.name}/{self.version}"

    def for_population(self, population: int) -> Model:
        """The same with the prior of a store of another size: pairs of one person are rarer among more records."""
        factor = (self.population - 1) / max(population - 1, 1)
        same, household = (min(share * factor, 0.4) for share in self.prior[:2])
        return replace(self, population=population, prior=(same, household, 1 - same - household))

    def to_json(self) -> dict[str, Any]:
        """As it is stored. Numbers are exact."""
        return {
            "name": self.name,
            "version": self.version,
            "fields": _by_name(FIELDS, self.fields),
            "features": _by_name(FEATURES, self.probabilities),
            "prior": dict(zip(CLASSES, self.prior, strict=True)),
            "population": self.population,
            "rarity": self.rarity and self.rarity.to_json(),
            "expected_matches": self.expected_matches,
            "calibration": {
                "error": self.calibration.error,
                "against": self.calibration.against,
                "bins": [[b.low, b.high, b.pairs, b.predicted, b.observed] for b in self.calibration.bins],
            },
            "thresholds": [[t.confidence, t.pairs, t.precision, t.recall] for t in self.thresholds],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Model:
        """What `to_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        same, household, unrelated = (float(stored["prior"][c]) for c in CLASSES)
        calibration = stored["calibration"]
        return cls(
            name=str(stored["name"]),
            version=int(stored["version"]),
            probabilities=_by_class(FEATURES, stored["features"]),
            prior=(same, household, unrelated),
            population=int(stored["population"]),
            fields=_by_class(FIELDS, stored["fields"]),
            rarity=Rarity.from_json(stored["rarity"]) if stored["rarity"] else None,
            expected_matches=float(stored["expected_matches"]),
            calibration=Calibration(
                float(calibration["error"]),
                str(calibration["against"]),
                tuple(Bin(*figures) for figures in calibration["bins"]),
            ),
            thresholds=tuple(Threshold(*figures) for figures in stored["thresholds"]),
        )


def _by_name(names: Sequence[str], table: Floats) -> dict[str, dict[str, dict[str, float]]]:
    return {
        name: {one: dict(zip(TOLD, row.tolist(), strict=True)) for one, row in zip(CLASSES, rows, strict=True)}
        for name, rows in zip(names, table.transpose(1, 0, 2), strict=True)
    }


def _by_class(names: Sequence[str], stored: Mapping[str, Any]) -> Floats:
    return np.array(
        [[[stored[name][one][level] for level in TOLD] for name in names] for one in CLASSES], dtype=np.float64
    )


def weights_of(fields: Floats, prior: tuple[float, float, float]) -> Floats:
    """FIELDS x LEVELS; a closer level never weighs less, missing weighs 0."""
    same, household, unrelated = fields
    rest = (prior[1] * household + prior[2] * unrelated) / (prior[1] + prior[2])
    found = np.zeros((len(FIELDS), len(LEVELS)))
    for row, one, other in zip(found, same, rest, strict=True):
        row[1:] = np.log(rising(one / other, other))
    return np.round(found, 6)


def rising(values: Floats, share: Floats) -> Floats:
    """The nearest sequence that never falls, by pooling neighbours; `share` is how much each value counts."""
    pools: list[list[float]] = []  # mean, share, how many
    for value, counts in zip(values.tolist(), share.tolist(), strict=True):
        pools.append([value, counts, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, counts_more, many = pools.pop()
            last = pools[-1]
            last[0] = (last[0] * last[1] + mean * counts_more) / (last[1] + counts_more)
            last[1] += counts_more
            last[2] += many
    return np.array([mean for mean, _, many in pools for _ in range(int(many))])


@cache
def built_in() -> Model:
    """people/1, made by `python -m service.sample.people_model` from the seeded world."""
    stored = files("service.matching").joinpath("models/people-1.json").read_bytes()
    return Model.from_json(orjson.loads(stored))


__all__ = ["BUILT_IN", "EQUAL", "TOLD", "Bin", "Calibration", "Model", "Threshold", "built_in", "rising"]

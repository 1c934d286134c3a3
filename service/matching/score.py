"""Scores: how probable it is that two records are of one person, and which fields say so.

A score is symmetric, and depends on nothing but the two records and the model; not on what else is scored with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from service.matching.compare import Codes, Levels, levels, stack
from service.matching.encode import Encoded
from service.matching.features import FEATURES, features
from service.matching.fields import CLASSES, DIFFERENT, EQUAL, FIELDS, LEVELS, MISSING
from service.matching.model import Floats, Model

LOG_ODDS_MAX = 12.0  # beyond which one pair of records says no more, of the pairs across two clusters
_DECIMALS = 9  # so that no machine's way of adding up shows


class FieldScore(NamedTuple):
    """What one field says. `level`: one of LEVELS. `weight`: log-odds of one person against the rest."""

    field: str
    level: str
    weight: float


@dataclass(frozen=True, slots=True)
class Scored:
    """`confidence`: that both are one person. `classes`: the probability of each of CLASSES. `log_odds`: natural."""

    confidence: float
    classes: dict[str, float]
    fields: tuple[FieldScore, ...]
    log_odds: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of many pairs. `classes`: pairs x CLASSES; `levels`: pairs x FIELDS; the others one a pair."""

    confidence: Floats
    log_odds: Floats
    classes: Floats
    levels: Levels

    def fields(self, model: Model, i: int) -> tuple[FieldScore, ...]:
        """What the fields of pair `i` say, those that both records lack included."""
        return explain(model, self.levels[i])

    def scored(self, model: Model, i: int) -> Scored:
        """Pair `i` alone."""
        classes = dict(zip(CLASSES, self.classes[i].tolist(), strict=True))
        return Scored(float(self.confidence[i]), classes, self.fields(model, i), float(self.log_odds[i]))


def score(model: Model, a: Encoded, b: Encoded) -> Scored:
    """One pair. Raises ValueError where the encodings are under different keys."""
    return score_many(model, [a], [b]).scored(model, 0)


def score_many(model: Model, a: Sequence[Encoded], b: Sequence[Encoded]) -> Scores:
    """The pairs (a[i], b[i]). Raises ValueError where the encodings are under different keys."""
    if not len(a) == len(b):
        raise ValueError("pairs have two ends")
    both = stack([*a, *b])
    version = next((record.version for record in a), 0)
    return score_codes(model, both[: len(a)], both[len(a) :], version)


def score_codes(model: Model, a: Codes, b: Codes, version: int, fields: Collection[str] = FIELDS) -> Scores:
    """The pairs (a[i], b[i]) of stacked codes under the key of that version. `fields`: others are as if missing."""
    found = told_levels(a, b, fields)
    rarity = model.rarity
    return score_levels(model, found, rarity.offsets(a, b, found) if rarity and rarity.version == version else None)


def told_levels(a: Codes, b: Codes, fields: Collection[str] = FIELDS) -> Levels:
    """Levels of the pairs (a[i], b[i]), those of other fields than these missing."""
    found = levels(a, b)
    left_out = [i for i, name in enumerate(FIELDS) if name not in fields]
    if left_out:
        found[:, left_out] = MISSING
    return found


def score_levels(model: Model, found: Levels, rarity: Floats | None = None) -> Scores:
    """Scores of pairs whose levels are known: pairs x FIELDS. `rarity`: as `Rarity.offsets` gives it."""
    logs = log_likelihoods(model.log_tables, features(found)) + model.log_prior
    if rarity is not None:
        add_rarity(logs, rarity)
    same, rest = logs[:, 0], np.logaddexp(logs[:, 1], logs[:, 2])
    log_odds = np.round(same - rest, _DECIMALS)
    shares = np.exp(logs - np.logaddexp(same, rest)[:, None])
    shares[:, 0] = confidence_of(log_odds)
    return Scores(shares[:, 0], log_odds, shares, found)


def log_likelihoods(tables: Floats, found: Levels) -> Floats:
    """Pairs x classes, added up one by one. `tables`: classes x FEATURES x LEVELS; `found`: pairs x FEATURES."""
    total = np.zeros((len(found), len(tables)))
    for i in range(len(FEATURES)):
        total += tables[:, i, :].T[found[:, i]]
    return total


def add_rarity(logs: Floats, rarity: Floats) -> None:
    """In place. A rare name is shared by chance less often: among strangers, and a given name in a household too."""
    logs[:, 1] += rarity[:, 0]
    logs[:, 2] += rarity.sum(axis=1)


def confidence_of(log_odds: Floats) -> Floats:
    """The probability that log-odds stand for."""
    found: Floats = 1.0 / (1.0 + np.exp(-np.clip(log_odds, -500, 500)))
    return found


def explain(model: Model, found: npt.NDArray[np.uint8]) -> tuple[FieldScore, ...]:
    """What the fields of one pair say, from its levels."""
    return tuple(
        FieldScore(name, LEVELS[level], round(float(model.weights[i, level]), 4))
        for i, (name, level) in enumerate(zip(FIELDS, found.tolist(), strict=True))
    )


def agrees(log_odds: Iterable[float]) -> bool:
    """Whether two clusters may join over a probabilistic link: all pairs of records across them agree on the whole.

    `log_odds`: of every pair of records across; each counts for at most LOG_ODDS_MAX. Without any they agree.
    """
    clipped = [min(LOG_ODDS_MAX, max(-LOG_ODDS_MAX, odds)) for odds in log_odds]
    return sum(sorted(clipped)) >= 0


@dataclass(frozen=True, slots=True)
class Step:
    """Another level of some fields, and the confidence with it."""

    fields: tuple[tuple[str, str], ...]  # field and level
    confidence: float


def what_would_make(
    model: Model, a: Encoded, b: Encoded, target: float, fields: Sequence[str] = FIELDS
) -> tuple[Step, ...]:
    """What would bring a pair to `target`: single fields that would do alone, or else the fewest together.

    Only levels that agree more than now, or are told at all, where `target` is above the confidence; only levels that
    agree less where it is below. Empty where nothing would. `fields`: those that may be told.
    """
    x, y = stack([a]), stack([b])
    found = told_levels(x, y, fields)[0]
    up = bool(score_codes(model, x, y, a.version, fields).confidence[0] < target)
    for many in (1, 2):
        steps = [
            Step(tuple((FIELDS[i], LEVELS[EQUAL if up else DIFFERENT]) for i in chosen), after)
            for chosen, after in _changed(model, found, [FIELDS.index(name) for name in fields], many, up)
            if (after >= target) == up
        ]
        if steps:
            return tuple(sorted(steps, key=lambda step: -step.confidence if up else step.confidence))
    return ()


def _changed(
    model: Model, found: npt.NDArray[np.uint8], fields: Sequence[int], many: int, up: bool
) -> Iterator[tuple[tuple[int, ...], float]]:
    end = EQUAL if up else DIFFERENT
    open_to = [i for i in fields if found[i] == MISSING or (found[i] < end if up else found[i] > end)]
    for chosen in combinations(open_to, many):
        changed = found.copy()
        changed[list(chosen)] = end
        yield chosen, float(score_levels(model, changed[None, :]).confidence[0])

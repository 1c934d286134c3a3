"""The mixture of three classes, fitted by expectation and maximisation. Arrays only.

Households are a class of their own because they share surname, street and phone: two classes take them for one person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.matching.compare import Levels
from service.matching.features import FEATURES, PERSONAL
from service.matching.fields import LEVELS, MISSING
from service.matching.model import Floats, rising
from service.matching.score import add_rarity, log_likelihoods

SAME, HOUSEHOLD, UNRELATED = range(3)
ROUNDS_MAX, STILL = 150, 2e-5
_START_SAME = np.array([0.04, 0.02, 0.06, 0.88])
_START_HOUSEHOLD = np.array([0.05, 0.02, 0.03, 0.90])
_PRIOR_PAIRS = 20.0  # how many pairs the start of a class counts for, so that a class without pairs keeps its shape
_HOUSEHOLD_PRIOR_PAIRS = 60.0
_TWINS_MAX = 0.04  # of household pairs, beyond chance: equal in a field that members do not share
_SMOOTH = 0.5
_NONE = 1e-6  # pairs: a class that is left out


@dataclass(frozen=True, slots=True)
class Patterns:
    """Pairs by their levels: each combination once, with how many pairs have it, and the combination of each pair."""

    levels: Levels
    rarity: Floats
    counts: Floats
    of: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Mixture:
    """`tables`: classes x FEATURES x TOLD. `shares`: of the classes among all pairs, blocked or not."""

    tables: Floats
    shares: Floats

    def posterior(self, patterns: Patterns) -> Floats:
        """Patterns x classes: the probability of each."""
        logs = self._logs(patterns)
        logs -= logs.max(axis=1, keepdims=True)
        odds = np.exp(logs)
        found: Floats = odds / odds.sum(axis=1, keepdims=True)
        return found

    def likelihood(self, patterns: Patterns, total_pairs: float) -> float:
        """Its logarithm, less what all mixtures of the same chance have in common for pairs that share no key."""
        logs = self._logs(patterns)
        most = logs.max(axis=1)
        of_blocked = (patterns.counts * (most + np.log(np.exp(logs - most[:, None]).sum(axis=1)))).sum()
        return float(of_blocked + (total_pairs - patterns.counts.sum()) * np.log(self.shares[UNRELATED]))

    def with_households(self, share: float) -> Mixture:
        """The same with so many of all pairs in the class of households."""
        shares = np.array([self.shares[SAME], share, 1 - self.shares[SAME] - share])
        return Mixture(self.tables, shares)

    def _logs(self, patterns: Patterns) -> Floats:
        logs = log_likelihoods(with_missing(np.log(self.tables)), patterns.levels) + np.log(self.shares)
        add_rarity(logs, patterns.rarity)
        return logs


def with_missing(log_tables: Floats) -> Floats:
    """Tables over LEVELS: a field that one record lacks says nothing."""
    return np.concatenate((np.zeros((*log_tables.shape[:2], 1)), log_tables), axis=2)


def patterns_of(levels: Levels, rarity: Floats) -> Patterns:
    """Pairs counted by their levels, and by how rare their names are. Pairs x FEATURES, pairs x names."""
    codes = levels.astype(np.int64) @ (len(LEVELS) ** np.arange(levels.shape[1], dtype=np.int64))
    _, steps = np.unique(rarity, axis=0, return_inverse=True)
    codes += steps.reshape(-1).astype(np.int64) * len(LEVELS) ** levels.shape[1]
    _, first, of, counts = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    return Patterns(levels[first], rarity[first], counts.astype(np.float64), of.reshape(-1))


def told(levels: Levels, weights: Floats) -> Floats:
    """Columns x TOLD: how much of the weight is at each level. `levels`: pairs x columns."""
    columns = [np.bincount(column, weights=weights, minlength=len(LEVELS)) for column in levels.T]
    return np.stack(columns)[:, MISSING + 1 :].astype(np.float64)


def by_chance(levels: Levels, weights: Floats) -> Floats:
    """FEATURES x TOLD: the levels of random pairs; where a field is never told, what it takes is even."""
    found = told(levels, weights) + _SMOOTH
    shares: Floats = found / found.sum(axis=1, keepdims=True)
    return shares


def start(chance: Floats, total_pairs: float, households: int, records: int) -> Mixture:
    """Where the search begins: a household shares what a person shares, except given name and birth date.

    `households`, `records`: twice the pairs expected of each class; none of households leaves two classes.
    """
    same = np.tile(_START_SAME, (len(FEATURES), 1))
    household = np.tile(_START_HOUSEHOLD, (len(FEATURES), 1))
    household[PERSONAL] = 0.97 * chance[PERSONAL]
    household[PERSONAL, -1] += 0.015
    household[PERSONAL, 0] += 0.015
    shares = np.array([0.5 * records, max(0.5 * households, _NONE), 0.0]) / max(total_pairs, 1.0)
    shares = np.minimum(shares, 0.2)
    shares[UNRELATED] = 1 - shares.sum()
    return Mixture(np.stack((same, household, chance)), shares)


def fit(patterns: Patterns, begin: Mixture, total_pairs: float) -> Mixture:
    """The mixture that explains the blocked pairs best, all others being unrelated; chance stays as it is given."""
    mixture = begin
    for _ in range(ROUNDS_MAX):
        weights = mixture.posterior(patterns) * patterns.counts[:, None]
        following = _maximised(patterns, weights, begin, total_pairs)
        moved = float(np.abs(following.tables - mixture.tables).max())
        mixture = following
        if moved < STILL:
            break
    return mixture


def _maximised(patterns: Patterns, weights: Floats, begin: Mixture, total_pairs: float) -> Mixture:
    chance = begin.tables[UNRELATED]
    same = told(patterns.levels, weights[:, SAME]) + _PRIOR_PAIRS * begin.tables[SAME]
    household = told(patterns.levels, weights[:, HOUSEHOLD]) + _HOUSEHOLD_PRIOR_PAIRS * begin.tables[HOUSEHOLD]
    same = ordered(same / same.sum(axis=1, keepdims=True), chance)
    household = _not_the_same(household / household.sum(axis=1, keepdims=True), same, chance)
    shares = np.maximum(weights.sum(axis=0), 1.0) / total_pairs
    if begin.shares[HOUSEHOLD] * total_pairs <= _NONE:
        shares[HOUSEHOLD] = begin.shares[HOUSEHOLD]
    shares[UNRELATED] = 1 - shares[SAME] - shares[HOUSEHOLD]
    return Mixture(np.stack((same, household, chance)), shares)


def ordered(table: Floats, against: Floats) -> Floats:
    """The nearest table whose ratio to `against` never falls with a closer level. FEATURES x TOLD, both."""
    return np.stack([rising(row / of, of) * of for row, of in zip(table, against, strict=True)])


def _not_the_same(household: Floats, same: Floats, chance: Floats) -> Floats:
    """What tells a household from one person: equal given names and birth dates stay rare, and speak for one person."""
    for i in PERSONAL:
        row, most = household[i], chance[i, -1] + _TWINS_MAX
        if row[-1] > most:
            row[:-1] *= (1 - most) / row[:-1].sum()
            row[-1] = most
        ratio = rising(-row / same[i], same[i])
        row[:] = row if (np.diff(-row / same[i]) >= 0).all() else -ratio * same[i]
    return household

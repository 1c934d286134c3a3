"""Training: a model from records alone, nobody having said which are of one person; or why none came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from service.matching.compare import Codes, Levels, levels, stack
from service.matching.encode import Encoded
from service.matching.features import NAMESAKES, PERSONAL, features
from service.matching.fields import FIELDS
from service.matching.mixture import HOUSEHOLD, SAME, UNRELATED, Mixture, Patterns, by_chance, fit, patterns_of, start
from service.matching.model import Bin, Calibration, Floats, Model, Threshold
from service.matching.pairs import Indices, blocked_pairs, random_pairs
from service.matching.rarity import NAMES, Rarity, rarity_of
from service.matching.score import score_levels

MATCHES_MIN = 200
ERROR_MAX = 0.05
RANDOM_PAIRS, RANDOM_PAIRS_OF_HALF = 400_000, 100_000
PAIRS_MAX = 3_000_000
_CHUNK = 16_384  # pairs compared at a time; their levels fit in a cache
_CHANCE_ROUNDS = 3
HOUSEHOLDS_GAIN_MIN = 10.0  # of log-likelihood
_HALF_A_PAIR = 0.5
BINS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
_CURVE = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999)

Progress = Callable[[float], None]  # told how much is done, from 0 to 1


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is no model; a sentence for people, without values."""

    reason: str
    expected_matches: float = 0.0


@dataclass(frozen=True, slots=True)
class Compared:
    """Levels of pairs, pairs x FIELDS, and how rare their names are, pairs x names."""

    levels: Levels
    rarity: Floats


def compared(codes: Codes, pairs: Indices, rarity: Rarity | None = None) -> Compared:
    """Many pairs of records, a chunk at a time."""
    found, offsets = [np.zeros((0, len(FIELDS)), dtype=np.uint8)], [np.zeros((0, len(NAMES)))]
    for start_at in range(0, len(pairs), _CHUNK):
        part = pairs[start_at : start_at + _CHUNK]
        a, b = codes[part[:, 0]], codes[part[:, 1]]
        found.append(levels(a, b))
        offsets.append(rarity.offsets(a, b, found[-1]) if rarity else np.zeros((len(part), len(NAMES))))
    return Compared(np.concatenate(found), np.concatenate(offsets))


def train(
    records: Sequence[Encoded],
    *,
    seed: int,
    name: str = "people",
    version: int = 1,
    population: int | None = None,
    progress: Progress = lambda _: None,
) -> Model | Refused:
    """A model of three classes.

    `records`: drawn at random from all (`sample_of`), not whole persons. `population`: how many records there are in
    all, which the prior is for; by default as many as given. Raises ValueError for records under different keys.
    """
    if len(records) < 2:
        return Refused("there are no two records to compare")
    found = _fitted(records, seed, RANDOM_PAIRS, progress)
    model = model_of(found, name, version, len(records), population or len(records))
    if (refusal := refused(found, model.expected_matches)) is not None:
        return refusal
    calibration = _by_halves(records, model, seed, progress)
    if calibration is None:
        return Refused("models of half the records each could not be made to compare them", model.expected_matches)
    if calibration.error > ERROR_MAX:
        said = f"two halves of the records disagree about confidence by {calibration.error:.3f} on average"
        return Refused(f"{said}; at most {ERROR_MAX} is taken as calibrated", model.expected_matches)
    return replace(model, calibration=calibration)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A mixture, and the probability of each class for the pairs that it was fitted to.

    `chance`: FIELDS x TOLD, of random pairs without those of one person or household.
    """

    mixture: Mixture
    posterior: Floats
    blocked: Levels
    chance: Floats
    rarity: Rarity | None


def _fitted(records: Sequence[Encoded], seed: int, randoms: int, progress: Progress) -> Fitted:
    codes = stack(records)
    chosen = blocked_pairs(records)
    if len(chosen) > PAIRS_MAX:
        chosen = blocked_pairs(records, 20)
    rarity = rarity_of(codes, records[0].version)
    blocked = compared(codes, chosen, rarity)
    progress(0.3)
    by_random = compared(codes, random_pairs(len(records), randoms, seed), rarity)
    progress(0.5)
    return fitted(blocked, by_random, len(records), rarity)


def fitted(
    blocked: Compared, by_random: Compared, records: int, rarity: Rarity | None = None, *, households: bool = True
) -> Fitted:
    """Fit to levels.

    Households stay a class only where they explain the pairs better than slips of one person do. Where not, half a
    pair's worth is left of them: enough to keep a family apart where slips are rare.
    """
    total = records * (records - 1) / 2
    patterns = patterns_of(features(blocked.levels), blocked.rarity)
    randoms = patterns_of(features(by_random.levels), by_random.rarity)
    mixture = _settled(patterns, randoms, total, records, 0)
    if households:
        three = _settled(patterns, randoms, total, records, records)
        gain = three.likelihood(patterns, total) - mixture.likelihood(patterns, total)
        mixture = three if gain >= HOUSEHOLDS_GAIN_MIN else mixture.with_households(_HALF_A_PAIR / total)
    chance = by_chance(by_random.levels, mixture.posterior(randoms)[randoms.of, UNRELATED])
    return Fitted(mixture, mixture.posterior(patterns)[patterns.of], blocked.levels, chance, rarity)


def _settled(patterns: Patterns, randoms: Patterns, total: float, records: int, households: int) -> Mixture:
    """Random pairs hold some of one person or household: they are weighed out once these are known."""
    mixture = start(by_chance(randoms.levels, randoms.counts), total, households, records)
    for _ in range(_CHANCE_ROUNDS):
        mixture = fit(patterns, mixture, total)
        weights = randoms.counts * mixture.posterior(randoms)[:, UNRELATED]
        tables = mixture.tables.copy()
        tables[UNRELATED] = by_chance(randoms.levels, weights)
        strangers = patterns.counts * mixture.posterior(patterns)[:, UNRELATED]
        tables[UNRELATED, NAMESAKES] = by_chance(patterns.levels, strangers)[NAMESAKES]
        mixture = Mixture(tables, mixture.shares)
    return fit(patterns, mixture, total)


def model_of(found: Fitted, name: str, version: int, records: int, population: int) -> Model:
    """The model; its prior falls with the population as pairs of one person become rarer among all pairs."""
    shares = found.mixture.shares[:UNRELATED] * (records - 1) / max(population - 1, 1)
    compared = np.maximum(found.posterior.sum(axis=0), 1.0)
    model = Model(
        name=name,
        version=version,
        probabilities=found.mixture.tables,
        prior=(float(shares[SAME]), float(shares[HOUSEHOLD]), float(1 - shares.sum())),
        population=population,
        fields=np.stack(
            [by_chance(found.blocked, weights) for weights in found.posterior.T[:UNRELATED]] + [found.chance]
        ),
        rarity=found.rarity,
        expected_matches=round(float(compared[SAME]), 1),
    )
    return replace(model, thresholds=curve(found.posterior[:, SAME]))


def refused(found: Fitted, expected: float) -> Refused | None:
    """The guards that need no second model."""
    if expected < MATCHES_MIN:
        return Refused(f"{expected:.0f} pairs of one person are expected; at least {MATCHES_MIN} are needed", expected)
    same, household = found.mixture.tables[SAME, PERSONAL, -1], found.mixture.tables[HOUSEHOLD, PERSONAL, -1]
    if not (same > household).all():
        return Refused(
            "the classes are swapped: households agree more on given name or birth date than persons", expected
        )
    return None


def curve(confidence: Floats) -> tuple[Threshold, ...]:
    """What each threshold is expected to bring, by the model's own probabilities."""
    matches = max(float(confidence.sum()), 1e-9)
    rows = []
    for least in _CURVE:
        taken = confidence[confidence >= least]
        precision = float(taken.mean()) if len(taken) else 1.0
        rows.append(Threshold(least, float(len(taken)), round(precision, 6), round(float(taken.sum()) / matches, 6)))
    return tuple(rows)


def truth_curve(confidence: Floats, same: npt.NDArray[np.bool_], matches: int) -> tuple[Threshold, ...]:
    """What each threshold brings, where it is known which pairs are of one person; `matches`: all there are."""
    rows = []
    for least in _CURVE:
        taken = same[confidence >= least]
        precision = float(taken.mean()) if len(taken) else 1.0
        recall = float(taken.sum()) / max(matches, 1)
        rows.append(Threshold(least, float(len(taken)), round(precision, 6), round(recall, 6)))
    return tuple(rows)


def calibration_of(predicted: Floats, observed: Floats, against: str) -> Calibration:
    """By bins of what was predicted; `observed`: 0 to 1, one a pair."""
    bins, off, many = [], 0.0, 0
    for low, high in pairwise(BINS):
        at = (predicted >= low) & ((predicted < high) | (high == 1.0))
        if not at.any():
            continue
        pairs, mean, was = int(at.sum()), float(predicted[at].mean()), float(observed[at].mean())
        bins.append(Bin(low, high, pairs, round(mean, 6), round(was, 6)))
        if low >= 0.5:
            off, many = off + pairs * abs(mean - was), many + pairs
    return Calibration(round(off / max(many, 1), 6), against, tuple(bins))


def _by_halves(records: Sequence[Encoded], model: Model, seed: int, progress: Progress) -> Calibration | None:
    """Whether a model of one half of the records predicts what one of the other half says of the same pairs."""
    order = np.random.default_rng(seed + 1).permutation(len(records))
    halves = [[records[i] for i in sorted(part.tolist())] for part in (order[::2], order[1::2])]
    found = []
    for i, half in enumerate(halves):
        made = _fitted(half, seed, RANDOM_PAIRS_OF_HALF, lambda _: None)
        if made.posterior[:, SAME].sum() < MATCHES_MIN / 8:
            return None
        found.append(model_of(made, model.name, model.version, len(half), len(records)))
        progress(0.7 + 0.15 * i)
    codes, pairs = stack(records), blocked_pairs(records)
    pair_levels = compared(codes, pairs, model.rarity)
    first, second = (score_levels(one, pair_levels.levels, pair_levels.rarity).confidence for one in found)
    progress(1.0)
    return calibration_of(first, second, "halves")

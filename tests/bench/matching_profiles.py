"""Profiles of scored records by the real resolve(), in memory."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np

from service.matching.compare import stack
from service.matching.encode import Encoded
from service.matching.model import Model
from service.matching.pairs import Indices
from service.matching.score import score_codes
from service.model.evidence import Bond, Standing, Tier
from service.model.identifiers import IdentifierKey, Pair, pair_of
from service.model.policy import Namespace, Policy
from service.resolution.resolve import resolve

_POLICY = Policy(1, "records", {"rec": Namespace("rec", kind="person", priority=1)})


class Odds:
    """Log-odds across two clusters, scored when they are asked for."""

    def __init__(self, records: Sequence[Encoded], model: Model) -> None:
        self._codes, self._model, self._version = stack(records), model, records[0].version
        self._known: dict[tuple[int, int], float] = {}

    def across(self, x: Sequence[IdentifierKey], y: Sequence[IdentifierKey]) -> Mapping[Pair, float]:
        """As resolve() asks for it."""
        asked = {pair_of(a, b): tuple(sorted((number_of(a), number_of(b)))) for a in x for b in y}
        new = np.array([pair for pair in asked.values() if pair not in self._known], dtype=np.int64).reshape(-1, 2)
        if len(new):
            scores = score_codes(self._model, self._codes[new[:, 0]], self._codes[new[:, 1]], self._version)
            self._known.update(zip(map(tuple, new.tolist()), scores.log_odds.tolist(), strict=True))
        return {pair: self._known[numbers] for pair, numbers in asked.items()}


def key_of(number: int) -> IdentifierKey:
    """The identifier of a record."""
    return IdentifierKey(f"rec:{number:08}")


def number_of(key: IdentifierKey) -> int:
    """The record of an identifier."""
    return int(key[4:])


def profiles(odds: Odds, count: int, pairs: Indices, confidence: np.ndarray, seed: int) -> list[frozenset[int]]:
    """`count` record numbers by profile; everything is handed over in the order that the seed gives."""
    chance = random.Random(seed)
    links = list(zip(pairs.tolist(), confidence.tolist(), strict=True))
    numbers = list(range(count))
    chance.shuffle(links)
    chance.shuffle(numbers)
    bonds = [Bond(key_of(a), key_of(b), Tier.PROBABILISTIC, round(sure, 6), 0, 0) for (a, b), sure in links]
    standings = {key_of(number): Standing(key_of(number)) for number in numbers}
    found = resolve(standings, bonds, _POLICY, odds.across)
    return [frozenset(map(number_of, cluster)) for cluster in found.clusters]

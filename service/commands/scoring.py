"""A model of matching as resolution sees it: over the bytes that are kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np

from service.matching.compare import stack
from service.matching.encode import Encoded
from service.matching.fields import FIELDS
from service.matching.model import Model
from service.matching.score import Scored, Scores, score_codes
from service.model.records import Likeness

_DECIMALS: Final = 6
_STRANGERS: Final = Likeness(0.0, 0.0, comparable=False)


class ModelScorer:
    """See `service.model.records.Scorer`. `fields`: those that count; the others are as if they were missing."""

    def __init__(self, model: Model, fields: Collection[str] = FIELDS) -> None:
        self.model = model
        self._fields = frozenset(fields)

    def scores(self, a: Sequence[Encoded], b: Sequence[Encoded]) -> Scores:
        """The pairs (a[i], b[i]), which must be under one key."""
        both = stack([*a, *b])
        version = a[0].version if a else 0
        return score_codes(self.model, both[: len(a)], both[len(a) :], version, self._fields)

    def scored(self, a: Encoded, b: Encoded) -> Scored:
        """One pair with all that is to be told of it."""
        return self.scores([a], [b]).scored(self.model, 0)

    def likenesses(self, pairs: Sequence[tuple[bytes, bytes]]) -> list[Likeness]:
        """For each pair of encodings; those under two keys can't be compared."""
        read: dict[bytes, Encoded] = {}
        for text in {text for pair in pairs for text in pair}:
            read[text] = Encoded.from_bytes(text)
        versions: dict[int, list[int]] = {}
        for index, (a, b) in enumerate(pairs):
            if read[a].version == read[b].version:
                versions.setdefault(read[a].version, []).append(index)
        found = [_STRANGERS] * len(pairs)
        for indices in versions.values():
            scores = self.scores([read[pairs[i][0]] for i in indices], [read[pairs[i][1]] for i in indices])
            confidences = np.round(scores.confidence, _DECIMALS).tolist()
            for index, confidence, odds in zip(indices, confidences, scores.log_odds.tolist(), strict=True):
                found[index] = Likeness(confidence, odds)
        return found

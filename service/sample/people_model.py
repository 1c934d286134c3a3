"""`python -m service.sample.people_model`: makes people/1 from the seeded world, and says how good it is.

Trained on records alone, as on anybody's own; who is who is only looked at afterwards, in another world, to say how far
its confidence can be believed. Writes service/matching/models/people-1.json, the same on every machine.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from service.matching.compare import Levels, stack
from service.matching.encode import Encoded, Encoder
from service.matching.fields import normalise
from service.matching.model import Model
from service.matching.pairs import Indices, blocked_pairs
from service.matching.score import score_levels
from service.matching.train import Refused, calibration_of, compared, train, truth_curve
from service.sample.persons import Known, Population

TRAINED_ON, TRIED_ON = 20_261, 20_262  # seeds of the two worlds
RECORDS, POPULATION = 20_000, 50_000
KEY = blake2b(b"the key of the seeded world", digest_size=32).digest()
PATH = Path(__file__).parents[1] / "matching" / "models" / "people-1.json"


@dataclass(frozen=True, slots=True)
class World:
    """Records of a seeded population, encoded, with who they are of; the pairs to compare and their levels."""

    known: Sequence[Known]
    records: Sequence[Encoded]
    pairs: Indices
    levels: Levels

    @property
    def persons(self) -> npt.NDArray[np.int64]:
        """Number of the person, one a record."""
        return np.array([one.person for one in self.known])

    @property
    def are_same(self) -> npt.NDArray[np.bool_]:
        """Whether both are of one person, one a pair."""
        found: npt.NDArray[np.bool_] = self.persons[self.pairs[:, 0]] == self.persons[self.pairs[:, 1]]
        return found

    @property
    def matches(self) -> int:
        """Pairs of one person, compared or not."""
        counts = np.bincount(self.persons)
        return int((counts * (counts - 1) // 2).sum())


def world(seed: int, count: int = RECORDS, key: bytes = KEY) -> World:
    """A world of its own for each seed."""
    known = list(Population(seed).records(count))
    encoder = Encoder(key)
    records = [encoder.encode(normalise(one.attributes)) for one in known]
    pairs = blocked_pairs(records)
    return World(known, records, pairs, compared(stack(records), pairs).levels)


def make() -> Model:
    """people/1. Raises RuntimeError where training is refused."""
    trained = train(world(TRAINED_ON).records, seed=TRAINED_ON, population=POPULATION)
    if isinstance(trained, Refused):
        raise RuntimeError(trained.reason)
    return tried(replace(trained, rarity=None), world(TRIED_ON))  # its key is nobody else's


def tried(model: Model, on: World) -> Model:
    """The model with its calibration and threshold curve against the truth of a world, with the prior of its size."""
    confidence = score_levels(model.for_population(len(on.records)), on.levels).confidence
    same = on.are_same
    calibration = calibration_of(confidence, same.astype(np.float64), "truth")
    return replace(model, calibration=calibration, thresholds=truth_curve(confidence, same, on.matches))


def main() -> None:
    """Write the model."""
    model = make()
    PATH.write_bytes(orjson.dumps(model.to_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    at = next(row for row in model.thresholds if row.confidence == 0.9)
    sys.stdout.write(
        f"{model.full_name}: calibration error {model.calibration.error:.3f}; "
        f"at 0.9 precision {at.precision:.4f}, recall {at.recall:.4f}\n"
    )


if __name__ == "__main__":
    main()

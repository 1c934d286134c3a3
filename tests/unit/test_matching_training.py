"""Training: finds the classes without being told, keeps households apart, and refuses what it can't know."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from service.matching.compare import stack
from service.matching.encode import Encoded
from service.matching.model import Model
from service.matching.pairs import blocked_pairs, random_pairs, sample_of
from service.matching.score import score_codes, score_levels
from service.matching.train import Refused, calibration_of, compared, fitted, model_of, train
from service.sample.people_model import World, world

SEED, RECORDS = 20_265, 3_000


@pytest.fixture(scope="module")
def small() -> World:
    """A world that no model was made from."""
    return world(SEED, RECORDS)


@pytest.fixture(scope="module")
def trained(small: World) -> Model:
    found = train(small.records, seed=1)
    assert isinstance(found, Model)
    return found


def test_it_expects_about_as_many_matches_as_there_are(small: World, trained: Model) -> None:
    assert abs(trained.expected_matches - small.are_same.sum()) < 0.1 * small.are_same.sum()


def test_its_confidence_is_true(small: World, trained: Model) -> None:
    codes = stack(small.records)
    found = score_codes(trained, codes[small.pairs[:, 0]], codes[small.pairs[:, 1]], small.records[0].version)
    assert calibration_of(found.confidence, small.are_same.astype(np.float64), "truth").error <= 0.05


def test_three_classes_tell_households_from_persons_better_than_two(small: World) -> None:
    codes, count = stack(small.records), len(small.records)
    blocked = compared(codes, small.pairs)
    chance = compared(codes, random_pairs(count, 200_000, 1))
    households = np.array([one.household for one in small.known])
    of_one_house = (households[small.pairs[:, 0]] == households[small.pairs[:, 1]]) & ~small.are_same
    wrong, precision = {}, {}
    for classes in (2, 3):
        found = fitted(blocked, chance, count, households=classes == 3)
        linked = score_levels(model_of(found, "try", 1, count, count), blocked.levels).confidence >= 0.9
        wrong[classes] = int((linked & of_one_house).sum())
        precision[classes] = float(small.are_same[linked].mean())
    assert wrong[3] * 5 < wrong[2]
    assert precision[3] > 0.95 > precision[2]


def test_the_same_records_in_any_order_give_the_same_sample(small: World) -> None:
    records = list(small.records[:500])
    assert sample_of(records, 100, 7) == sample_of(records[::-1], 100, 7)
    assert len(sample_of(records, 1_000, 7)) == 500


def test_no_name_is_in_a_model(small: World, trained: Model) -> None:
    document = orjson.dumps(trained.to_json()).decode()
    assert trained.rarity is not None
    assert not any(f'"{one.attributes.get("family_name", "?")}"' in document for one in small.known)
    assert Model.from_json(orjson.loads(document)).to_json() == trained.to_json()


def test_too_few_matches_are_refused(small: World) -> None:
    few = train(small.records[:150], seed=1)
    assert isinstance(few, Refused)
    assert "at least 200" in few.reason
    strangers: dict[int, Encoded] = {one.person: record for one, record in zip(small.known, small.records, strict=True)}
    alone = train(list(strangers.values()), seed=1)
    assert isinstance(alone, Refused)
    assert isinstance(train([], seed=1), Refused)


def test_pairs_share_a_key_that_few_have(small: World) -> None:
    records = small.records[:200]
    found = {tuple(pair) for pair in blocked_pairs(records, 10).tolist()}
    owners: dict[bytes, set[int]] = {}
    for i, record in enumerate(records):
        for key in record.keys:
            owners.setdefault(key, set()).add(i)
    expected = {(a, b) for of in owners.values() if len(of) <= 10 for a in of for b in of if a < b}
    assert found == expected

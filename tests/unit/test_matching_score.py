"""Scores by the model that is built in: families, juniors and namesakes apart, moved and mistyped persons found."""

from __future__ import annotations

import math

import numpy as np
import pytest

from service.matching.fields import CLASSES, FIELDS, LEVELS
from service.matching.model import Model, built_in
from service.matching.score import Scored, agrees, score, score_many, what_would_make
from tests.unit.matching_people import PERSON, but, encoded

LINK = 0.9
MOVED = but(PERSON, house_number="7", street="Elmgrove Road", suburb="Torul", postcode="6001", city="Zimver")


def scored(a: dict[str, str], b: dict[str, str]) -> Scored:
    return score(built_in(), encoded(a), encoded(b))


@pytest.mark.parametrize(
    "changed",
    [
        but(PERSON, "phone", street="Lantorwal St"),
        MOVED,
        but(PERSON, phone="+61498765432"),
        but(PERSON, email="somebody@else.example"),
        but(PERSON, family_name="Baldrofenhal"),
        but(PERSON, birth_date="1958-03-15"),
        but(PERSON, "email", "phone"),
        but(PERSON, given_name="Kate"),
    ],
)
def test_one_person_in_two_records_is_linked(changed: dict[str, str]) -> None:
    assert scored(PERSON, changed).confidence >= LINK


@pytest.mark.parametrize("given", ["Oliver", "Matilda", "Jonathan"])
def test_twins_are_not_linked(given: str) -> None:
    one = but(PERSON, "email")
    assert scored(one, but(one, given_name=given)).confidence < LINK


def test_father_and_son_of_one_name_are_not_linked() -> None:
    one = but(PERSON, "email", birth_date="1948-05-17")
    assert scored(one, but(one, birth_date="1977-11-02")).confidence < LINK


def test_a_couple_is_a_household() -> None:
    one = but(PERSON, "email")
    found = scored(one, but(one, given_name="Gregory", birth_date="1969-10-30"))
    assert found.classes["household"] > found.classes["same"]
    assert found.confidence < LINK


def test_namesakes_and_strangers_are_not_linked() -> None:
    stranger = but(
        MOVED,
        given_name="Wolfgang",
        family_name="Zimcasyar",
        birth_date="1971-11-02",
        phone="+61498765432",
        email="w@else.example",
    )
    assert scored(PERSON, stranger).classes["unrelated"] > 0.99
    namesake = but(stranger, given_name="Katherine", family_name=PERSON["family_name"])
    assert scored(PERSON, namesake).confidence < LINK


def test_confidence_falls_with_agreement_and_missing_lies_between() -> None:
    home = but(PERSON, "phone", "email", "suburb", "city")
    equal, close, different, missing = (
        scored(home, other).confidence
        for other in (
            home,
            but(home, birth_date="1958-03-15"),
            but(home, birth_date="1977-11-02"),
            but(home, "birth_date"),
        )
    )
    assert equal >= close > different
    assert equal >= missing > different + 0.01


def test_fields_are_told_with_level_and_weight() -> None:
    found = {one.field: one for one in scored(PERSON, but(PERSON, "phone", family_name="Zimcasyar")).fields}
    assert tuple(found) == FIELDS
    assert found["phone"][1:] == ("missing", 0.0)
    assert found["family_name"].level == "different"
    assert found["family_name"].weight < 0 < found["birth_date"].weight


def test_a_closer_level_never_weighs_less() -> None:
    weights = built_in().weights
    assert (np.diff(weights[:, 1:], axis=1) >= 0).all()
    assert (weights[:, LEVELS.index("missing")] == 0).all()
    told = [i for i, name in enumerate(FIELDS) if name != "country"]
    assert (weights[told, -1] > np.maximum(0, weights[told, 1])).all()


def test_a_pair_scores_the_same_alone_and_among_others() -> None:
    others = [PERSON, MOVED, but(PERSON, "email"), {"given_name": "Ada"}]
    records = [encoded(one) for one in others]
    many = score_many(built_in(), records, records[::-1])
    for i, (a, b) in enumerate(zip(records, records[::-1], strict=True)):
        assert many.scored(built_in(), i) == score(built_in(), a, b) == score(built_in(), b, a)
    assert tuple(many.scored(built_in(), 0).classes) == CLASSES


def test_a_model_comes_back_from_json_as_it_was() -> None:
    model = built_in()
    again = Model.from_json(model.to_json())
    assert again.to_json() == model.to_json()
    assert (model.full_name, model.rarity) == ("people/1", None)
    assert model.calibration.against == "truth"
    assert model.calibration.error <= 0.03


def test_a_larger_store_makes_a_match_rarer() -> None:
    weak = but(PERSON, "email", "phone", "birth_date")
    confidences = [
        score(built_in().for_population(n), encoded(PERSON), encoded(weak)).confidence for n in (10_000, 100_000, 10**6)
    ]
    assert confidences == sorted(confidences, reverse=True)


def test_what_would_make_it_so() -> None:
    a, b = but(PERSON, "phone", "email", "birth_date"), but(MOVED, "phone", "email", "birth_date")
    steps = what_would_make(built_in(), encoded(a), encoded(b), LINK)
    assert steps
    assert all(step.confidence >= LINK for step in steps)
    assert any(("birth_date", "equal") in step.fields for step in steps)
    away = what_would_make(built_in(), encoded(PERSON), encoded(but(PERSON, "phone", "email")), 0.5)
    assert away
    assert all(step.confidence < 0.5 for step in away)


def test_clusters_agree_on_the_whole() -> None:
    assert agrees([])
    assert agrees([3.0, -2.9])
    assert not agrees([3.0, -3.1])
    assert not agrees([500.0, -12.0, -1.0])
    assert agrees([math.inf, -math.inf])

"""Laws of scores and of the profiles that follow: whatever the records, in whatever order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.matching.encode import Encoded, Encoder
from service.matching.fields import CLOSE, EQUAL, FIELDS, MISSING, normalise
from service.matching.model import built_in
from service.matching.pairs import blocked_pairs
from service.matching.score import score, score_levels, score_many
from service.model.evidence import Bond, Standing, Tier
from service.model.identifiers import IdentifierKey, Pair, pair_of
from service.model.policy import Namespace, Policy
from service.resolution.resolve import resolve
from service.sample.persons import Population

ENCODER = Encoder(bytes(range(32)))
POOL = [one.attributes for one in Population(20_266).records(400)]
words = st.one_of(st.sampled_from(("Ada", "ada", "n/a", "K", "Ünal", "李", "")), st.text(max_size=12))
invented = st.dictionaries(st.sampled_from(FIELDS), words, max_size=len(FIELDS))
attributes = st.one_of(st.sampled_from(POOL), invented)
records = attributes.map(lambda told: ENCODER.encode(normalise(told)))


@given(records, records)
def test_a_score_is_symmetric_and_its_classes_add_up(a: Encoded, b: Encoded) -> None:
    found = score(built_in(), a, b)
    assert found == score(built_in(), b, a)
    assert abs(sum(found.classes.values()) - 1) < 1e-9
    assert found.confidence == found.classes["same"]
    assert Encoded.from_bytes(a.to_bytes()) == a


@given(st.lists(records, min_size=2, max_size=12), st.randoms(use_true_random=False))
def test_a_score_does_not_depend_on_what_is_scored_with_it(found: list[Encoded], chance: st.DataObject) -> None:
    one = score_many(built_in(), found[:1], found[1:2])
    order = list(range(len(found) - 1))
    chance.shuffle(order)  # type: ignore[attr-defined]
    many = score_many(built_in(), [found[0]] * len(order), [found[1 + i] for i in order])
    at = order.index(0)
    assert (one.confidence[0], one.log_odds[0]) == (many.confidence[at], many.log_odds[at])


@given(
    st.lists(st.integers(MISSING, EQUAL), min_size=len(FIELDS), max_size=len(FIELDS)),
    st.sampled_from(("given_name", "birth_date")),
)
def test_a_closer_given_name_or_birth_date_never_makes_one_person_less_probable(told: list[int], field: str) -> None:
    levels = np.tile(np.array(told, dtype=np.uint8), (4, 1))
    levels[:, FIELDS.index(field)] = range(1, 5)
    if field == "given_name":
        levels[:, FIELDS.index("email")] = MISSING  # mail addresses are read beside names
    found = score_levels(built_in(), levels).log_odds
    assert (np.diff(found) >= -1e-6).all()
    assert CLOSE < EQUAL


class _World:
    """Records with the links that they imply."""

    def __init__(self, records: Sequence[Encoded]) -> None:
        self.keys = [IdentifierKey(f"rec:{i:05}") for i in range(len(records))]
        pairs = blocked_pairs(records)
        left, right = ([records[i] for i in side] for side in pairs.T.tolist())
        self._records = dict(zip(self.keys, records, strict=True))
        confidence = score_many(built_in(), left, right).confidence.tolist()
        self.bonds = [
            Bond(self.keys[a], self.keys[b], Tier.PROBABILISTIC, sure, 0, 0)
            for (a, b), sure in zip(pairs.tolist(), confidence, strict=True)
            if sure >= 0.5
        ]

    def across(self, x: Sequence[IdentifierKey], y: Sequence[IdentifierKey]) -> Mapping[Pair, float]:
        ends = [(a, b) for a in x for b in y]
        sides = ([self._records[end[i]] for end in ends] for i in (0, 1))
        return dict(zip((pair_of(*end) for end in ends), score_many(built_in(), *sides).log_odds.tolist(), strict=True))


_KNOWN = _World([ENCODER.encode(normalise(told)) for told in POOL[:150]])
_POLICY = Policy(1, "records", {"rec": Namespace("rec", kind="person")})


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(150)), st.randoms(use_true_random=False))
def test_the_same_records_in_any_order_make_the_same_profiles(order: list[int], chance: st.DataObject) -> None:
    bonds = list(_KNOWN.bonds)
    straight = resolve({key: Standing(key) for key in _KNOWN.keys}, bonds, _POLICY, _KNOWN.across)
    chance.shuffle(bonds)  # type: ignore[attr-defined]
    keys = [_KNOWN.keys[i] for i in order]
    mixed = resolve({key: Standing(key) for key in keys}, bonds, _POLICY, _KNOWN.across)
    assert set(mixed.clusters) == set(straight.clusters)
    assert mixed.withheld == straight.withheld

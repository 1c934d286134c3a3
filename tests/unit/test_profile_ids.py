"""Birth ids, seniority, and hands that pass an id on."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.evidence import Hand
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.policy import Namespace, Policy
from service.resolution.profile_ids import births_under, held_by, in_force, senior_of, seniority

POLICY = Policy(
    1,
    "p",
    {
        "crm": Namespace("crm", "person", 1),
        "login": Namespace("login", "person", 2),
        "device": Namespace("device", "device", 0),
    },
)
TOM, ANN = IdentifierKey("crm:tom"), IdentifierKey("crm:ann")


def birth(key: IdentifierKey, counter: int) -> ProfileId:
    return ProfileId(f"{key}/{counter}")


def test_a_birth_id_is_opaque_and_depends_on_secret_key_and_counter() -> None:
    births = births_under(b"s" * 32)
    first = births(TOM, 0)
    assert first == births_under(b"s" * 32)(TOM, 0)
    assert first.startswith("prf_") and len(first) == 28 and "tom" not in first and first == first.lower()
    assert ":" not in first
    assert len({first, births(TOM, 1), births(ANN, 0), births_under(b"t" * 32)(TOM, 0)}) == 4


def test_a_counter_and_a_key_cannot_be_mistaken_for_each_other() -> None:
    births = births_under(b"s" * 32)
    assert births(IdentifierKey("1:x"), 1) != births(IdentifierKey("x"), 11)
    assert births(IdentifierKey("a\0b:x"), 0) != births(IdentifierKey("a:x"), 0)


def test_seniority_person_first_then_priority_then_first_seen_then_key() -> None:
    ranked = [("crm:z", 9), ("login:b", 1), ("login:a", 2), ("login:c", 2), ("device:a", 0)]
    for shuffled in itertools.permutations(ranked):
        by = sorted(shuffled, key=lambda item: seniority(IdentifierKey(item[0]), item[1], POLICY))
        assert by == ranked


def test_the_senior_of_none_is_an_error() -> None:
    assert senior_of([ANN, TOM], {ANN: 5, TOM: 4}, POLICY) == TOM
    with pytest.raises(ValueError):
        senior_of([], {}, POLICY)


def test_nobody_handed_it_anything_so_it_holds_its_first_birth_id() -> None:
    assert held_by(TOM, [], birth) == "crm:tom/0"


def test_it_holds_the_latest_id_handed_to_it() -> None:
    hands = [Hand(1, ProfileId("x"), TOM), Hand(2, ProfileId("y"), TOM)]
    assert held_by(TOM, hands, birth) == "y"
    assert held_by(ANN, hands, birth) == "crm:ann/0"


def test_whose_birth_id_was_handed_on_uses_its_next_counter() -> None:
    given_away = Hand(1, birth(TOM, 0), ANN)
    assert held_by(TOM, [given_away], birth) == "crm:tom/1"
    assert held_by(TOM, [given_away, Hand(2, birth(TOM, 1), ANN)], birth) == "crm:tom/2"
    assert held_by(ANN, [given_away], birth) == "crm:tom/0"


def test_it_may_be_handed_its_own_birth_id_back() -> None:
    hands = [Hand(1, birth(TOM, 0), ANN), Hand(2, birth(TOM, 0), TOM)]
    assert held_by(TOM, hands, birth) == "crm:tom/0"
    assert held_by(ANN, hands, birth) == "crm:ann/0"


def test_of_two_hands_on_one_id_the_latest_counts_and_undoing_it_gives_way_to_the_former() -> None:
    earlier, later = Hand(1, ProfileId("x"), TOM), Hand(2, ProfileId("x"), ANN)
    assert in_force([later, earlier]) == {"x": later}
    assert (held_by(TOM, [earlier, later], birth), held_by(ANN, [earlier, later], birth)) == ("crm:tom/0", "x")
    assert (held_by(TOM, [earlier], birth), held_by(ANN, [earlier], birth)) == ("x", "crm:ann/0")


def test_an_erased_identifier_begins_at_a_later_counter() -> None:
    assert held_by(TOM, [], birth, base=3) == "crm:tom/3"


KEYS = [IdentifierKey(f"crm:{letter}") for letter in "abc"]
IDS = [birth(key, counter) for key in KEYS for counter in (0, 1)]


@given(st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(KEYS)), max_size=8), st.randoms())
def test_no_two_identifiers_hold_one_id_whatever_was_handed_on(
    handed: list[tuple[ProfileId, IdentifierKey]], chance: object
) -> None:
    hands = [Hand(at, profile_id, key) for at, (profile_id, key) in enumerate(handed)]
    held = [held_by(key, hands, birth) for key in KEYS]
    assert len(set(held)) == len(KEYS)
    chance.shuffle(hands)  # type: ignore[attr-defined]
    assert [held_by(key, hands, birth) for key in KEYS] == held

"""Rules 1 and 2: who bridges nothing, and the order in which links are joined."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.evidence import Bond, Standing, Tier
from service.model.identifiers import IdentifierKey
from service.model.policy import Contested, Namespace, Policy
from service.resolution.ranking import bar_of, bars, in_order, rank


def policy(contested: Contested = "newest", **more: Namespace) -> Policy:
    spaces = {
        "crm": Namespace("crm", "person", 1, max_per_profile=1),
        "login": Namespace("login", "person", 2, contested=contested),
        "cookie": Namespace("cookie", "device", 6, contested=contested, max_links=3),
        **more,
    }
    return Policy(1, "p", spaces)


def bond(
    a: str, b: str, tier: Tier = Tier.DETERMINISTIC, sure: float = 0.9, at: int = 0, first: int | None = None
) -> Bond:
    low, high = sorted((a, b))
    return Bond(IdentifierKey(low), IdentifierKey(high), tier, sure, at, at if first is None else first)


def order(bonds: list[Bond], rules: Policy) -> list[tuple[str, str]]:
    return [(str(a), str(b)) for (a, b), _ in in_order(bonds, rules)]


# ---- order


def test_steward_before_deterministic_before_probabilistic() -> None:
    bonds = [
        bond("crm:a", "login:a", Tier.PROBABILISTIC, 1.0, 9),
        bond("cookie:a", "cookie:b", Tier.STEWARD, 1.0, 1),
        bond("crm:a", "login:b", Tier.DETERMINISTIC, 0.5, 0),
    ]
    assert [tier for _, tier in in_order(bonds, policy())] == [Tier.STEWARD, Tier.DETERMINISTIC, Tier.PROBABILISTIC]


def test_strong_namespaces_are_settled_before_weak_ones_however_old() -> None:
    old, new = bond("crm:a", "login:a", at=1), bond("login:a", "cookie:a", at=99)
    assert order([new, old], policy()) == [("crm:a", "login:a"), ("cookie:a", "login:a")]


@pytest.mark.parametrize(
    ("contested", "first"),
    [("newest", "crm:n"), ("nobody", "crm:n"), ("strongest", "crm:s"), ("oldest", "crm:o")],
)
def test_the_less_senior_end_says_by_its_contested_rule_who_gets_it(contested: Contested, first: str) -> None:
    bonds = [
        bond("crm:n", "cookie:a", sure=0.6, at=30, first=20),
        bond("crm:s", "cookie:a", sure=0.9, at=20, first=15),
        bond("crm:o", "cookie:a", sure=0.5, at=10, first=5),
    ]
    for shuffled in itertools.permutations(bonds):
        assert order(list(shuffled), policy(contested))[0] == ("cookie:a", first)


@pytest.mark.parametrize(
    ("contested", "stronger", "weaker"),
    [
        ("newest", {"sure": 0.9, "at": 5}, {"sure": 0.6, "at": 5}),
        ("strongest", {"sure": 0.9, "at": 6}, {"sure": 0.9, "at": 5}),
        ("oldest", {"sure": 0.9, "at": 9, "first": 5}, {"sure": 0.6, "at": 9, "first": 5}),
    ],
)
def test_ties_fall_to_the_second_term_of_the_rule(
    contested: Contested, stronger: dict[str, float], weaker: dict[str, float]
) -> None:
    bonds = [bond("crm:b", "cookie:a", **weaker), bond("crm:z", "cookie:a", **stronger)]  # type: ignore[arg-type]
    assert order(bonds, policy(contested))[0] == ("cookie:a", "crm:z")


def test_then_the_other_ends_priority_then_the_keys() -> None:
    bonds = [bond("login:a", "cookie:a"), bond("crm:b", "cookie:a"), bond("crm:a", "cookie:a")]
    assert order(bonds, policy()) == [("cookie:a", "crm:a"), ("cookie:a", "crm:b"), ("cookie:a", "login:a")]


def test_probabilistic_ones_by_confidence_then_seniority_then_newest() -> None:
    def maybe(a: str, b: str, sure: float, at: int) -> Bond:
        return bond(a, b, Tier.PROBABILISTIC, sure, at)

    bonds = [
        maybe("crm:a", "login:a", 0.91, 9),
        maybe("login:b", "cookie:b", 0.95, 9),
        maybe("crm:c", "login:c", 0.95, 1),
        maybe("crm:d", "login:d", 0.95, 2),
    ]
    expected = [("crm:d", "login:d"), ("crm:c", "login:c"), ("cookie:b", "login:b"), ("crm:a", "login:a")]
    assert order(bonds, policy("strongest")) == expected


def test_several_links_of_a_pair_count_once_with_the_best_rank() -> None:
    twice = [
        bond("crm:a", "cookie:a", Tier.PROBABILISTIC, 1.0, 99),
        bond("crm:a", "cookie:a", at=1),
        bond("crm:b", "cookie:a", at=5),
        bond("crm:a", "cookie:a", at=9),
    ]
    expected = [("cookie:a", "crm:a"), ("cookie:a", "crm:b")]
    for shuffled in itertools.permutations(twice):
        assert order(list(shuffled), policy()) == expected
        assert {tier for _, tier in in_order(shuffled, policy())} == {Tier.DETERMINISTIC}


ENDS = [f"{name}:{value}" for name in ("crm", "login", "cookie") for value in "abc"]
bonds_of_any_kind = st.builds(
    bond,
    st.sampled_from(ENDS[:5]),
    st.sampled_from(ENDS[5:]),
    st.sampled_from(Tier),
    st.sampled_from((0.5, 0.9)),
    st.integers(0, 3),
    st.integers(0, 3),
)


@given(st.lists(bonds_of_any_kind, max_size=12), st.sampled_from(("newest", "strongest", "oldest")), st.randoms())
def test_the_order_is_total_and_depends_on_nothing_else(
    bonds: list[Bond], contested: Contested, chance: object
) -> None:
    rules = policy(contested)
    shuffled = list(bonds)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert in_order(shuffled, rules) == in_order(bonds, rules)
    ranks = {rank(b, rules) for b in bonds}
    assert len({r[-2:] for r in ranks}) == len({b.pair for b in bonds})  # ranks end in the pair: two pairs never tie


# ---- who bridges nothing


def standing(key: str, linking: bool = True, **neighbours: int) -> Standing:
    return Standing(IdentifierKey(key), neighbours, linking)


def test_more_than_max_links_distinct_neighbours_make_it_shared() -> None:
    assert bar_of(standing("cookie:a", crm=2, login=1), policy()) is None
    assert bar_of(standing("cookie:a", crm=2, login=2), policy()) == "shared_identifier"


def test_a_namespace_without_max_links_is_never_shared() -> None:
    rules = policy(home=Namespace("home", "household", max_links=None))
    assert bar_of(standing("home:a", crm=100_000), rules) is None


def test_a_namespace_the_policy_does_not_name_has_the_default_limit() -> None:
    assert bar_of(standing("other:a", crm=1_000), policy()) is None
    assert bar_of(standing("other:a", crm=1_001), policy()) == "shared_identifier"


def test_contested_only_where_the_namespace_says_nobody_and_counts_one_limited_namespace() -> None:
    assert bar_of(standing("cookie:a", crm=2), policy("newest")) is None
    assert bar_of(standing("cookie:a", crm=1, login=2), policy("nobody")) is None
    assert bar_of(standing("cookie:a", crm=2), policy("nobody")) == "contested"


def test_shared_is_said_before_contested_and_withdrawn_linking_before_both() -> None:
    assert bar_of(standing("cookie:a", crm=4), policy("nobody")) == "shared_identifier"
    assert bar_of(standing("cookie:a", linking=False, crm=4), policy("nobody")) == "link_not_permitted"


def test_bars_lists_the_barred_alone() -> None:
    found = bars(
        {IdentifierKey(s.key): s for s in (standing("cookie:a", crm=4), standing("crm:a", cookie=1))}, policy()
    )
    assert found == {"cookie:a": "shared_identifier"}

"""Which report of a trait counts, and who is in an audience."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from service.control.policy_document import compile_policy
from service.control.traits import audiences_of, traits_of, with_traits
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.policy import Policy
from service.model.profile import Member, Profile
from service.model.traits import Trait

NOW = 1_000_000


def policy(combine: str = "strictest", **sources: int) -> Policy:
    document: dict[str, Any] = {
        "name": "t",
        "namespaces": {"crm": {"kind": "person"}, "device": {"kind": "device"}},
        "purposes": {
            "identity_linking": {"unset": "granted"},
            "ads": {"unset": "denied"},
            "stats": {"unset": "granted"},
        },
        "consent": {"combine": combine},
        "sources": {name: {"confidence": 1, "priority": priority} for name, priority in sources.items()},
        "audiences": {
            "gold": {"when": "traits.plan == 'gold'", "purpose": "ads"},
            "new": {"when": "!has(traits.plan)", "purpose": "stats"},
            "soon": {"when": "now < timestamp(traits.until)", "purpose": "stats"},
        },
    }
    return compile_policy(document, 1)


def profile(*members: tuple[str, tuple[Trait, ...], str | None]) -> Profile:
    said = {state: (ConsentRecord("ads", "", state, 1),) for state in ("granted", "denied")}  # type: ignore[arg-type]
    found = tuple(
        Member(IdentifierKey(key), 1, 2, (), said.get(state or "", ()), traits) for key, traits, state in members
    )
    return Profile(ProfileId("prf_1"), found)


def test_of_one_source_the_newest_counts_in_any_order() -> None:
    reports = [Trait("plan", "web", value, at) for value, at in (("a", 1), ("b", 3), ("c", 2), ("a", 3))]
    found = {with_traits(with_traits((), order[:2]), order[2:]) for order in permutations(reports)}
    assert found == {(Trait("plan", "web", "b", 3),)}
    known = with_traits((), reports)
    assert with_traits(known, reports) is known or with_traits(known, reports) == known


def test_the_source_with_the_lowest_priority_counts_then_the_newest() -> None:
    crm = ("crm:1", (Trait("plan", "crm", "old", 1),), None)
    web = ("device:1", (Trait("plan", "web", "new", 9), Trait("age", "web", None, 9)), None)
    shown = {name: trait.value for name, trait in traits_of(profile(crm, web), (0, 1), policy(crm=1)).items()}
    assert shown == {"plan": "old"}
    assert traits_of(profile(crm, web), (0, 1), policy())["plan"].value == "new"
    assert traits_of(profile(crm, web), (0,), policy())["plan"].value == "old"


def test_an_audience_needs_its_condition_and_consent_for_its_purpose() -> None:
    gold = (Trait("plan", "web", "gold", 1),)
    assert audiences_of(profile(("crm:1", gold, "granted")), policy(), NOW) == ("gold",)
    assert audiences_of(profile(("crm:1", gold, None)), policy(), NOW) == ()
    assert audiences_of(profile(("crm:1", gold, "granted"), ("device:1", (), "denied")), policy(), NOW) == ()
    assert audiences_of(profile(("crm:1", (), None)), policy(), NOW) == ("new",)


def test_where_each_speaks_for_itself_only_traits_of_those_who_permit_are_looked_at() -> None:
    gold = (Trait("plan", "web", "gold", 1),)
    both = profile(("crm:1", gold, "denied"), ("device:1", (), "granted"))
    assert audiences_of(both, policy("per_identifier"), NOW, ("gold",)) == ()
    both = profile(("crm:1", gold, "granted"), ("device:1", (), "denied"))
    assert audiences_of(both, policy("per_identifier"), NOW, ("gold",)) == ("gold",)


def test_time_alone_ends_a_membership() -> None:
    person = profile(("crm:1", (Trait("until", "web", "1970-01-01T00:16:41Z", 1),), None))
    assert audiences_of(person, policy(), NOW, ("soon",)) == ("soon",)
    assert audiences_of(person, policy(), NOW + 1_000, ("soon",)) == ()

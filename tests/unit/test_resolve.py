"""Rule 3: what is joined, what is withheld and why."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.model.evidence import Bond, Standing, Tier
from service.model.identifiers import AssertionId, IdentifierKey
from service.model.policy import Namespace, Policy
from service.resolution.resolve import Refusal, Resolution, resolve

SAME, DIFFERENT = AssertionId("ast_same"), AssertionId("ast_different")


def policy(max_profile_size: int = 500, crm: int = 1) -> Policy:
    spaces = {
        "crm": Namespace("crm", "person", 1, max_per_profile=crm),
        "login": Namespace("login", "person", 2, max_per_profile=1),
        "cookie": Namespace("cookie", "device", 6, max_links=3),
        "tag": Namespace("tag", "device", 7, contested="nobody"),
    }
    return Policy(1, "p", spaces, max_profile_size=max_profile_size)


class Case:
    """Evidence put together by hand; links count in `neighbours` as the service counts them."""

    def __init__(self, rules: Policy | None = None) -> None:
        self.policy = rules or policy()
        self.bonds: list[Bond] = []
        self.named: dict[str, set[AssertionId]] = {}
        self.sides: dict[str, set[tuple[AssertionId, int]]] = {}
        self.unlinked: set[str] = set()
        self.keys: set[str] = set()

    def link(self, a: str, b: str, at: int = 0, tier: Tier = Tier.DETERMINISTIC, sure: float = 0.9) -> Case:
        low, high = sorted((a, b))
        self.bonds.append(Bond(IdentifierKey(low), IdentifierKey(high), tier, sure, at, at))
        self.keys |= {a, b}
        return self

    def merge(self, *seniors: str, named: tuple[str, ...] = (), assertion: AssertionId = SAME) -> Case:
        for i, a in enumerate(seniors):
            for b in seniors[i + 1 :]:
                self.link(a, b, tier=Tier.STEWARD, sure=1.0)
        for key in (*seniors, *named):
            self.named.setdefault(key, set()).add(assertion)
            self.keys.add(key)
        return self

    def different(self, left: tuple[str, ...], right: tuple[str, ...], assertion: AssertionId = DIFFERENT) -> Case:
        for side, keys in enumerate((left, right)):
            for key in keys:
                self.sides.setdefault(key, set()).add((assertion, side))
                self.keys.add(key)
        return self

    def resolve(self) -> Resolution:
        standings = {}
        for name in self.keys:
            key = IdentifierKey(name)
            others = {
                end for b in self.bonds if b.tier is not Tier.STEWARD and key in b.pair for end in b.pair if end != key
            }
            counts: dict[str, int] = {}
            for end in others:
                counts[end.split(":")[0]] = counts.get(end.split(":")[0], 0) + 1
            sides, named = tuple(self.sides.get(name, ())), tuple(self.named.get(name, ()))
            standings[key] = Standing(key, counts, name not in self.unlinked, sides, named)
        return resolve(standings, self.bonds, self.policy)


def groups(resolution: Resolution) -> set[frozenset[str]]:
    return {frozenset(cluster) for cluster in resolution.clusters}


def sets(*texts: str) -> set[frozenset[str]]:
    return {frozenset(text.split()) for text in texts}


def why(resolution: Resolution, a: str, b: str) -> Refusal | None:
    low, high = sorted((IdentifierKey(a), IdentifierKey(b)))
    return resolution.withheld.get((low, high))


def test_nothing_known_nothing_resolved() -> None:
    assert resolve({}, [], policy()) == Resolution((), {}, {})


def test_every_identifier_is_in_one_profile_also_without_links() -> None:
    case = Case().link("crm:a", "cookie:a")
    case.keys.add("cookie:z")
    assert groups(case.resolve()) == sets("crm:a cookie:a", "cookie:z")


def test_a_link_whose_other_end_is_not_given_is_not_looked_at() -> None:
    key = IdentifierKey("crm:a")
    bond = Bond(IdentifierKey("cookie:a"), key, Tier.DETERMINISTIC, 1.0, 0, 0)
    assert groups(resolve({key: Standing(key)}, [bond], policy())) == sets("crm:a")


# ---- limits


def test_a_limit_keeps_two_of_a_namespace_apart_and_names_them() -> None:
    found = Case().link("crm:a", "cookie:a", at=1).link("crm:b", "cookie:a", at=2).resolve()
    assert groups(found) == sets("crm:a", "crm:b cookie:a")
    assert why(found, "crm:a", "cookie:a") == Refusal("namespace_limit", ("crm:a", "crm:b"))


def test_a_limit_of_two_lets_two_in_and_not_three() -> None:
    case = Case(policy(crm=2)).link("crm:a", "cookie:a", 3).link("crm:b", "cookie:a", 2).link("crm:c", "cookie:a", 1)
    found = case.resolve()
    assert groups(found) == sets("crm:a crm:b cookie:a", "crm:c")
    assert why(found, "crm:c", "cookie:a") == Refusal("namespace_limit", ("crm:a", "crm:b", "crm:c"))


def test_profile_size_is_the_limit_of_all_together() -> None:
    case = Case(policy(max_profile_size=2)).link("crm:a", "login:a").link("login:a", "cookie:a")
    found = case.resolve()
    assert groups(found) == sets("crm:a login:a", "cookie:a")
    assert why(found, "login:a", "cookie:a") == Refusal("profile_size")


# ---- the steward


def test_a_stewards_link_ignores_limits_size_and_shared_identifiers() -> None:
    case = Case(policy(max_profile_size=1)).merge("crm:a", "crm:b")
    assert groups(case.resolve()) == sets("crm:a crm:b")
    kiosk = Case()
    for n in range(4):
        kiosk.link(f"crm:{n}", "cookie:kiosk")
    kiosk.merge("crm:0", "cookie:kiosk")
    found = kiosk.resolve()
    assert groups(found) == sets("crm:0 cookie:kiosk", "crm:1", "crm:2", "crm:3")
    assert found.barred == {"cookie:kiosk": "shared_identifier"}
    # Rule 1 withholds all of its non-steward links, also the one of the pair that the steward joined.
    assert {str(a if b == "cookie:kiosk" else b) for a, b in found.withheld} == {f"crm:{n}" for n in range(4)}
    assert {refusal.reason for refusal in found.withheld.values()} == {"shared_identifier"}


def test_a_profile_already_over_the_limit_still_grows_by_what_does_not_add_to_it() -> None:
    found = Case().merge("crm:a", "crm:b").link("crm:b", "cookie:a").resolve()
    assert groups(found) == sets("crm:a crm:b cookie:a")


def test_and_does_not_grow_by_one_more_of_the_namespace_that_nobody_named() -> None:
    found = Case().merge("crm:a", "crm:b").link("crm:b", "cookie:a", 2).link("crm:c", "cookie:a", 1).resolve()
    assert groups(found) == sets("crm:a crm:b cookie:a", "crm:c")
    assert why(found, "crm:c", "cookie:a") == Refusal("namespace_limit", ("crm:a", "crm:b", "crm:c"))


def test_identifiers_that_one_merge_named_count_together_as_no_more_than_the_limit() -> None:
    case = Case().merge("crm:a", "crm:b", named=("login:a", "login:b"))
    case.link("crm:a", "login:a").link("crm:b", "login:b")
    assert groups(case.resolve()) == sets("crm:a crm:b login:a login:b")
    case.link("crm:a", "login:c")
    found = case.resolve()
    assert groups(found) == sets("crm:a crm:b login:a login:b", "login:c")
    refused = why(found, "crm:a", "login:c")
    assert refused is not None and refused.reason == "namespace_limit" and "login:c" in refused.conflicts_with


def test_two_merges_do_not_lend_each_other_their_names() -> None:
    case = Case().merge("crm:a", "cookie:a", named=("login:a",), assertion=AssertionId("ast_1"))
    case.merge("crm:a", "cookie:b", named=("login:b",), assertion=AssertionId("ast_2"))
    case.link("crm:a", "login:a", at=2).link("crm:a", "login:b", at=1)
    assert groups(case.resolve()) == sets("crm:a cookie:a cookie:b login:a", "login:b")


def test_different_is_stronger_than_a_merge_and_transitive() -> None:
    case = Case().merge("crm:a", "crm:b").different(("crm:a",), ("crm:b",))
    found = case.resolve()
    assert groups(found) == sets("crm:a", "crm:b")
    assert why(found, "crm:a", "crm:b") == Refusal("asserted_different", (DIFFERENT,))
    chain = Case().link("crm:a", "login:a", 9).link("login:a", "cookie:a", 8).link("cookie:a", "tag:a", 7)
    found = chain.different(("crm:a",), ("tag:a",)).resolve()
    assert groups(found) == sets("crm:a login:a cookie:a", "tag:a")
    assert why(found, "cookie:a", "tag:a") == Refusal("asserted_different", (DIFFERENT,))


def test_those_on_one_side_of_different_may_be_together() -> None:
    found = Case().link("crm:a", "login:a").different(("crm:a", "login:a"), ("cookie:a",)).resolve()
    assert groups(found) == sets("crm:a login:a", "cookie:a")


def test_of_several_differents_the_one_named_does_not_depend_on_hashing() -> None:
    case = Case().link("crm:a", "cookie:a")
    for n in "zyxab":
        case.different(("crm:a",), ("cookie:a",), AssertionId(f"ast_{n}"))
    assert why(case.resolve(), "crm:a", "cookie:a") == Refusal("asserted_different", ("ast_a",))


# ---- who bridges nothing


def test_a_contested_identifier_belongs_to_nobody() -> None:
    found = Case().link("crm:a", "tag:x").link("crm:b", "tag:x").link("login:c", "tag:x").resolve()
    assert groups(found) == sets("crm:a", "crm:b", "login:c", "tag:x")
    assert {refusal.reason for refusal in found.withheld.values()} == {"contested"}


def test_withdrawn_linking_takes_a_stewards_link_out_as_well() -> None:
    case = Case().merge("crm:a", "crm:b")
    case.unlinked.add("crm:b")
    found = case.resolve()
    assert groups(found) == sets("crm:a", "crm:b")
    assert why(found, "crm:a", "crm:b") == Refusal("link_not_permitted")


def test_a_barred_pair_names_withdrawn_linking_first() -> None:
    case = Case()
    for n in range(4):
        case.link(f"crm:{n}", "cookie:a")
    case.unlinked.add("crm:0")
    found = case.resolve()
    assert why(found, "crm:0", "cookie:a") == Refusal("link_not_permitted")
    assert why(found, "crm:1", "cookie:a") == Refusal("shared_identifier")


# ---- an over-merge heals


def test_an_over_merge_heals_once_the_missing_link_arrives() -> None:
    case = Case().link("crm:tom", "login:a", 1).link("login:a", "cookie:1", 2)
    case.policy = Policy(1, "p", {**case.policy.namespaces, "login": Namespace("login", "person", 2)})
    case.link("login:c", "cookie:1", 3)
    assert groups(case.resolve()) == sets("crm:tom login:a login:c cookie:1")
    case.link("crm:summer", "login:c", 4)
    assert groups(case.resolve()) == sets("crm:tom login:a", "crm:summer login:c cookie:1")


KEYS = [f"{name}:{value}" for name in ("crm", "login", "cookie", "tag") for value in "abc"]


@given(
    st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS), st.integers(0, 3)), max_size=15), st.integers(1, 6)
)
def test_clusters_are_disjoint_cover_all_and_keep_every_limit(links: list[tuple[str, str, int]], size: int) -> None:
    case = Case(policy(max_profile_size=size))
    case.keys |= set(KEYS)
    for a, b, at in links:
        if a != b:
            case.link(a, b, at)
    found = case.resolve()
    assert sorted(key for cluster in found.clusters for key in cluster) == sorted(KEYS)
    for cluster in found.clusters:
        assert len(cluster) <= size
        assert sum(key.startswith("crm:") for key in cluster) <= 1
        assert sum(key.startswith("login:") for key in cluster) <= 1
    of = {key: cluster for cluster in found.clusters for key in cluster}
    for bond in case.bonds:
        assert (of[bond.a] is of[bond.b]) != (bond.pair in found.withheld)

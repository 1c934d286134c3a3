"""Region, ring, moves and ids: single cases of what the properties hold in general."""

from __future__ import annotations

from service.errors import AssertedDifferent, Invalid, ProfileTooLarge, UnknownAssertion, UnknownLink, UnknownProfile
from service.model.changes import LinkReceipt, Merge, ObserveLink, RetractLink, Revoke, Split, StewardReceipt, Undo
from service.model.evidence import ConsentRecord
from service.model.identifiers import AssertionId, IdentifierKey, LinkId, ProfileId
from service.model.policy import Namespace, Policy, Purpose
from tests.properties.ledger import DAY, Bench, Grant

AT = 1_000 * DAY
LINKING = "identity_linking"


def policy(*more: Namespace, linking: str = "granted", size: int = 500) -> Policy:
    spaces = [
        Namespace("crm", "person", 1, max_per_profile=1),
        Namespace("login", "person", 2),
        Namespace("device", "device", 5, max_links=3),
        Namespace("tag", "device", 6, max_links=3, contested="nobody"),
        Namespace("home", "household", max_links=None),
        *more,
    ]
    return Policy(
        1,
        "p",
        {space.name: space for space in spaces},
        max_profile_size=size,
        linking_purpose=LINKING,
        purposes={LINKING: Purpose(LINKING, linking)},  # type: ignore[arg-type]
    )


def link(a: str, b: str, at: int = 0, sure: float = 0.9) -> ObserveLink:
    low, high = sorted((IdentifierKey(a), IdentifierKey(b)))
    return ObserveLink(LinkId(f"lnk_{low}~{high}"), low, high, "deterministic", sure, "web", "r", observed_at=AT + at)


def sets(*texts: str) -> set[frozenset[str]]:
    return {frozenset(text.split()) for text in texts}


def told(*links: ObserveLink, rules: Policy | None = None) -> Bench:
    bench = Bench(rules or policy(), AT)
    bench.turn(*links)
    return bench


def receipt(bench: Bench, sent: ObserveLink | RetractLink) -> LinkReceipt:
    (outcome,) = bench.turn(sent)
    assert isinstance(outcome.receipt, LinkReceipt)
    return outcome.receipt


def acted(bench: Bench, act: Merge | Split | Undo) -> StewardReceipt:
    (outcome,) = bench.turn(act)
    assert isinstance(outcome.receipt, StewardReceipt), outcome.error
    return outcome.receipt


def refused(bench: Bench, act: Merge | Split | Undo | RetractLink) -> Exception:
    before, assertions = bench.ledger.profiles, dict(bench.ledger.assertions)
    (outcome,) = bench.turn(act)
    assert outcome.error is not None
    assert (bench.ledger.profiles, bench.ledger.assertions) == (before, assertions)
    return outcome.error


# ---- receipts


def test_a_link_is_linked_withheld_or_duplicate_and_says_in_which_profile() -> None:
    bench = told()
    first = receipt(bench, link("crm:a", "device:x", 1))
    assert (first.status, first.reason, first.profile_id) == ("linked", None, bench.profile_of("crm:a"))
    assert receipt(bench, link("crm:a", "device:x", 1)).status == "duplicate"
    older = receipt(bench, link("crm:b", "device:x", 0))
    assert (older.status, older.reason) == ("withheld", "namespace_limit")
    weak = receipt(bench, link("crm:c", "device:y", sure=0.2))
    assert (weak.status, weak.reason) == ("withheld", "below_confidence")
    assert bench.clusters() == sets("crm:a device:x", "crm:b", "crm:c", "device:y")


def test_an_unknown_link_cannot_be_retracted_and_a_known_one_twice() -> None:
    bench = told(link("crm:a", "device:x"))
    assert isinstance(refused(bench, RetractLink(LinkId("lnk_none"))), UnknownLink)
    gone = RetractLink(link("crm:a", "device:x").link_id)
    assert receipt(bench, gone).status == receipt(bench, gone).status == "retracted"
    assert bench.clusters() == sets("crm:a", "device:x")
    assert receipt(bench, link("crm:a", "device:x")).status == "duplicate"
    assert receipt(bench, link("crm:a", "device:x", 1)).status == "linked"


def test_a_link_to_a_household_is_linked_and_joins_nobody() -> None:
    bench = told(link("crm:a", "home:1"), link("crm:b", "home:1"))
    assert bench.clusters() == sets("crm:a", "crm:b")
    assert receipt(bench, link("crm:c", "home:1")).status == "linked"
    assert bench.ledger.views[bench.profile_of("crm:a")].households == ("home:1",)


def test_where_linking_has_to_be_granted_a_new_identifier_is_not_linked_before() -> None:
    bench = told(rules=policy(linking="denied"))
    first = receipt(bench, link("crm:a", "device:x"))
    assert (first.status, first.reason) == ("withheld", "link_not_permitted")
    grants = [Grant(IdentifierKey(k), ConsentRecord(LINKING, "", "granted", AT)) for k in ("crm:a", "device:x")]
    bench.turn(grants[0])
    assert bench.clusters() == sets("crm:a", "device:x")
    bench.turn(grants[1])
    assert bench.clusters() == sets("crm:a device:x")


# ---- who bridges nothing


def test_one_link_too_many_makes_a_device_shared_and_one_less_ends_it() -> None:
    links = [link(f"login:n{n}", "device:kiosk", n) for n in range(4)]
    bench = told(*links[:3])
    assert bench.clusters() == sets("login:n0 login:n1 login:n2 device:kiosk")
    bench.turn(links[3])
    assert bench.clusters() == sets("login:n0", "login:n1", "login:n2", "login:n3", "device:kiosk")
    assert set(bench.ledger.withheld.values()) == {"shared_identifier"}
    assert len(bench.ledger.withheld) == 4
    bench.turn(RetractLink(links[0].link_id))
    assert bench.clusters() == sets("login:n0", "login:n1 login:n2 login:n3 device:kiosk")
    assert not bench.ledger.withheld_pairs()


def test_the_links_of_a_kiosk_are_not_loaded() -> None:
    bench = told(*(link(f"login:n{n}", "device:kiosk") for n in range(100)))
    bench.loaded.clear()
    bench.turn(link("login:new", "device:kiosk"))
    bench.turn(link("login:n5", "device:own"))
    bench.turn(RetractLink(link("login:n7", "device:kiosk").link_id))
    assert max(bench.loaded) <= 3


def test_links_say_the_reason_also_where_only_the_reason_changes() -> None:
    bench = told(link("crm:a", "tag:x"), link("crm:b", "tag:x"))
    assert set(bench.ledger.withheld_pairs().values()) == {"contested"}
    bench.turn(link("login:a", "tag:x"), link("login:b", "tag:x"))
    assert set(bench.ledger.withheld_pairs().values()) == {"shared_identifier"}
    bench.turn(RetractLink(link("login:a", "tag:x").link_id))
    assert set(bench.ledger.withheld_pairs().values()) == {"contested"}


def test_a_steward_joins_a_kiosk_and_its_other_links_stay_withheld() -> None:
    bench = told(*(link(f"login:n{n}", "device:kiosk") for n in range(4)))
    acted(bench, Merge((bench.profile_of("login:n0"), bench.profile_of("device:kiosk")), None, "r"))
    assert frozenset(("login:n0", "device:kiosk")) in bench.clusters()
    assert len(bench.ledger.withheld_pairs()) == 4


# ---- region and ring


def test_a_far_profile_is_not_loaded() -> None:
    chain = [link(f"crm:n{n}", f"device:n{n}", 2 * n) for n in range(20)]
    chain += [
        link(f"crm:n{n}", f"device:n{n - 1}", -1) for n in range(1, 20)
    ]  # each withheld: it touches its neighbour
    bench = told(*chain)
    assert len(bench.clusters()) == 20
    bench.loaded.clear()
    bench.turn(link("crm:n0", "login:new"))
    assert bench.loaded[0] <= 6


def test_a_change_runs_on_as_far_as_it_has_to() -> None:
    # One card a person and one person a card: who loses a card takes the next one's, and so on down the line.
    bench = told(link("crm:n0", "card:n0", 100), rules=policy(Namespace("card", "person", 2, max_per_profile=1)))
    for n in range(1, 6):
        bench.turn(link(f"crm:n{n}", f"card:n{n - 1}", 100 - 2 * n + 1), link(f"crm:n{n}", f"card:n{n}", 100 - 2 * n))
    assert bench.clusters() == sets(*(f"crm:n{n} card:n{n}" for n in range(6)))
    bench.turn(RetractLink(link("crm:n0", "card:n0").link_id))
    assert bench.clusters() == sets("crm:n0", *(f"crm:n{n} card:n{n - 1}" for n in range(1, 6)), "card:n5")


def test_a_namespace_whose_name_looks_like_a_profile_id_is_none() -> None:
    bench = told(link("prf_a:1", "crm:a"), rules=policy(Namespace("prf_a", "device", 7)))
    assert bench.clusters() == sets("prf_a:1 crm:a")


def test_moves_name_the_identifiers_that_changed_their_profile() -> None:
    bench = told(link("crm:a", "device:x", 1), link("crm:b", "login:b"))
    a, b = bench.profile_of("crm:a"), bench.profile_of("crm:b")
    bench.moves.clear()
    bench.turn(link("crm:b", "device:x", 2))
    assert [(key, source, target) for key, source, target, _ in bench.moves] == [("device:x", a, b)]
    assert (bench.profile_of("crm:a"), bench.profile_of("crm:b")) == (a, b)


# ---- the steward


def test_a_merge_keeps_the_survivors_id_and_an_undo_gives_both_back() -> None:
    bench = told(link("crm:a", "device:x"), link("crm:b", "device:y"))
    a, b = bench.profile_of("crm:a"), bench.profile_of("crm:b")
    merged = acted(bench, Merge((a, b), b, "r"))
    assert bench.clusters() == sets("crm:a crm:b device:x device:y")
    assert [grouping.profile_id for grouping in merged.after] == [b]
    assert {grouping.profile_id for grouping in merged.before} == {a, b}
    assert bench.leads_to(a) == bench.leads_to(b) == b
    assert merged.assertion_id is not None
    undone = acted(bench, Undo(merged.assertion_id, "r"))
    assert undone.applied and {grouping.profile_id for grouping in undone.after} == {a, b}
    assert (bench.profile_of("crm:a"), bench.profile_of("crm:b")) == (a, b)
    assert not acted(bench, Undo(merged.assertion_id, "again")).applied


def test_the_survivors_id_stays_with_it_also_where_the_other_may_not_be_linked() -> None:
    bench = told(link("crm:a", "device:x"), link("crm:b", "device:y"))
    a, b = bench.profile_of("crm:a"), bench.profile_of("crm:b")
    bench.turn(Revoke(IdentifierKey("crm:a"), "linking", at=AT))
    acted(bench, Merge((a, b), b, "r"))
    assert (bench.profile_of("crm:a"), bench.profile_of("crm:b")) == (a, b)
    bench.turn(Grant(IdentifierKey("crm:a"), ConsentRecord(LINKING, "", "granted", AT + 1)))
    assert bench.clusters() == sets("crm:a crm:b device:x device:y")


def test_a_split_leaves_the_id_with_those_who_stay_also_when_it_was_born_from_who_leaves() -> None:
    bench = told(link("crm:a", "device:x"), link("crm:a", "login:a"))
    former = bench.profile_of("crm:a")
    parted = acted(bench, Split(former, (IdentifierKey("crm:a"),), "r"))
    assert bench.profile_of("login:a") == former
    assert bench.profile_of("crm:a") not in (former, None)
    assert parted.assertion_id is not None
    acted(bench, Undo(parted.assertion_id, "r"))
    assert bench.clusters() == sets("crm:a device:x login:a")
    assert bench.profile_of("crm:a") == former


def test_those_who_leave_in_one_split_stay_together_if_evidence_says_so() -> None:
    bench = told(link("crm:a", "login:a"), link("crm:a", "login:b"), link("login:b", "device:b"))
    acted(bench, Split(bench.profile_of("crm:a"), (IdentifierKey("login:b"), IdentifierKey("device:b")), "r"))
    assert bench.clusters() == sets("crm:a login:a", "login:b device:b")


def test_what_a_steward_may_not_say_changes_nothing() -> None:
    bench = told(link("crm:a", "login:a"), link("crm:b", "login:b"), rules=policy(size=3))
    a, b = bench.profile_of("crm:a"), bench.profile_of("crm:b")
    assert isinstance(refused(bench, Merge((a, a), None, "r")), Invalid)
    assert isinstance(refused(bench, Merge((a,), None, "r")), Invalid)
    assert isinstance(refused(bench, Merge((a, ProfileId("prf_none")), None, "r")), UnknownProfile)
    assert isinstance(refused(bench, Merge((a, b), None, "r")), ProfileTooLarge)
    assert isinstance(refused(bench, Split(a, (), "r")), Invalid)
    assert isinstance(refused(bench, Split(a, (IdentifierKey("crm:b"),), "r")), Invalid)
    assert isinstance(refused(bench, Split(a, (IdentifierKey("crm:a"), IdentifierKey("login:a")), "r")), Invalid)
    assert isinstance(refused(bench, Undo(AssertionId("ast_none"), "r")), UnknownAssertion)


def test_a_merge_against_a_different_names_it() -> None:
    bench = told(link("crm:a", "login:a"))
    parted = acted(bench, Split(bench.profile_of("crm:a"), (IdentifierKey("login:a"),), "r"))
    error = refused(bench, Merge((bench.profile_of("crm:a"), bench.profile_of("login:a")), None, "r"))
    assert isinstance(error, AssertedDifferent) and error.extra == {"assertion_id": parted.assertion_id}


def test_a_survivor_has_to_be_one_of_those_merged() -> None:
    bench = told(link("crm:a", "login:a"), link("crm:b", "login:b"), link("crm:c", "login:c"))
    a, b, c = (bench.profile_of(f"crm:{letter}") for letter in "abc")
    assert isinstance(refused(bench, Merge((a, b), c, "r")), Invalid)


# ---- revocation


def test_withdrawn_linking_makes_a_profile_of_its_own_until_it_is_granted_again() -> None:
    bench = told(link("crm:a", "device:x"), link("device:x", "login:a"))
    (outcome,) = bench.turn(Revoke(IdentifierKey("device:x"), "linking", at=AT))
    assert outcome.error is None
    assert bench.clusters() == sets("crm:a", "device:x", "login:a")
    assert receipt(bench, link("login:new", "device:x")).reason == "link_not_permitted"
    bench.turn(Grant(IdentifierKey("device:x"), ConsentRecord(LINKING, "", "granted", AT + 1)))
    assert bench.clusters() == sets("crm:a device:x login:a login:new")


def test_it_holds_from_an_identifiers_first_appearance() -> None:
    bench = told()
    bench.turn(Revoke(IdentifierKey("device:x"), "linking", at=AT))
    assert bench.clusters() == set()
    bench.turn(link("crm:a", "device:x"))
    assert bench.clusters() == sets("crm:a", "device:x")


def test_withdrawing_a_purpose_leaves_the_profile_as_it_is_and_is_kept_with_it() -> None:
    bench = told(link("crm:a", "device:x"))
    bench.turn(Revoke(IdentifierKey("device:x"), "purposes", ("ads",), at=AT))
    assert bench.clusters() == sets("crm:a device:x")
    (record,) = bench.ledger.views[bench.profile_of("crm:a")].members[1].consents
    assert (record.purpose, record.state, record.at) == ("ads", "withdrawn", AT)


def test_the_star_includes_the_linking_purpose() -> None:
    bench = told(link("crm:a", "device:x"))
    bench.turn(Revoke(IdentifierKey("device:x"), "purposes", ("*",), at=AT))
    assert bench.clusters() == sets("crm:a", "device:x")

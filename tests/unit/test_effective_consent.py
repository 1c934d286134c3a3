"""What the consents of a profile add up to."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.control.effective_consent import (
    consents_of,
    effective,
    linking_permitted,
    linking_until,
    usable,
    with_record,
)
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.policy import Policy, Purpose
from service.model.profile import Member, Profile

NOW = 1_000
LINKING = "identity_linking"


def policy(combine: str = "strictest", linking: str = "granted") -> Policy:
    purposes = [
        Purpose("ads", "denied"),
        Purpose("stats", "granted", "legitimate_interest"),
        Purpose(LINKING, linking),  # type: ignore[arg-type]
    ]
    return Policy(
        1,
        "p",
        {},
        purposes={purpose.name: purpose for purpose in purposes},
        combine=combine,  # type: ignore[arg-type]
        regulations={"GDPR": {}, "CCPA": {"ads": "granted"}},
    )


def says(state: str, at: int = 1, regulation: str = "", purpose: str = "ads", ends: int | None = None) -> ConsentRecord:
    return ConsentRecord(purpose, regulation, state, at, "web", expires_at=ends)  # type: ignore[arg-type]


def found(*members: list[ConsentRecord], regulation: str | None = None, purpose: str = "ads") -> tuple[str, bool]:
    answer = effective(members, purpose, regulation, policy(), NOW)
    return answer.state, answer.permits


def profile(*members: list[ConsentRecord]) -> Profile:
    return Profile(
        ProfileId("prf_1"),
        tuple(Member(IdentifierKey(f"crm:{i}"), 0, 0, (), tuple(records)) for i, records in enumerate(members)),
    )


# ---- unset


def test_where_nobody_said_anything_the_purpose_says_what_holds() -> None:
    assert found() == ("unknown", False)
    assert found([], []) == ("unknown", False)
    assert found(purpose="stats") == ("unknown", True)
    assert effective([], "stats", None, policy(), NOW).basis == "legitimate_interest"
    assert effective([], "ads", None, policy(), NOW).basis is None


def test_a_purpose_the_policy_does_not_name_is_denied() -> None:
    assert found(purpose="resale") == ("unknown", False)


def test_a_regulation_may_have_another_unset_than_the_purpose() -> None:
    assert found(regulation="CCPA") == ("unknown", True)
    assert found(regulation="GDPR") == ("unknown", False)
    assert found(regulation="LGPD") == ("unknown", False)


def test_identifiers_without_a_record_have_no_say() -> None:
    assert found([says("granted")], []) == ("granted", True)
    assert found([says("granted")], [says("granted", purpose="stats")]) == ("granted", True)


# ---- strictest


@pytest.mark.parametrize(
    ("states", "counts"),
    [
        (["granted", "granted"], ("granted", True)),
        (["granted", "denied"], ("denied", False)),
        (["denied", "withdrawn"], ("withdrawn", False)),
        (["granted", "withdrawn"], ("withdrawn", False)),
    ],
)
def test_one_refusal_is_a_no_for_all_however_old(states: list[str], counts: tuple[str, bool]) -> None:
    members = [[says(state, at=9 - i)] for i, state in enumerate(states)]
    for shuffled in itertools.permutations(members):
        assert found(*shuffled) == counts


def test_a_grant_that_has_run_out_is_no_grant() -> None:
    assert found([says("granted", ends=NOW + 1)]) == ("granted", True)
    assert found([says("granted", ends=NOW)]) == ("expired", False)
    assert found([says("granted", ends=NOW)], [says("granted")]) == ("expired", False)
    assert found([says("granted", ends=NOW)], [says("denied")]) == ("denied", False)


def test_a_refusal_does_not_run_out() -> None:
    assert found([says("denied", ends=1)]) == ("denied", False)


def test_the_answer_names_the_record_that_counts() -> None:
    answer = effective([[says("granted", at=5)], [says("denied", at=3, regulation="GDPR")]], "ads", None, policy(), NOW)
    assert (answer.state, answer.regulation, answer.source, answer.at) == ("denied", "GDPR", "web", 3)
    assert effective([[says("granted")]], "ads", None, policy(), NOW).basis == "consent"
    assert effective([[says("granted", purpose="stats")]], "stats", None, policy(), NOW).basis == "legitimate_interest"


# ---- regulations


def test_what_names_no_regulation_speaks_for_all() -> None:
    assert found([says("withdrawn")], regulation="GDPR") == ("withdrawn", False)
    assert found([says("granted")], regulation="GDPR") == ("granted", True)


def test_per_identifier_the_newest_of_both_counts() -> None:
    older, newer = says("withdrawn", 1), says("granted", 2, "GDPR")
    assert found([older, newer], regulation="GDPR") == ("granted", True)
    assert found([says("withdrawn", 3), newer], regulation="GDPR") == ("withdrawn", False)
    assert found([older, newer], regulation="CCPA") == ("withdrawn", False)


def test_at_equal_times_the_stricter_of_both_counts() -> None:
    assert found([says("denied", 2), says("granted", 2, "GDPR")], regulation="GDPR") == ("denied", False)


def test_a_regulation_not_asked_for_has_no_say() -> None:
    assert found([says("denied", regulation="CCPA")], regulation="GDPR") == ("unknown", False)
    assert found([says("granted", regulation="GDPR")], [says("denied", regulation="CCPA")], regulation="GDPR")[1]


def test_asked_under_none_the_strictest_over_those_that_the_records_name_whatever_they_are_about() -> None:
    assert found([says("granted", regulation="CCPA")]) == ("granted", True)
    assert found([says("granted", regulation="CCPA"), says("granted", regulation="GDPR", purpose="stats")]) == (
        "unknown",
        False,
    )
    assert found([says("granted", regulation="CCPA", purpose="stats")]) == ("unknown", True)
    assert found([says("granted", regulation="CCPA")], [says("denied", regulation="GDPR")]) == ("denied", False)


# ---- members


def test_strictest_uses_all_or_none() -> None:
    assert usable(profile([says("granted")], []), "ads", policy(), NOW) == {0, 1}
    assert usable(profile([says("granted")], [says("denied")]), "ads", policy(), NOW) == frozenset()


def test_per_identifier_each_speaks_for_itself() -> None:
    each = policy("per_identifier")
    assert usable(profile([says("granted")], [says("denied")], []), "ads", each, NOW) == {0}
    assert usable(profile([says("denied", purpose="stats")], []), "stats", each, NOW) == {1}


def test_every_purpose_of_the_policy_and_of_the_records_is_answered() -> None:
    answers = consents_of(profile([says("granted", purpose="resale")]), policy(), NOW)
    assert list(answers) == ["ads", "stats", LINKING, "resale"]


# ---- linking


def test_without_a_word_on_linking_the_policy_says() -> None:
    assert linking_permitted((), policy(), NOW)
    assert not linking_permitted((), policy(linking="denied"), NOW)
    assert linking_permitted([says("denied")], policy(), NOW)


def test_linking_needs_a_grant_under_every_regulation_named() -> None:
    def said(*records: tuple[str, int, str]) -> bool:
        return linking_permitted([says(s, at, reg, LINKING) for s, at, reg in records], policy(linking="denied"), NOW)

    assert said(("granted", 1, ""))
    assert not said(("granted", 1, "GDPR"), ("withdrawn", 1, "CCPA"))
    assert said(("withdrawn", 1, ""), ("granted", 2, "GDPR"))
    assert not said(("withdrawn", 2, ""), ("granted", 2, "GDPR"))


def test_a_grant_of_linking_permits_until_it_runs_out() -> None:
    grant = says("granted", 1, "GDPR", LINKING, ends=NOW)
    assert linking_until([grant], policy()) == NOW
    assert linking_permitted([grant], policy(linking="denied"), NOW - 1)
    assert not linking_permitted([grant], policy(linking="granted"), NOW)


def test_of_two_grants_of_one_time_the_one_that_ends_first_counts() -> None:
    short, long = says("granted", 1, ends=NOW), says("granted", 1)
    assert with_record(with_record((), short), long) == with_record(with_record((), long), short) == (short,)


# ---- records


@given(
    st.lists(
        st.builds(
            says,
            st.sampled_from(("granted", "denied", "withdrawn")),
            st.integers(0, 2),
            st.sampled_from(("", "GDPR")),
            st.sampled_from(("ads", "stats")),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_newer_wins_whatever_the_order_of_arrival_and_the_stricter_at_equal_times(records: list[ConsentRecord]) -> None:
    ends = set()
    for order in itertools.permutations(records):
        kept: tuple[ConsentRecord, ...] = ()
        for record in (*order, order[0]):
            kept = with_record(kept, record)
        ends.add(kept)
    (kept,) = ends
    strictness = {"granted": 0, "denied": 1, "withdrawn": 2}
    assert len({(r.purpose, r.regulation) for r in kept}) == len(kept)
    for one in kept:
        same = [r for r in records if (r.purpose, r.regulation) == (one.purpose, one.regulation)]
        assert (one.at, strictness[one.state]) == max((r.at, strictness[r.state]) for r in same)


@given(
    st.lists(
        st.lists(st.builds(says, st.sampled_from(("granted", "denied", "withdrawn")), st.integers(0, 3)), max_size=2)
    ),
    st.sampled_from(("denied", "withdrawn")),
    st.sampled_from((None, "GDPR", "CCPA")),
)
def test_refusing_more_never_permits_more(
    members: list[list[ConsentRecord]], refusal: str, regulation: str | None
) -> None:
    assert not found(*members, [says(refusal, 0)], regulation=regulation)[1]

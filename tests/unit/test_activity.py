"""Which links have a say, until when, and what becomes of a link that is sent again."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.evidence import Link
from service.model.identifiers import IdentifierKey, LinkId
from service.model.policy import Namespace, Policy
from service.resolution.activity import due_of, inactive_of, updated

POLICY = Policy(
    1,
    "p",
    {
        "crm": Namespace("crm", "person", 1),
        "cookie": Namespace("cookie", "device", 6, ttl_ms=90),
        "session": Namespace("session", "session", 9, ttl_ms=10),
    },
)


def link(
    a: str = "cookie:a", b: str = "crm:a", at: int = 100, sure: float = 0.9, first: int | None = None, **more: object
) -> Link:
    found = Link(
        LinkId("lnk_1"),
        IdentifierKey(a),
        IdentifierKey(b),
        "deterministic",
        sure,
        "web",
        "r",
        None,
        at,
        at if first is None else first,
    )
    return replace(found, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("a", "b", "expires_at", "due"),
    [
        ("crm:a", "crm:b", None, None),
        ("crm:a", "crm:b", 500, 500),
        ("cookie:a", "crm:a", None, 190),
        ("cookie:a", "session:a", None, 110),
        ("cookie:a", "crm:a", 150, 150),
        ("cookie:a", "crm:a", 500, 190),
        ("crm:a", "unnamed:a", None, None),
    ],
)
def test_a_link_is_due_at_its_own_end_or_after_the_shorter_ttl(
    a: str, b: str, expires_at: int | None, due: int | None
) -> None:
    assert due_of(link(a, b, expires_at=expires_at), POLICY) == due


def test_inactive_for_one_reason_in_this_order() -> None:
    bad = link(sure=0.4, due=100, retracted_at=5)
    assert inactive_of(bad, POLICY, linking=False, now=200) == "retracted"
    bad = replace(bad, retracted_at=None)
    assert inactive_of(bad, POLICY, linking=False, now=200) == "expired"
    bad = replace(bad, due=None)
    assert inactive_of(bad, POLICY, linking=False, now=200) == "below_confidence"
    bad = replace(bad, confidence=0.5)
    assert inactive_of(bad, POLICY, linking=False, now=200) == "link_not_permitted"
    assert inactive_of(bad, POLICY, linking=True, now=200) is None


def test_it_has_a_say_until_the_moment_it_is_due() -> None:
    assert inactive_of(link(due=200), POLICY, linking=True, now=199) is None
    assert inactive_of(link(due=200), POLICY, linking=True, now=200) == "expired"


@pytest.mark.parametrize(
    ("method", "sure", "reason"),
    [
        ("deterministic", 0.5, None),
        ("deterministic", 0.499, "below_confidence"),
        ("probabilistic", 0.9, None),
        ("probabilistic", 0.899, "below_confidence"),
    ],
)
def test_each_method_has_its_threshold(method: str, sure: float, reason: str | None) -> None:
    assert inactive_of(link(sure=sure, method=method), POLICY, linking=True, now=0) == reason


# ---- sent again


def test_the_newest_counts_and_at_equal_times_the_surer() -> None:
    known = link(at=100, sure=0.9)
    assert updated(known, link(at=101, sure=0.6)).confidence == 0.6
    assert updated(known, link(at=100, sure=0.95)).confidence == 0.95
    assert updated(known, link(at=100, sure=0.8)) is known
    assert updated(known, known) is known


def test_an_older_report_counts_only_toward_when_it_was_first_observed() -> None:
    known = link(at=100)
    older = updated(known, link(at=50, sure=1.0))
    assert (older.observed_at, older.first_observed_at, older.confidence) == (100, 50, 0.9)
    assert updated(older, link(at=70)) is older


def test_a_retracted_one_comes_back_only_with_a_newer_observation_and_begins_anew() -> None:
    gone = link(at=100, first=10, retracted_at=500)
    assert updated(gone, link(at=100, sure=1.0)) is gone
    assert updated(gone, link(at=50)) is gone
    back = updated(gone, link(at=101))
    assert back.retracted_at is None
    assert (back.observed_at, back.first_observed_at) == (101, 101)


REPORTS = st.lists(
    st.builds(
        link,
        at=st.integers(0, 3),
        sure=st.sampled_from((0.6, 0.9)),
        expires_at=st.sampled_from((None, 500, 900)),
        rule_version=st.sampled_from((None, "1", "2")),
        evidence=st.sampled_from((None, "evt")),
    ),
    min_size=1,
    max_size=4,
)


@given(REPORTS)
def test_in_any_order_and_with_duplicates_it_ends_the_same(sent: list[Link]) -> None:
    ends = {functools.reduce(updated, order) for order in itertools.permutations(sent)}
    ends.add(functools.reduce(updated, [*sent, *reversed(sent)]))
    assert len(ends) == 1

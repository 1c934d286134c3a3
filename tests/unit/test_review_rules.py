"""Which links a steward is asked about, and what a decision is worth."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from service.model.evidence import Link, Reason, Standing
from service.model.identifiers import AssertionId, IdentifierKey, LinkId
from service.model.policy import Namespace, Policy
from service.resolution.reviews import wants_review, worth_of

A, B = IdentifierKey("cookie:1"), IdentifierKey("crm:1")
POLICY = Policy(
    1, "p", {"crm": Namespace("crm", "person", 1), "cookie": Namespace("cookie", "device", 6)}, review_above=0.6
)
WEAK = Link(LinkId("lnk_1"), A, B, "probabilistic", 0.7, "web", "r", None, 1, 1, inactive="below_confidence")
REFUSED = {"namespace_limit", "profile_size", "asserted_different", "records_disagree"}


def wants(link: Link, withheld: Reason | None = None, a: Standing | None = None, b: Standing | None = None) -> bool:
    return wants_review(link, withheld, a or Standing(A), b or Standing(B), POLICY)


@pytest.mark.parametrize(("confidence", "asked"), [(0.59, False), (0.6, True), (0.89, True)])
def test_a_probable_link_is_asked_about_from_review_above(confidence: float, asked: bool) -> None:
    assert wants(replace(WEAK, confidence=confidence)) is asked


def test_a_sure_source_that_is_too_weak_is_not_asked_about() -> None:
    assert not wants(replace(WEAK, method="deterministic"))


@pytest.mark.parametrize("reason", [reason for reason in get_args(Reason) if reason != "below_confidence"])
def test_of_refused_links_those_are_asked_about_that_a_limit_or_an_assertion_refuses(reason: Reason) -> None:
    assert wants(replace(WEAK, inactive=None), reason) is (reason in REFUSED)
    assert not wants(replace(WEAK, inactive=reason), reason)


def test_what_joins_nobody_new_is_not_asked_about() -> None:
    assert not wants(replace(WEAK, inactive=None))


def test_after_a_verdict_nothing_is_asked_again() -> None:
    for verdict in ("same", "different", "dismiss"):
        assert not wants(replace(WEAK, reviewed=verdict))
        assert not wants(replace(WEAK, inactive=None, reviewed=verdict), "namespace_limit")


def test_two_who_were_said_to_be_different_are_not_asked_about() -> None:
    said = AssertionId("ast_1")
    assert not wants(WEAK, a=Standing(A, sides=((said, 0),)), b=Standing(B, sides=((said, 1),)))
    assert wants(WEAK, a=Standing(A, sides=((said, 0),)), b=Standing(B, sides=((said, 0),)))
    assert wants(WEAK, a=Standing(A, sides=((said, 0),)), b=Standing(B, sides=((AssertionId("ast_2"), 1),)))


def test_a_decision_is_worth_more_the_surer_it_is_and_the_more_it_would_join() -> None:
    assert worth_of(WEAK, [A], [B], POLICY) == pytest.approx(0.7 * 3)  # two identifiers, one of them a person's own
    assert worth_of(WEAK, [A], [B], POLICY) < worth_of(WEAK, [A, IdentifierKey("cookie:2")], [B], POLICY)
    assert worth_of(WEAK, [A], [B], POLICY) < worth_of(replace(WEAK, confidence=0.8), [A], [B], POLICY)
    assert worth_of(WEAK, [A], [B], POLICY) == worth_of(WEAK, [B], [A], POLICY)

"""After a change of policy, profiles become what they would be had all evidence come under the new one.

Evidence goes on arriving while they follow, another policy may come before they are there, and a turn looks at a few
links or identifiers at a time, as where it went on after a kill. Once the pass is over, all that is stored is what the
evidence implies under the policy in force.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from service.control.policy_scope import stages_between
from service.model.changes import ObserveLink
from service.model.identifiers import LinkId
from service.model.policy import Policy
from tests.properties.evidence_model import agrees
from tests.properties.profiles import tried
from tests.properties.strategies import CONFIDENCES, KEYS, policies, reports
from tests.properties.test_local_equals_global import Life

VALUES = sorted({key.partition(":")[2] for key in KEYS})


@st.composite
def other_policies(draw: st.DrawFn) -> Policy:
    """A policy with other limits, thresholds, lives and blocked values."""
    return replace(
        draw(policies()),
        min_confidence_deterministic=draw(st.sampled_from((0.3, 0.5, 0.7, 0.95))),
        min_confidence_probabilistic=draw(st.sampled_from((0.6, 0.9))),
        sources={source: draw(st.sampled_from(CONFIDENCES)) for source in ("crm", "web")},
        blocked_values=frozenset(draw(st.lists(st.sampled_from(VALUES), max_size=1))),
    )


def _named(sent: ObserveLink) -> ObserveLink:
    """A link of another rule, so that no source says one link with and without a confidence."""
    return replace(sent, link_id=LinkId(f"{sent.link_id}/assumed"))


def _believed(sent: ObserveLink, policy: Policy) -> ObserveLink:
    """The report as it is read under a policy: without a confidence of its own it has that of its source."""
    return replace(sent, confidence=policy.confidence_of_source(sent.source)) if sent.assumed else sent


class LifeUnderPolicies(Life):
    """A service's life under one policy after another."""

    @rule(policy=other_policies(), stretch=st.integers(1, 4), turns=st.integers(0, 3))
    def activate(self, policy: Policy, stretch: int, turns: int) -> None:
        self.bench.activate(policy)
        self.evidence.policy = policy
        for log in self.evidence.links.values():
            log.reports = [_believed(sent, policy) for sent in log.reports]
        self.sent = [_believed(sent, policy) for sent in self.sent]
        for _ in range(turns):
            self.bench.follow(stretch)

    @rule(batch=st.lists(reports(), min_size=1, max_size=4))
    def observe_without_confidence(self, batch: list[ObserveLink]) -> None:
        self.observe(
            [_believed(replace(sent, assumed=True, rule="a"), self.bench.policy) for sent in map(_named, batch)]
        )

    @rule(stretch=st.integers(1, 5))
    def follow(self, stretch: int) -> None:
        while not self.bench.follow(stretch):
            pass

    @invariant()
    def stored_is_implied(self) -> None:
        if hasattr(self, "bench") and self.bench.desk.running.is_over:
            agrees(self.bench, self.evidence)

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.follow(3)
            agrees(self.bench, self.evidence)
        super().teardown()


TestLifeUnderPolicies = LifeUnderPolicies.TestCase
TestLifeUnderPolicies.settings = tried(quick=60, deep=1_500, steps=25)


def test_a_change_that_nothing_rests_on_asks_for_no_pass() -> None:
    assert stages_between(Policy(1, "a", {}), Policy(2, "b", {}, decision_max_age_ms=1)) == ()

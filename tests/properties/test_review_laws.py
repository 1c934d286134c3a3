"""The review queue over the pure write path: what waits is what the evidence says should; no verdict is asked twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.model.changes import Judge, Merge, ObserveLink, RetractLink, Split, StewardReceipt, Undo
from service.model.evidence import Assertion
from service.model.identifiers import IdentifierKey, Pair, pair_of
from service.model.policy import Policy
from service.resolution.reviews import worth_of
from tests.properties.evidence_model import Evidence, Implied, implied
from tests.properties.ledger import DAY, Bench
from tests.properties.profiles import tried
from tests.properties.strategies import START, link_id, policies, reports
from tests.properties.waiting import WaitingLedger

REFUSED = ("namespace_limit", "profile_size", "asserted_different", "records_disagree")


def expected(evidence: Evidence, now: Implied, decided: set[Pair], asserted: list[Assertion], at: int) -> list[Pair]:
    """The pairs that should wait: worked out from all evidence."""
    where = {key: profile_id for profile_id, members in now.profiles.items() for key in members}
    logs: dict[Pair, list[ObserveLink]] = {}
    for log in evidence.links.values():
        if log.void_until is None and not evidence.is_over(log, at):
            logs.setdefault(pair_of(log.counts.a, log.counts.b), []).append(log.counts)
    found = []
    for pair, sent in logs.items():
        direct = any({pair[0], pair[1]} & a.sides[0] and {pair[0], pair[1]} & a.sides[1] for a in asserted)
        if pair in decided or direct or where.get(pair[0]) == where.get(pair[1]) or not where.keys() >= set(pair):
            continue
        active = [one for one in sent if evidence.is_active(evidence.links[one.link_id], at)]
        if active:
            waits = now.withheld.get(pair) in REFUSED
        else:
            surest = max(sent, key=lambda one: (one.confidence, one.link_id))
            permitted = all(evidence.may_be_linked(end, at) for end in pair)
            floor = evidence.policy.min_confidence_probabilistic
            weak = surest.method == "probabilistic" and surest.confidence < floor
            waits = permitted and weak and surest.confidence >= evidence.policy.review_above
        if waits:
            found.append(pair)
    return sorted(found)


def assertions_of(bench: Bench) -> list[Assertion]:
    """Those in force."""
    return [assertion for assertion in bench.ledger.assertions.values() if not assertion.undone]


@tried(quick=120, deep=2_000)
@given(policy=policies(), turns=st.lists(st.lists(reports(), min_size=1, max_size=4)), data=st.data())
def test_what_waits_is_what_the_evidence_says_and_no_verdict_is_asked_twice(
    policy: Policy, turns: list[list[ObserveLink]], data: st.DataObject
) -> None:
    bench, evidence, decided = Bench(policy), Evidence(policy), set[Pair]()
    bench.ledger = ledger = WaitingLedger(policy)
    for sent in turns:
        sent = [*sent, *again(ledger, decided, data)]
        bench.turn(*sent)
        for report in sent:
            evidence.observe(report)
        act(bench, evidence, decided, data)
        evidence.assertions = dict(bench.ledger.assertions)
        bench.advance(data.draw(st.sampled_from((0, 0, DAY))))
        now = implied(evidence, bench.now)
        assert bench.ledger.profiles == now.profiles
        assert sorted(ledger.queue()) == expected(evidence, now, decided, assertions_of(bench), bench.now)
        for (a, b), waits in ledger.queue().items():
            sides = [bench.ledger.profiles[bench.profile_of(end)] for end in (a, b)]
            if ledger.bars.keys().isdisjoint((a, b)):  # the links of one that bridges nothing are not followed
                assert ledger.waiting[waits] == worth_of(ledger.links[waits], *sides, policy)


def again(ledger: WaitingLedger, decided: set[Pair], data: st.DataObject) -> list[ObserveLink]:
    """More about pairs that wait or that a verdict was given on: by other rules, surer, or not."""
    pairs = sorted({*decided, *ledger.queue()})
    drawn = data.draw(st.lists(st.sampled_from(pairs), max_size=3)) if pairs else []
    sent = []
    for a, b in drawn:
        rule, sure = data.draw(st.sampled_from("xyz")), data.draw(st.sampled_from((0.6, 0.7, 0.8)))
        name = link_id("again", rule, "probabilistic", a, b)
        sent.append(ObserveLink(name, a, b, "probabilistic", sure, "again", rule, observed_at=START))
    return sent


def act(bench: Bench, evidence: Evidence, decided: set[Pair], data: st.DataObject) -> None:
    """A verdict, a retraction, a steward's act, or nothing."""
    ledger = bench.ledger
    assert isinstance(ledger, WaitingLedger)
    kind = data.draw(st.sampled_from(("verdict", "verdict", "retract", "split", "merge", "undo", "")))
    waiting = sorted(ledger.queue().values())
    if kind == "verdict" and waiting:
        link_id = data.draw(st.sampled_from(waiting))
        verdict = data.draw(st.sampled_from(("same", "different", "dismissed")))
        (outcome,) = bench.turn(Judge(link_id, verdict, "r"))
        if outcome.error is None:
            assert isinstance(outcome.receipt, StewardReceipt) and outcome.receipt.applied
            decided.add(ledger.links[link_id].pair)
    elif kind == "retract" and ledger.links:
        link_id = data.draw(st.sampled_from(sorted(ledger.links)))
        bench.turn(RetractLink(link_id))
        evidence.retract(link_id)
    elif kind == "undo" and ledger.assertions:
        bench.turn(Undo(data.draw(st.sampled_from(sorted(ledger.assertions))), "r"))
    elif kind == "merge" and len(bench.shown) > 1:
        ids = data.draw(st.lists(st.sampled_from(sorted(bench.shown)), min_size=2, max_size=2, unique=True))
        bench.turn(Merge(tuple(ids), None, "r"))
    elif kind == "split":
        large = sorted(i for i, members in ledger.profiles.items() if len(members) > 1)
        if large:
            profile_id = data.draw(st.sampled_from(large))
            leaving = data.draw(st.sampled_from(sorted(ledger.profiles[profile_id])))
            bench.turn(Split(profile_id, (IdentifierKey(leaving),), "r"))

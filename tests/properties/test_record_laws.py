"""Laws of records: the links that follow from them, and the profiles, are those that all that is kept implies; so
neither order nor what came and went between makes a difference. And what `resolve` makes of records that disagree.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from service.model.identifiers import IdentifierKey
from service.model.policy import Policy
from service.model.records import SOURCE, ObserveRecord, RecordReceipt, WithdrawRecord
from tests.properties.ledger import DAY, Bench
from tests.properties.profiles import tried
from tests.properties.record_model import RecordEvidence, matching_policies, records, with_matching
from tests.properties.test_local_equals_global import Life


def _later(sent: ObserveRecord, ms: int) -> ObserveRecord:
    return replace(sent, record=replace(sent.record, observed_at=sent.record.observed_at + ms))


class RecordLife(Life):
    """The life of a service that is told records beside all else, and whose policy changes how they are compared."""

    evidence: RecordEvidence

    @initialize(policy=matching_policies())
    def begin(self, policy: Policy) -> None:
        self.bench = Bench(policy)
        self.evidence = RecordEvidence(policy)
        self.sent = []

    @rule(batch=st.lists(records(), min_size=1, max_size=6))
    def tell(self, batch: list[ObserveRecord]) -> None:
        late = self.bench.now // DAY * DAY - 1_000 * DAY
        batch = [_later(sent, late) for sent in batch]
        for sent, outcome in zip(batch, self.bench.turn(*batch), strict=True):
            assert isinstance(outcome.receipt, RecordReceipt)
            self.evidence.tell(sent)
        self.bench.sweep()

    @precondition(lambda self: self.evidence.told)
    @rule(data=st.data(), also=st.none() | records())
    def take_back(self, data: st.DataObject, also: ObserveRecord | None) -> None:
        key, source = data.draw(st.sampled_from(sorted(self.evidence.told)))
        acts: list[ObserveRecord | WithdrawRecord] = [WithdrawRecord(key, source)]
        if also is not None and (also.identifier, also.record.source) != (key, source):
            acts.append(_later(also, self.bench.now // DAY * DAY - 1_000 * DAY))
        for act, outcome in zip(acts, self.bench.turn(*acts), strict=True):
            assert outcome.error is None
            if isinstance(act, WithdrawRecord):
                self.evidence.take_back(act)
            else:
                self.evidence.tell(act)
        self.bench.sweep()

    @rule(block_max=st.sampled_from((2, 3, 4)), stretch=st.integers(1, 20))
    def compare_otherwise(self, block_max: int, stretch: int) -> None:
        policy = with_matching(self.bench.policy, block_max)
        self.bench.activate(policy)
        self.evidence.policy = policy
        while not self.bench.follow(stretch):
            pass
        self.bench.sweep()

    @invariant()
    def links_are_those_that_records_imply(self) -> None:
        if not hasattr(self, "bench"):
            return
        implied = self.evidence.matches(self.bench.now)
        kept = {
            link.pair: (link.confidence, link.observed_at)
            for link in self.bench.ledger.links.values()
            if link.source == SOURCE and all(self.evidence.may_be_linked(end, self.bench.now) for end in link.pair)
        }
        assert kept == implied


TestRecordLife = RecordLife.TestCase
TestRecordLife.settings = tried(quick=30, deep=1_500, steps=30)


def _after(policy: Policy, told: list[ObserveRecord], sizes: list[int]) -> tuple[object, object]:
    bench = Bench(policy)
    left = list(told)
    while left:
        size = sizes[len(left) % len(sizes)]
        bench.turn(*left[:size])
        left = left[size:]
    links = {(link.pair, link.confidence, link.observed_at) for link in bench.ledger.links.values()}
    return bench.ledger.profiles, links


@given(policy=matching_policies(), told=st.lists(records(), min_size=2, max_size=14), data=st.data())
@tried(quick=60, deep=3_000)
def test_records_in_any_order_and_batching_give_the_same_links_and_profiles(
    policy: Policy, told: list[ObserveRecord], data: st.DataObject
) -> None:
    again = data.draw(st.permutations(told))
    assert _after(policy, told, [1]) == _after(policy, again, data.draw(st.lists(st.integers(1, 6), min_size=1)))


@given(policy=matching_policies(), told=st.lists(records(), min_size=1, max_size=10), gone=records())
@tried(quick=60, deep=3_000)
def test_a_record_that_is_withdrawn_has_never_been_there(
    policy: Policy, told: list[ObserveRecord], gone: ObserveRecord
) -> None:
    stranger = replace(gone, identifier=IdentifierKey("email:z"))
    without, came_and_went = Bench(policy), Bench(policy)
    for sent in told:
        without.turn(sent)
    for sent in (*told[: len(told) // 2], stranger, *told[len(told) // 2 :]):
        came_and_went.turn(sent)
    came_and_went.turn(WithdrawRecord(stranger.identifier, stranger.record.source))
    assert came_and_went.clusters() == without.clusters() | {frozenset((stranger.identifier,))}
    assert came_and_went.ledger.links == without.ledger.links

"""The local recompute equals the global function, after every change of a long random life."""

from __future__ import annotations

import os
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from service.errors import AssertedDifferent, FabricError, Invalid, ProfileTooLarge
from service.model.changes import LinkReceipt, Merge, ObserveLink, RetractLink, Revoke, Split, StewardReceipt, Undo
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.policy import Policy
from service.resolution.profile_ids import senior_of
from tests.properties.evidence_model import Evidence, agrees
from tests.properties.ledger import DAY, Act, Bench, Grant, Outcome
from tests.properties.profiles import tried
from tests.properties.strategies import KEYS, LINKING, policies, reports

TALLY = os.environ.get("LAW_TALLY")  # a file that gets one line a life: identifiers loaded per turn, kinds of changes

moments = st.integers(-2, 2)
regulations = st.sampled_from(("", "", "GDPR", "CCPA"))


class Life(RuleBasedStateMachine):
    """A service's life: links come, are sent again, expire and are retracted; people withdraw; a steward errs."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: Counter[str] = Counter()

    @initialize(policy=policies())
    def begin(self, policy: Policy) -> None:
        self.bench = Bench(policy)
        self.evidence = Evidence(policy)
        self.sent: list[ObserveLink] = []

    # ---- evidence

    def act(self, acts: list[Act]) -> list[Outcome]:
        """One turn; the reference is told the same, and the steward's words as they were recorded."""
        for act in acts:
            self.counted[type(act).__name__] += 1
        outcomes = self.bench.turn(*acts)
        for act, outcome in zip(acts, outcomes, strict=True):
            if isinstance(act, ObserveLink):
                self.evidence.observe(act)
            elif isinstance(act, RetractLink) and outcome.error is None:
                self.evidence.retract(act.link_id)
            elif isinstance(act, Grant):
                self.evidence.say(act.identifier, act.record)
            elif isinstance(act, Revoke):
                assert act.at is not None
                record = ConsentRecord(LINKING, act.regulation or "", "withdrawn", act.at)
                self.evidence.say(act.identifier, record)
        self.evidence.assertions = dict(self.bench.ledger.assertions)
        self.bench.sweep()
        return outcomes

    @rule(batch=st.lists(reports(), min_size=1, max_size=6))
    def observe(self, batch: list[ObserveLink]) -> None:
        late = self.bench.now // DAY * DAY - 1_000 * DAY
        batch = [_later(sent, late) for sent in batch]
        self.sent += batch
        for outcome in self.act(list(batch)):
            assert isinstance(outcome.receipt, LinkReceipt)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        sent = data.draw(st.sampled_from(self.sent))
        void = self.evidence.links[sent.link_id].void_until
        (outcome,) = self.act([sent])
        assert isinstance(outcome.receipt, LinkReceipt)
        if void is not None and sent.observed_at <= void:
            assert outcome.receipt.status == "duplicate"

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def retract(self, data: st.DataObject) -> None:
        self.act([RetractLink(data.draw(st.sampled_from(self.sent)).link_id)])

    @rule(key=st.sampled_from(KEYS), at=moments, regulation=regulations)
    def withdraw_linking(self, key: IdentifierKey, at: int, regulation: str) -> None:
        self.act([Revoke(key, "linking", regulation=regulation or None, at=self.bench.now + at)])

    @rule(key=st.sampled_from(KEYS), at=moments, regulation=regulations, days=st.none() | st.integers(0, 4))
    def grant_linking(self, key: IdentifierKey, at: int, regulation: str, days: int | None) -> None:
        expires = None if days is None else self.bench.now + days * DAY
        record = ConsentRecord(LINKING, regulation, "granted", self.bench.now + at, expires_at=expires)
        self.act([Grant(key, record)])

    @rule(days=st.integers(1, 3))
    def time_goes_by(self, days: int) -> None:
        self.bench.advance(days * DAY)

    @precondition(lambda self: self.sent)
    @rule(
        batch=st.lists(reports(), min_size=1, max_size=3),
        key=st.sampled_from(KEYS),
        data=st.data(),
    )
    def much_in_one_turn(self, batch: list[ObserveLink], key: IdentifierKey, data: st.DataObject) -> None:
        acts: list[Act] = [*batch, Revoke(key, "linking", at=self.bench.now)]
        acts.append(RetractLink(data.draw(st.sampled_from([*self.sent, *batch])).link_id))
        acts.append(Grant(key, ConsentRecord(LINKING, "", "granted", self.bench.now + 1)))
        known = list(self.bench.ledger.assertions)
        if known:
            acts.append(Undo(data.draw(st.sampled_from(known)), "r"))
        if len(self.bench.shown) > 1:
            ids = data.draw(st.lists(st.sampled_from(sorted(self.bench.shown)), min_size=2, max_size=3, unique=True))
            acts.append(Merge(tuple(ids), data.draw(st.sampled_from([None, *ids])), "r"))
        acts = data.draw(st.permutations(acts))
        self.sent += batch
        self.act(acts)

    # ---- the steward

    def preview_and_act(self, act: Merge | Split | Undo) -> Outcome:
        """A preview says what then happens."""
        foreseen = self.bench.preview(act)
        (outcome,) = self.act([act])
        assert type(foreseen.error) is type(outcome.error)
        if isinstance(outcome.receipt, StewardReceipt):
            assert isinstance(foreseen.receipt, StewardReceipt)
            assert foreseen.receipt.before == outcome.receipt.before
            assert foreseen.receipt.after == outcome.receipt.after
        return outcome

    def senior_of(self, profile_id: ProfileId | None) -> IdentifierKey:
        assert profile_id is not None
        first_seen = self.evidence.first_seen
        return senior_of(self.bench.ledger.profiles[profile_id], first_seen, self.bench.policy)

    @precondition(lambda self: len(self.bench.shown) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.bench.shown)), min_size=2, max_size=3, unique=True))
        survivor = data.draw(st.sampled_from([None, *ids]))
        before = {profile_id: self.bench.leads_to(profile_id) for profile_id in ids}
        kept_by = None if survivor is None else self.senior_of(before[survivor])
        outcome = self.preview_and_act(Merge(tuple(ids), survivor, "r"))
        if isinstance(outcome.error, Invalid):
            assert len(set(before.values())) < len(ids)
            return
        if isinstance(outcome.error, AssertedDifferent | ProfileTooLarge):
            return
        assert isinstance(outcome.receipt, StewardReceipt)
        if survivor is not None and kept_by is not None:
            assert self.bench.profile_of(kept_by) == before[survivor]

    @precondition(lambda self: any(len(members) > 1 for members in self.bench.ledger.profiles.values()))
    @rule(data=st.data())
    def split(self, data: st.DataObject) -> None:
        profiles = self.bench.ledger.profiles
        profile_id = data.draw(st.sampled_from(sorted(i for i, members in profiles.items() if len(members) > 1)))
        members = sorted(profiles[profile_id])
        leaving = data.draw(st.lists(st.sampled_from(members), min_size=1, max_size=len(members) - 1, unique=True))
        outcome = self.preview_and_act(Split(profile_id, tuple(leaving), "r"))
        assert outcome.error is None
        stayed = set(members) - set(leaving)
        for cluster in self.bench.clusters():
            assert not (cluster & stayed and cluster & set(leaving))

    @precondition(lambda self: self.bench.ledger.assertions)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        known = sorted(self.bench.ledger.assertions)
        outcome = self.preview_and_act(Undo(data.draw(st.sampled_from(known)), "r"))
        assert not isinstance(outcome.error, FabricError)

    # ---- the law

    @invariant()
    def stored_is_implied(self) -> None:
        if hasattr(self, "bench"):
            agrees(self.bench, self.evidence)

    def teardown(self) -> None:
        if TALLY and self.bench.loaded:
            median = statistics.median(self.bench.loaded)
            line = f"{len(self.bench.loaded)} {median} {max(self.bench.loaded)} {dict(self.counted)}\n"
            with Path(TALLY).open("a") as tally:
                tally.write(line)


def _later(sent: ObserveLink, ms: int) -> ObserveLink:
    """The same report, made `ms` later, so that a long life does not only see the past."""
    ends = None if sent.expires_at is None else sent.expires_at + ms
    return replace(sent, observed_at=(sent.observed_at or 0) + ms, expires_at=ends)


TestLife = Life.TestCase
TestLife.settings = tried(quick=40, deep=1_500, steps=30)

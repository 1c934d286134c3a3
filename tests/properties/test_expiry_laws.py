"""Intervals and due times: what is recorded does not depend on when the flips were made, nor on how many fit a turn."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.commands import observe
from service.model.changes import ExpireDue, ObserveLink
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.policy import Policy
from tests.properties.evidence_model import Evidence, agrees, implied
from tests.properties.ledger import DAY, Bench
from tests.properties.profiles import tried
from tests.properties.strategies import START, policies, reports

Intervals = dict[IdentifierKey, list[tuple[int, ProfileId | None]]]


def intervals(bench: Bench, since: int) -> Intervals:
    """Identifier → when it came into which profile; several moves at one time are one."""
    found: dict[IdentifierKey, dict[int, ProfileId | None]] = defaultdict(dict)
    last: dict[IdentifierKey, int] = {}
    for key, _, target, at in bench.moves:
        assert at >= last.get(key, at), "an identifier's moves are recorded in the order of their times"
        last[key] = at
        if at >= since:
            found[key][at] = target
    return {key: sorted(moves.items()) for key, moves in found.items()}


@tried(quick=60, deep=1_500)
@given(
    policy=policies(),
    sent=st.lists(reports(), min_size=1, max_size=12),
    hours=st.lists(st.integers(1, 60), max_size=5),
    least=st.integers(1, 3),
)
def test_intervals_end_at_the_due_time_whenever_the_sweep_came(
    policy: Policy, sent: list[ObserveLink], hours: list[int], least: int
) -> None:
    often, once, small = Bench(policy), Bench(policy), Bench(policy)
    for bench in (often, once, small):
        bench.turn(*sent)
    told = max(bench.now for bench in (often, once, small))
    end = START + sum(hours) * 3_600_000 + DAY
    for hour in hours:
        often.advance(hour * 3_600_000)
    for bench in (often, once):
        bench.now = end
        bench.sweep()
    small.now = end
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(observe, "DUE_LINKS_MAX", least)
        small.sweep()
    assert intervals(often, told) == intervals(once, told) == intervals(small, told)
    assert often.ledger.profiles == once.ledger.profiles == small.ledger.profiles


@tried(quick=60, deep=1_500)
@given(
    policy=policies(),
    sent=st.lists(reports(), min_size=1, max_size=12),
    later=st.lists(reports(), min_size=1, max_size=4),
    days=st.integers(1, 7),
    least=st.integers(1, 3),
)
def test_changes_of_a_turn_that_is_behind_see_what_is_due_flipped(
    policy: Policy, sent: list[ObserveLink], later: list[ObserveLink], days: int, least: int
) -> None:
    """More is due than a turn flips, and a change comes: afterwards all is as if there had been time enough."""
    behind, in_time = Bench(policy), Bench(policy)
    evidence = Evidence(policy)
    for report in (*sent, *later):
        evidence.observe(report)
    for bench in (behind, in_time):
        bench.turn(*sent)
        bench.now = START + days * DAY
    in_time.sweep()
    in_time.now = behind.now = START + days * DAY + 1
    in_time.turn(*later)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(observe, "DUE_LINKS_MAX", least)
        behind.turn(*later)
        behind.sweep()
    behind.now = in_time.now = max(behind.now, in_time.now)
    assert behind.ledger.profiles == in_time.ledger.profiles
    agrees(behind, evidence)
    assert intervals(behind, 0) == intervals(in_time, 0)


@tried(quick=60, deep=1_500)
@given(policy=policies(), sent=st.lists(reports(), min_size=1, max_size=12), batch=st.integers(1, 12), data=st.data())
def test_an_answer_holds_until_it_says(
    policy: Policy, sent: list[ObserveLink], batch: int, data: st.DataObject
) -> None:
    """Up to the time that a profile is said to hold, nothing about it changes by time alone, neighbours included; and
    whoever asks at that time, before any sweep, has it flipped. Where the size of profiles binds, a change can reach
    further than to neighbours; that is for the sweep.
    """
    policy = replace(policy, max_profile_size=500)
    evidence = Evidence(policy)
    for report in sent:
        evidence.observe(report)
    bench = Bench(policy)
    for place in range(0, len(sent), batch):
        bench.turn(*sent[place : place + batch])
    bench.sweep()
    for _ in range(3):
        due = {i: bench.ledger.dues.get(i) for i in bench.ledger.profiles}
        for profile_id, members in bench.ledger.profiles.items():
            moment = due[profile_id]
            last = bench.now + 30 * DAY if moment is None else moment - 1
            if last > bench.now:
                assert members in implied(evidence, last).clusters, (profile_id, last)
        coming = sorted({at for at in due.values() if at is not None and at > bench.now})
        if not coming:
            return
        bench.now = coming[0] + data.draw(st.integers(0, 5))
        asked = [key for i, at in due.items() if at == coming[0] for key in sorted(bench.ledger.profiles[i])[:1]]
        bench.turn(ExpireDue(tuple(asked)))
        shown = set(bench.ledger.profiles.values())
        for key in asked:
            assert next(c for c in implied(evidence, bench.now).clusters if key in c) in shown

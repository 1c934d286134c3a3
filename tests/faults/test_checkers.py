"""Each checker finds its class of bug in a history that has one planted, and nothing in a sound one."""

from __future__ import annotations

import pytest

from tests.faults.checkers import (
    audit_broken,
    decisions_lost,
    feed_gaps,
    lost_or_torn,
    may_show,
    not_once,
    odd_answers,
    stale_reads,
    torn_group,
)
from tests.faults.history import ALWAYS, NEVER, History, Odd, Read, Tried, Write

ALLOW = "allow:a"
WRITES = [
    Write(ALLOW, False, ALWAYS, ALWAYS),
    Write(ALLOW, True, 1.0, 2.0),
    Write(ALLOW, False, 3.0, 6.0),
    Write(ALLOW, True, 8.0, NEVER),
]


@pytest.mark.parametrize(
    ("begin", "end", "may"),
    [
        (0.0, 0.5, [False]),
        (0.5, 1.5, [False, True]),
        (1.5, 1.6, [False, True]),
        (2.1, 2.9, [True]),
        (2.5, 3.5, [True, False]),
        (4.0, 5.0, [True, False]),
        (4.0, 7.0, [True, False]),  # it began before the refusal was acknowledged
        (6.0, 7.0, [False]),
        (6.1, 7.9, [False]),
        (9.0, 99.0, [False, True]),  # never acknowledged: it may count from its beginning, and need never
    ],
)
def test_what_a_read_may_show(begin: float, end: float, may: list[bool]) -> None:
    assert may_show(WRITES, begin, end) == may


def test_an_allow_that_began_after_the_refusal_was_acknowledged_is_stale() -> None:
    sound = [Read(ALLOW, True, 5.9, 7.0), Read(ALLOW, False, 6.1, 7.0), Read(ALLOW, True, 8.5, 8.6)]
    assert stale_reads(WRITES, sound) == []
    [found] = stale_reads(WRITES, [*sound, Read(ALLOW, True, 6.1, 7.0, "a decision")])
    assert found.kind == "stale allow" and "a decision" in found.what and "0.100 s" in found.what


def test_a_grant_that_is_acknowledged_and_not_seen_is_stale_too() -> None:
    assert [one.kind for one in stale_reads(WRITES, [Read(ALLOW, False, 2.1, 2.2)])] == ["stale allow"]


def test_a_value_nobody_wrote_is_found() -> None:
    [found] = stale_reads(WRITES, [Read(ALLOW, "maybe", 1.0, 9.0)])
    assert "never written" in found.what
    assert stale_reads([], [Read(ALLOW, True, 1.0, 2.0)])


def test_an_acknowledged_change_that_is_not_there_at_the_end_is_found() -> None:
    for value in (False, True):
        assert lost_or_torn(WRITES, {ALLOW: value}) == []
    assert lost_or_torn(WRITES[:3], {ALLOW: True})
    assert lost_or_torn(WRITES[:3], {ALLOW: False}) == []
    assert lost_or_torn(WRITES, {}) == []


def test_half_of_an_unacknowledged_change_is_found() -> None:
    before, after = {"a": 1, "b": 1}, {"a": 2, "b": 2}
    for whole in (before, after):
        assert torn_group([before, after], {**whole, "c": 9}, "g") == []
    assert torn_group([before, after], {"a": 2, "b": 1}, "g")


def test_a_change_that_is_lost_or_carried_out_twice_is_found() -> None:
    tried = [Tried("x", "merge", True, 3), Tried("y", "merge", False, 2), Tried("z", "consent", True, 1, entries=2)]
    assert not_once(tried, ["x-2", "z-0", "z-0", "other-1"]) == []
    assert [one.kind for one in not_once(tried, ["z-0"])] == ["lost"]
    assert [one.kind for one in not_once(tried, ["x-0", "x-2", "z-0"])] == ["written twice"]
    assert [one.kind for one in not_once(tried, ["x-0", "x-0", "z-0"])] == ["written twice"]
    assert [one.kind for one in not_once(tried, ["x-0", "y-0", "y-1", "z-0"])] == ["written twice"]


def test_a_decision_that_is_not_recorded_is_found() -> None:
    assert decisions_lost(["a", "b"], ["b", "a", "c"]) == []
    assert [one.kind for one in decisions_lost(["a", "b"], ["a"])] == ["lost"]
    assert [one.kind for one in decisions_lost(["a"], ["a", "a"])] == ["written twice"]


def test_an_entry_that_comes_in_behind_a_reader_is_found() -> None:
    whole = [{"seq": seq, "type": "t"} for seq in (1, 4, 6, 9)]
    assert feed_gaps(whole[:3], whole) == feed_gaps([], whole) == []
    assert feed_gaps([whole[0], whole[2]], whole), "4 was committed late"
    assert feed_gaps([whole[1], whole[0]], whole[:2]), "out of order"
    assert feed_gaps([*whole[:2], {"seq": 5, "type": "t"}, whole[2]], whole), "one that is gone"
    assert feed_gaps([whole[0], {"seq": 4, "type": "other"}], whole), "another one now"


def test_an_answer_without_excuse_and_a_broken_chain_are_found() -> None:
    assert odd_answers(History(odd=[Odd("lookup", 500, 1.0, "internal_error")])) and not odd_answers(History())
    assert audit_broken({"ok": False, "first_bad_seq": 3}) and not audit_broken({"ok": True})

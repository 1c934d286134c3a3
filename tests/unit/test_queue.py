"""What waits for the next turn, and in which order it is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from service.commands.queue import WHOLE_MAX, Job, JobQueue, Slice
from service.errors import Busy
from service.model.changes import (
    Change,
    Decide,
    ExpireDue,
    Merge,
    ObserveTraits,
    Origin,
    RecordConsent,
    Revoke,
)
from service.model.identifiers import IdentifierKey, ProfileId

KEY = IdentifierKey("crm:1")
TRAITS = ObserveTraits(KEY, (), "crm")
REVOKE, ERASE, DECIDE = Revoke(KEY, "purposes"), Revoke(KEY, "erase"), Decide(KEY, "site")
CONSENT = RecordConsent(KEY, ())
PREVIEW = Merge((ProfileId("prf_1"), ProfileId("prf_2")), None, "r", preview=True)


def job(*changes: Change, since: float = 0.0) -> Job:
    loop = asyncio.get_running_loop()
    return Job(changes, Origin("a"), lambda outcomes: (200, b""), loop.create_future(), since)


def waiting(*jobs: Job, most: int = 10_000) -> JobQueue:
    queue = JobQueue(most)
    for each in jobs:
        queue.put(each)
    return queue


def taken(slices: Sequence[Slice]) -> list[tuple[Change, ...]]:
    return [each.changes for each in slices]


async def test_revocations_go_first_then_decisions_then_the_rest_then_what_has_time() -> None:
    queue = waiting(job(ExpireDue()), job(TRAITS), job(DECIDE), job(REVOKE), job(CONSENT), job(ExpireDue((KEY,))))
    order = [(REVOKE,), (CONSENT,), (DECIDE,), (ExpireDue((KEY,)),), (TRAITS,), (ExpireDue(),)]
    assert taken(queue.take(100)) == order
    assert not len(queue) and queue.changes == 0


async def test_a_large_request_spans_turns_and_keeps_its_place() -> None:
    large, small = job(*[TRAITS] * 5), job(DECIDE)
    queue = waiting(large)
    (first,) = queue.take(3)
    assert len(first.changes) == 3 and not first.ends_job
    queue.put(small)
    assert [(len(each.changes), each.ends_job) for each in queue.take(3)] == [(1, True), (2, True)]


@pytest.mark.parametrize("alone", [PREVIEW, ERASE])
async def test_some_are_taken_alone(alone: Change) -> None:
    queue = waiting(job(alone), job(alone), job(TRAITS))
    assert [taken(queue.take(10)) for _ in range(3)] == [[(alone,)], [(alone,)], [(TRAITS,)]]


async def test_what_is_withdrawn_at_once_is_not_spread_over_turns() -> None:
    whole = job(*[REVOKE] * 4)
    queue = waiting(job(REVOKE), whole)
    assert taken(queue.take(4)) == [(REVOKE,)]
    assert taken(queue.take(4)) == [(REVOKE,) * 4]
    queue = waiting(job(REVOKE), job(*[REVOKE] * (WHOLE_MAX + 1)))
    assert [len(each) for each in taken(queue.take(4))] == [1, 3]


async def test_a_full_queue_refuses_and_a_large_request_is_taken_by_an_empty_one() -> None:
    queue = waiting(job(*[TRAITS] * 20), most=10)
    with pytest.raises(Busy):
        queue.put(job(TRAITS))
    queue.take(15)
    queue.put(job(*[TRAITS] * 5))
    with pytest.raises(Busy):
        queue.put(job(TRAITS))
    assert queue.changes == 10


async def test_what_is_abandoned_is_not_waited_for() -> None:
    gone, stays = job(TRAITS, TRAITS), job(TRAITS)
    queue = waiting(gone, stays)
    queue.abandon(gone)
    assert queue.changes == 1
    assert taken(queue.take(10)) == [(TRAITS,)]


async def test_lengths_and_age_are_told() -> None:
    queue = waiting(job(TRAITS, TRAITS, since=5.0), job(REVOKE, since=9.0))
    assert queue.lengths() == {"revocation": 1, "decision": 0, "ordinary": 2, "background": 0}
    assert queue.oldest_s() == 5.0
    queue.take(10)
    assert queue.oldest_s() is None

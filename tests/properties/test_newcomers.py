"""Links resolved ahead of their turn come to what turns say, one link at a time; and backfill is exact."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.commands.newcomers import resolve_newcomers
from service.commands.plan import Plan
from service.model.changes import ObserveLink
from service.model.evidence import Link
from service.model.policy import Policy
from service.volume.items import Numbered
from service.volume.neighbourhoods import batches, parted
from tests.properties.ledger import DAY, Bench, readable_birth
from tests.properties.profiles import tried
from tests.properties.strategies import START, policies, reports

FOREVER = 1 << 62


def _as_is(plan: Plan) -> Any:
    return plan


def everything(bench: Bench) -> dict[str, Any]:
    """What look-ups, explain and the next turn could tell apart; when it was recorded aside."""
    ledger = bench.ledger
    return {
        "profiles": ledger.profiles,
        "states": ledger.states,
        "links": ledger.links,
        "withheld": ledger.withheld,
        "bars": ledger.bars,
        "views": {key: (v.members, v.edges, v.households) for key, v in ledger.views.items()},
    }


@tried(quick=100, deep=2_000)
@given(policies(), st.lists(reports(), min_size=1, max_size=14), st.integers(1, 6), st.integers(0, 10))
def test_resolved_ahead_is_what_turns_say(policy: Policy, sent: list[ObserveLink], batch: int, known: int) -> None:
    one_by_one, ahead = Bench(policy), Bench(policy)
    assert one_by_one.now == START
    for link in sent:
        one_by_one.turn(link)
    for link in sent[:known]:
        ahead.turn(link)
    there = set(ahead.ledger.kept)
    new, others = parted([Numbered(i, link) for i, link in enumerate(sent[known:])], there)
    for links in batches(new, batch):
        changes = [one.change for one in links if isinstance(one.change, ObserveLink)]
        found = resolve_newcomers(changes, policy, readable_birth, ahead.now, "test", _as_is)
        assert there.isdisjoint(found.keys)
        ahead.ledger.write(found.rows)
        assert sum(found.statuses.values()) == found.links == len(changes)
    if others:
        ahead.turn(*(one.change for one in others))
    for bench in (one_by_one, ahead):  # what falls due while turns go by, a millisecond each
        bench.now = START + 1_000
        bench.sweep()
    got, wanted = everything(ahead), everything(one_by_one)
    for part in wanted:
        assert got[part] == wanted[part], part
    for key, state in one_by_one.ledger.kept.items():
        assert (state.barred_until or 0) <= (ahead.ledger.kept[key].barred_until or 0)
    for profile_id, due in ahead.ledger.dues.items():  # turns may leave one too soon, which only makes a reader ask
        assert (one_by_one.ledger.dues[profile_id] or FOREVER) <= (due or FOREVER)


def _evidence(link: Link) -> Link:
    """The link, in use or not: a weak one whose time is over may be called one or the other."""
    return replace(link, due=None, inactive=None if link.inactive is None else "expired")


@tried(quick=100, deep=2_000)
@given(policies(), st.lists(reports(expires=True), min_size=1, max_size=14), st.integers(0, 20), st.randoms())
def test_backfill_is_as_if_it_had_been_there_in_time(
    policy: Policy, sent: list[ObserveLink], after_days: int, random: Any
) -> None:
    in_time, backfilled = Bench(policy, START - 3 * DAY), Bench(policy, START - 3 * DAY)
    for link in sorted(sent, key=lambda link: link.observed_at or 0):
        if (link.observed_at or 0) > in_time.now:
            in_time.advance((link.observed_at or 0) - in_time.now)
        in_time.turn(link)
    end = max(in_time.now, START + 5 * DAY) + after_days * DAY
    in_time.advance(end - in_time.now)
    backfilled.advance(end - backfilled.now)
    late = list(sent)
    random.shuffle(late)
    for link in late:
        backfilled.turn(link)
    backfilled.sweep()
    in_time.sweep()
    got, wanted = everything(backfilled), everything(in_time)
    assert {k: _evidence(v) for k, v in got["links"].items()} == {k: _evidence(v) for k, v in wanted["links"].items()}
    assert got["profiles"] == wanted["profiles"]
    assert got["withheld"] == wanted["withheld"]
    assert got["states"] == wanted["states"]

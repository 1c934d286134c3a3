"""A preview is the same steps without the end: it tells what then happens, and leaves the ledger as it was."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from service.model.changes import Change, Merge, ObserveLink, Split, StewardReceipt, Undo
from service.model.policy import Policy
from tests.properties.ledger import Bench, Ledger
from tests.properties.profiles import tried
from tests.properties.strategies import policies, reports


def stored(ledger: Ledger) -> dict[str, dict[object, object]]:
    """All of a ledger; what is in it is frozen but for the sets."""
    kept = {field.name: getattr(ledger, field.name) for field in fields(ledger) if field.name != "policy"}
    return {
        name: {
            key: frozenset(value) if isinstance(value, set) else value for key, value in found.items() if value != set()
        }
        for name, found in kept.items()
    }


def drawn(bench: Bench, data: st.DataObject, *, preview: bool) -> Change | None:
    """A random act on what there is."""
    shown, large = sorted(bench.shown), sorted(i for i, m in bench.ledger.profiles.items() if len(m) > 1)
    kind = data.draw(st.sampled_from(("merge", "split", "undo")))
    if kind == "undo" and bench.ledger.assertions:
        return Undo(data.draw(st.sampled_from(sorted(bench.ledger.assertions))), "r", preview)
    if kind == "split" and large:
        profile_id = data.draw(st.sampled_from(large))
        members = sorted(bench.ledger.profiles[profile_id])
        leaving = data.draw(st.lists(st.sampled_from(members), min_size=1, max_size=len(members), unique=True))
        return Split(profile_id, tuple(leaving), "r", preview)
    if len(shown) < 2:
        return None
    ids = data.draw(st.lists(st.sampled_from(shown), min_size=2, max_size=3, unique=True))
    return Merge(tuple(ids), data.draw(st.sampled_from([None, *ids])), "r", preview)


def for_real(change: Change) -> Change:
    """The same act, not previewed."""
    match change:
        case Merge():
            return Merge(change.profiles, change.survivor, change.reason)
        case Split():
            return Split(change.profile, change.identifiers, change.reason)
        case Undo():
            return Undo(change.assertion_id, change.reason)
    raise TypeError(change)


@tried(quick=80, deep=2_000)
@given(policy=policies(ttl=False), sent=st.lists(reports(expires=False), min_size=2, max_size=12), data=st.data())
def test_a_preview_tells_what_then_happens_and_changes_nothing(
    policy: Policy, sent: list[ObserveLink], data: st.DataObject
) -> None:
    bench = Bench(policy)
    bench.turn(*sent)
    for _ in range(data.draw(st.integers(1, 5))):
        change = drawn(bench, data, preview=True)
        if change is None:
            return
        before, was = stored(bench.ledger), dict(bench.ledger.profiles)
        told = bench.preview(change)
        assert stored(bench.ledger) == before
        (done,) = bench.turn(for_real(change))
        assert type(told.error) is type(done.error)
        if done.error is not None:
            assert stored(bench.ledger) == before, "what is refused changes nothing"
            continue
        assert isinstance(told.receipt, StewardReceipt) and isinstance(done.receipt, StewardReceipt)
        assert (told.receipt.before, told.receipt.after) == (done.receipt.before, done.receipt.after)
        assert told.receipt.applied is False and told.receipt.assertion_id is None
        for grouping in done.receipt.before:
            assert was[grouping.profile_id] == set(grouping.identifiers)
        for grouping in done.receipt.after:
            assert bench.ledger.profiles[grouping.profile_id] == set(grouping.identifiers)
        named = {g.profile_id for g in (*done.receipt.before, *done.receipt.after)}
        for profile_id in (was.keys() | bench.ledger.profiles.keys()) - named:
            assert was.get(profile_id) == bench.ledger.profiles.get(profile_id)

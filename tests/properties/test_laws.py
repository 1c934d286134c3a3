"""The laws of the evidence: order, withdrawal, undo. See design.md, idea 1."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from service.model.changes import LinkReceipt, Merge, ObserveLink, RetractLink, Revoke, Split, StewardReceipt, Undo
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey, LinkId
from service.model.policy import Policy
from tests.properties.evidence_model import Evidence, agrees
from tests.properties.ledger import DAY, Bench, Grant, readable_birth
from tests.properties.profiles import tried
from tests.properties.strategies import KEYS, LINKING, START, policies, reports

Report = ObserveLink


def told(policy: Policy, turns: list[list[Report]]) -> Bench:
    """A bench that was told these reports, turn by turn."""
    bench = Bench(policy)
    for turn in turns:
        bench.turn(*turn)
    bench.now = START + DAY  # the same moment, however many turns it took
    bench.sweep()
    return bench


def seen(bench: Bench) -> dict[IdentifierKey, tuple[int | None, int | None, tuple[str, ...]]]:
    """What is known of each identifier, times and sources."""
    return {key: (state.first_seen, state.last_seen, state.sources) for key, state in bench.ledger.states.items()}


@tried(quick=120, deep=3_000)
@given(policy=policies(), sent=st.lists(reports(), min_size=1, max_size=14), data=st.data())
def test_any_order_batching_and_duplication_gives_the_same(
    policy: Policy, sent: list[Report], data: st.DataObject
) -> None:
    one_by_one = told(policy, [[report] for report in sent])
    shuffled = data.draw(st.permutations(sent))
    again = data.draw(st.lists(st.sampled_from(sent), max_size=5))
    turned = [replace(report, a=report.b, b=report.a) for report in again]
    shuffled = data.draw(st.permutations([*shuffled, *turned]))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(shuffled)), max_size=4)))
    batches = [shuffled[i:j] for i, j in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]
    batched = told(policy, batches)
    assert batched.ledger.profiles == one_by_one.ledger.profiles
    assert batched.ledger.withheld_pairs() == one_by_one.ledger.withheld_pairs()
    assert batched.ledger.links == one_by_one.ledger.links
    assert seen(batched) == seen(one_by_one)


@tried(quick=100, deep=2_000)
@given(
    policy=policies(),
    kept=st.lists(reports(), min_size=1, max_size=10),
    taken_back=st.lists(reports(), min_size=1, max_size=6),
    data=st.data(),
)
def test_retracting_equals_never_having_had(
    policy: Policy, kept: list[Report], taken_back: list[Report], data: st.DataObject
) -> None:
    # Links of their own, observed when each of their ends had been seen before, if ever: `first_seen` stays as it was.
    late = [
        replace(
            report, link_id=LinkId(f"{report.link_id}!"), source="mistake", observed_at=report.observed_at + 9 * DAY
        )
        for report in taken_back
        if report.observed_at is not None
    ]
    without = told(policy, [kept])
    mixed = data.draw(st.permutations([*kept, *late]))
    with_mistakes = Bench(policy)
    with_mistakes.turn(*mixed)
    with_mistakes.turn(*(RetractLink(report.link_id) for report in data.draw(st.permutations(late))))
    with_mistakes.now = without.now
    with_mistakes.sweep()
    known = {key for members in without.ledger.profiles.values() for key in members}
    expected = dict(without.ledger.profiles)
    for key in with_mistakes.ledger.states:
        if key not in known and not with_mistakes.policy.namespace_of_key(key).is_household:
            expected[readable_birth(key, 0)] = frozenset((key,))  # it stays known, alone
    assert with_mistakes.ledger.profiles == expected
    assert with_mistakes.ledger.withheld_pairs() == without.ledger.withheld_pairs()


@tried(quick=60, deep=1_500)
@given(policy=policies(ttl=False), sent=st.lists(reports(expires=False), min_size=2, max_size=12), data=st.data())
def test_undoing_all_acts_in_any_order_gives_back_profiles_and_ids(
    policy: Policy, sent: list[Report], data: st.DataObject
) -> None:
    bench = Bench(policy)
    bench.turn(*sent)
    former, withheld = dict(bench.ledger.profiles), bench.ledger.withheld_pairs()
    holders = {key: state.holds for key, state in bench.ledger.states.items()}
    for _ in range(data.draw(st.integers(1, 6))):
        _draw_act(bench, data)
    assertions = data.draw(st.permutations(sorted(bench.ledger.assertions)))
    for assertion_id in assertions:
        (outcome,) = bench.turn(Undo(assertion_id, "r"))
        assert isinstance(outcome.receipt, StewardReceipt) and outcome.receipt.applied
    assert bench.ledger.profiles == former
    assert bench.ledger.withheld_pairs() == withheld
    assert {key: state.holds for key, state in bench.ledger.states.items()} == holders
    assert not any(hands for hands in bench.ledger.hands.values())
    for profile_id in bench.shown:
        assert bench.leads_to(profile_id) in former
    (again,) = bench.turn(Undo(assertions[0], "r")) if assertions else (None,)
    if again is not None:
        assert isinstance(again.receipt, StewardReceipt) and not again.receipt.applied


def _draw_act(bench: Bench, data: st.DataObject) -> None:
    shown = sorted(bench.shown)
    large = sorted(i for i, members in bench.ledger.profiles.items() if len(members) > 1)
    if large and data.draw(st.booleans()):
        profile_id = data.draw(st.sampled_from(large))
        members = sorted(bench.ledger.profiles[profile_id])
        leaving = data.draw(st.lists(st.sampled_from(members), min_size=1, max_size=len(members) - 1, unique=True))
        bench.turn(Split(profile_id, tuple(leaving), "r"))
    elif len(shown) > 1:
        ids = data.draw(st.lists(st.sampled_from(shown), min_size=2, max_size=3, unique=True))
        bench.turn(Merge(tuple(ids), data.draw(st.sampled_from([None, *ids])), "r"))


@tried(quick=60, deep=1_500)
@given(policy=policies(ttl=False), sent=st.lists(reports(expires=False), min_size=2, max_size=12), data=st.data())
def test_the_latest_act_undone_gives_back_what_was_before_it(
    policy: Policy, sent: list[Report], data: st.DataObject
) -> None:
    bench = Bench(policy)
    bench.turn(*sent)
    past = []
    for _ in range(data.draw(st.integers(1, 5))):
        before, count = dict(bench.ledger.profiles), len(bench.ledger.assertions)
        _draw_act(bench, data)
        if len(bench.ledger.assertions) > count:
            past.append((max(bench.ledger.assertions.values(), key=lambda a: a.at).assertion_id, before))
    for assertion_id, before in reversed(past):
        bench.turn(Undo(assertion_id, "r"))
        assert bench.ledger.profiles == before


@tried(quick=60, deep=1_500)
@given(
    policy=policies(ttl=False),
    sent=st.lists(reports(expires=False), min_size=2, max_size=12),
    keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True),
    data=st.data(),
)
def test_linking_withdrawn_and_granted_again_equals_linking_never_withdrawn(
    policy: Policy, sent: list[Report], keys: list[IdentifierKey], data: st.DataObject
) -> None:
    """And while it is withdrawn, each identifier is a profile of its own."""

    def granted(at: int) -> list[Grant]:
        return [Grant(key, ConsentRecord(LINKING, "", "granted", START + at)) for key in keys]

    plain = Bench(policy)
    plain.turn(*sent, *granted(1))
    early = data.draw(st.integers(0, len(sent)))
    bench = Bench(policy)
    bench.turn(*sent[:early])
    for key in data.draw(st.permutations(keys)):
        bench.turn(Revoke(key, "linking", at=START))
    bench.turn(*sent[early:])
    for key in keys:
        if key in bench.ledger.states and bench.ledger.states[key].profile is not None:
            assert bench.ledger.profiles[bench.profile_of(key)] == {key}
    bench.turn(*data.draw(st.permutations(granted(1))))
    assert bench.ledger.profiles == plain.ledger.profiles
    assert bench.ledger.withheld_pairs() == plain.ledger.withheld_pairs()


@tried(quick=60, deep=1_000)
@given(
    policy=policies(), sent=st.lists(reports(), min_size=1, max_size=12), days=st.lists(st.integers(1, 4), max_size=4)
)
def test_it_does_not_matter_when_the_sweep_came_by(policy: Policy, sent: list[Report], days: list[int]) -> None:
    often, once = Bench(policy), Bench(policy)
    evidence = Evidence(policy)
    for report in sent:
        evidence.observe(report)
    for bench in (often, once):
        bench.turn(*sent)
    for step in days:
        often.advance(step * DAY)
    for bench in (often, once):
        bench.now = START + (sum(days) + 1) * DAY
        bench.sweep()
    assert often.ledger.profiles == once.ledger.profiles
    agrees(often, evidence)


@tried(quick=60, deep=1_000)
@given(policy=policies(), sent=st.lists(reports(), min_size=1, max_size=8))
def test_sending_it_all_again_changes_nothing_and_says_so(policy: Policy, sent: list[Report]) -> None:
    bench = Bench(policy)
    bench.turn(*sent)
    profiles, moves = dict(bench.ledger.profiles), len(bench.moves)
    for outcome in bench.turn(*sent):
        assert isinstance(outcome.receipt, LinkReceipt) and outcome.receipt.status == "duplicate"
    assert bench.ledger.profiles == profiles
    assert len(bench.moves) == moves

"""The scenario files, played over the pure write path."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence

import pytest

from service.control.normalise import Refused, normalise
from service.control.policy_document import compile_policy
from service.errors import FabricError
from service.model.changes import Judge, Merge, ObserveLink, RetractLink, Split, StewardReceipt, Undo
from service.model.identifiers import AssertionId, IdentifierKey, ProfileId, pair_of, parse_key
from tests.properties.ledger import DAY, Bench
from tests.properties.profiles import DEEP
from tests.properties.strategies import link_id
from tests.properties.waiting import WaitingLedger
from tests.scenarios.scenario import Act, Event, Player, Scenario, Snapshot, all_scenarios

HOUR = 3_600_000
START = 1_000 * DAY
PERMUTED_MAX = 7
RANDOM_ORDERS = 200
SCENARIOS = all_scenarios()

every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.file)


class PurePlayer:
    """Plays over the step generators, without a store."""

    def __init__(self, scenario: Scenario) -> None:
        self.policy = compile_policy(scenario.document, 1)
        self.bench = Bench(self.policy, START)
        self.bench.ledger = self.ledger = WaitingLedger(self.policy)
        self.acts: dict[str, AssertionId] = {}

    def _links(self, event: Event) -> tuple[list[ObserveLink], set[str]]:
        kept: list[IdentifierKey] = []
        refused = set()
        for written in event.ids:
            namespace, _, value = written.partition(":")
            try:
                kept.append(normalise(namespace, value, self.policy).key)
            except Refused:
                refused.add(written)
        sure = event.confidence if event.confidence is not None else self.policy.confidence_of_source(event.source)
        links = [
            ObserveLink(
                link_id(event.source, "event", event.method, a, b),
                a,
                b,
                event.method,  # type: ignore[arg-type]
                sure,
                event.source,
                "event",
                observed_at=START + event.at * HOUR,
            )
            for a, b in itertools.combinations(dict.fromkeys(kept), 2)
        ]
        return links, refused

    def tell(self, events: Iterable[Event]) -> set[str]:
        """See Player."""
        refused: set[str] = set()
        links = []
        for event in events:
            made, turned_away = self._links(event)
            links += made
            refused |= turned_away
        if links:
            self.bench.turn(*links)
        return refused

    def retract(self, event: Event) -> None:
        """See Player."""
        self.bench.turn(*(RetractLink(link.link_id) for link in self._links(event)[0]))

    def wait(self, now: int) -> None:
        """See Player."""
        self.bench.advance(START + now * HOUR - self.bench.now)

    def act(self, act: Act) -> str | None:
        """See Player."""
        change: Merge | Split | Undo | Judge
        if act.kind == "undo":
            change = Undo(self.acts[act.named or ""], "scenario")
        elif act.kind == "judge":
            one, other = (parse_key(key).key for key in act.profiles)
            verdict = "dismissed" if act.verdict == "dismiss" else act.verdict
            change = Judge(self.ledger.queue()[pair_of(one, other)], verdict, "scenario")  # type: ignore[arg-type]
        else:
            profiles = tuple(self.bench.profile_of(key) for key in act.profiles)
            if act.kind == "merge":
                survivor = None if act.survivor is None else self.bench.profile_of(act.survivor)
                change = Merge(profiles, survivor, "scenario")
            else:
                change = Split(profiles[0], tuple(parse_key(key).key for key in act.leaving), "scenario")
        (outcome,) = self.bench.turn(change)
        if isinstance(outcome.error, FabricError):
            return outcome.error.code
        assert isinstance(outcome.receipt, StewardReceipt)
        if act.named and outcome.receipt.assertion_id:
            self.acts[act.named] = outcome.receipt.assertion_id
        return None

    def snapshot(self) -> Snapshot:
        """See Player."""
        shows = {str(key): str(pid) for pid, members in self.bench.ledger.profiles.items() for key in members}
        withheld = {f"{a} ~ {b}": str(reason) for (a, b), reason in self.bench.ledger.withheld_pairs().items()}
        return Snapshot(shows, withheld, {f"{a} ~ {b}" for a, b in self.ledger.queue()})

    def leads_to(self, profile_id: str) -> str | None:
        """See Player."""
        return self.bench.leads_to(ProfileId(profile_id))


def check_state(expect: dict[str, object], now: Snapshot, refused: set[str]) -> None:
    """What is expected of the present, however it came about."""
    clusters = expect.get("clusters")
    if clusters == "each_alone":
        assert all(len(cluster) == 1 for cluster in now.clusters)
    elif clusters is not None:
        assert now.clusters == {frozenset(cluster) for cluster in clusters}  # type: ignore[attr-defined]
    if "withheld" in expect:
        wanted = {" ~ ".join(sorted(pair.split(" ~ "))): why for pair, why in expect["withheld"].items()}  # type: ignore[attr-defined]
        assert now.withheld == wanted
    if "reviews" in expect:
        assert now.reviews == {" ~ ".join(sorted(pair.split(" ~ "))) for pair in expect["reviews"]}  # type: ignore[attr-defined]
    if "refused" in expect:
        assert refused == set(expect["refused"])  # type: ignore[call-overload]


def check_change(
    player: Player, expect: dict[str, object], before: Snapshot, now: Snapshot, past: list[Snapshot], shown: set[str]
) -> None:
    """What is expected of the way from one phase to the next."""
    if "moved" in expect:
        moved = {key for key, shows in before.shows.items() if now.shows[key] != shows}
        assert moved == set(expect["moved"])  # type: ignore[call-overload]
    for key in expect.get("keeps_id", ()):  # type: ignore[attr-defined]
        assert now.shows[key] == before.shows[key], key
    for key in expect.get("new_id", ()):  # type: ignore[attr-defined]
        assert now.shows[key] not in shown, key
    for former, today in expect.get("redirects", {}).items():  # type: ignore[attr-defined]
        assert player.leads_to(before.shows[former]) == now.shows[today]
    if "ids_as_after" in expect:
        assert now.shows == past[expect["ids_as_after"]].shows  # type: ignore[index]


def play_in_order(player: Player, scenario: Scenario) -> list[Snapshot]:
    """As written, checking after each phase; the present after each."""
    past: list[Snapshot] = []
    shown: set[str] = set()
    refused: set[str] = set()
    for phase in scenario.phases:
        before = player.snapshot()
        if phase.now is not None:
            player.wait(phase.now)
        for event in phase.events:
            refused |= player.tell([event])
        for act in phase.acts:
            unchanged = player.snapshot()
            assert player.act(act) == act.error
            assert act.error is None or player.snapshot() == unchanged
        now = player.snapshot()
        check_state(dict(phase.expect), now, refused)
        check_change(player, dict(phase.expect), before, now, past, shown)
        past.append(now)
        shown |= set(now.profiles)
        for profile_id in shown:
            assert player.leads_to(profile_id) in now.profiles
    return past


def orders(events: Sequence[Event], seed: str) -> Iterator[list[Event]]:
    """All permutations of few events (of seven, every seventh unless tried at length); of many 200 random ones."""
    if len(events) <= PERMUTED_MAX:
        step = 7 if len(events) == PERMUTED_MAX and not DEEP else 1
        yield from map(list, itertools.islice(itertools.permutations(events), 0, None, step))
        return
    chance = random.Random(seed)
    for _ in range(RANDOM_ORDERS if len(events) < 100 else 3):
        yield chance.sample([*events, *chance.choices(events, k=3)], len(events) + 3)


@every_scenario
def test_in_order(scenario: Scenario) -> None:
    assert scenario.guards
    play_in_order(PurePlayer(scenario), scenario)


@every_scenario
def test_in_every_order(scenario: Scenario) -> None:
    phases = scenario.before_acts
    if not phases:
        pytest.skip("begins with a steward")
    in_order = PurePlayer(scenario)
    for phase in phases:
        in_order.tell(phase.events)
    end = in_order.snapshot()
    events = [event for phase in phases for event in phase.events]
    for index, order in enumerate(orders(events, scenario.name)):
        player = PurePlayer(scenario)
        if index % 2:
            refused = player.tell(order)
        else:
            refused = set().union(*(player.tell([event]) for event in [*order, order[0]]))
        now = player.snapshot()
        check_state(dict(phases[-1].expect), now, refused)
        assert now == end


@every_scenario
def test_without_each_one(scenario: Scenario) -> None:
    events = [event for phase in scenario.before_acts for event in phase.events]
    for gone in events[:PERMUTED_MAX]:
        rest = [event for event in events if event != gone]
        elsewhere = {pair for event in rest for pair in itertools.combinations(sorted(event.ids), 2)}
        if any(pair in elsewhere for pair in itertools.combinations(sorted(gone.ids), 2)):
            continue  # another event reported the same link, so it would be gone as well
        told, never = PurePlayer(scenario), PurePlayer(scenario)
        told.tell(events)
        told.retract(gone)
        never.tell(rest)
        now, expected = told.snapshot(), never.snapshot()
        lone = {frozenset((key,)) for key in now.shows if key not in expected.shows}
        assert now.clusters == expected.clusters | lone
        assert now.withheld == expected.withheld


def test_every_layout_has_its_file() -> None:
    layouts = {scenario.name.split()[0] for scenario in SCENARIOS}
    assert layouts >= {f"S{n}" for n in (*range(1, 12), 13, 14)}

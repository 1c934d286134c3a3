"""The reference: what has been said, kept plainly, and what follows from all of it, worked out from scratch.

Nothing here is incremental. `Evidence` is a log of reports, retractions, a steward's words and consents; `implied`
reads the whole of it and calls `resolve()` once over everything. Links, activity, counts of neighbours, ids and who
holds them are worked out here in other words than in the service, so that a mistake there is not repeated here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from service.model.changes import ObserveLink
from service.model.evidence import Assertion, Bond, ConsentRecord, Hand, Reason, Standing, Tier
from service.model.identifiers import AssertionId, IdentifierKey, LinkId, Pair, ProfileId
from service.model.policy import Policy
from service.resolution.resolve import OddsAcross, resolve
from service.resolution.views import reach
from tests.properties.ledger import Bench, Ledger, readable_birth


@dataclass(slots=True)
class LinkLog:
    """All that one link's source said of it. `void_until`: reports up to then were taken back (None: not retracted)."""

    reports: list[ObserveLink] = field(default_factory=list)
    void_until: int | None = None

    def report(self, sent: ObserveLink) -> bool:
        """Add a report; False where it was taken back before it came."""
        if self.void_until is not None:
            if (sent.observed_at or 0) <= self.void_until:
                return False
            self.reports, self.void_until = [], None
        self.reports.append(sent)
        return True

    def retract(self) -> None:
        """Take everything reported so far back."""
        if self.void_until is None:
            self.void_until = max(sent.observed_at or 0 for sent in self.reports)

    @property
    def counts(self) -> ObserveLink:
        """The report that counts: newest, then surest, then the rest of its content."""

        def strength(sent: ObserveLink) -> tuple[object, ...]:
            ends = sent.expires_at if sent.expires_at is not None else 10**18
            return (sent.observed_at, sent.confidence, -ends, sent.rule_version or "", sent.evidence or "")

        return max(self.reports, key=strength)

    @property
    def first_observed_at(self) -> int:
        """The earliest report that has not been taken back."""
        return min(sent.observed_at or 0 for sent in self.reports)


@dataclass(slots=True)
class Evidence:
    """Everything that has been said."""

    policy: Policy
    links: dict[LinkId, LinkLog] = field(default_factory=dict)
    first_seen: dict[IdentifierKey, int] = field(default_factory=dict)
    assertions: dict[AssertionId, Assertion] = field(default_factory=dict)
    consents: dict[IdentifierKey, list[ConsentRecord]] = field(default_factory=lambda: defaultdict(list))

    def observe(self, sent: ObserveLink) -> None:
        """A source reports a link; `observed_at` is set."""
        assert sent.observed_at is not None
        if self.links.setdefault(sent.link_id, LinkLog()).report(sent):
            for key in (sent.a, sent.b):
                self.first_seen[key] = min(self.first_seen.get(key, sent.observed_at), sent.observed_at)

    def retract(self, link_id: LinkId) -> None:
        """It takes the link back."""
        self.links[link_id].retract()

    def say(self, key: IdentifierKey, record: ConsentRecord) -> None:
        """A person says something about consent."""
        self.consents[key].append(record)

    # ---- what follows

    def may_be_linked(self, key: IdentifierKey, now: int) -> bool:
        """Its value is one that the policy takes, and under every regulation named, the latest word on the linking
        purpose is a grant that has not run out; the stricter of two at one time. A word that names no regulation is
        said under all.
        """
        if key.split(":")[1] in self.policy.blocked_values:
            return False  # it would not have been taken
        said = [record for record in self.consents.get(key, ()) if record.purpose == self.policy.linking_purpose]
        if not said:
            return self.policy.purposes[self.policy.linking_purpose].unset == "granted"
        for regulation in {record.regulation for record in said if record.regulation} or {""}:
            under = [record for record in said if record.regulation in ("", regulation)]
            latest = max(record.at for record in under)
            said_last = [record for record in under if record.at == latest]
            if any(record.state != "granted" or (record.expires_at or now + 1) <= now for record in said_last):
                return False
        return True

    def is_over(self, log: LinkLog, now: int) -> bool:
        """Expired: by its own time, or by the time that either end gives it."""
        sent = log.counts
        ttls = [self.policy.namespace_of_key(end).ttl_ms for end in (sent.a, sent.b)]
        ends = [(sent.observed_at or 0) + ttl for ttl in ttls if ttl is not None]
        return any(end <= now for end in (*ends, *([] if sent.expires_at is None else [sent.expires_at])))

    def is_active(self, log: LinkLog, now: int) -> bool:
        """Observed and not retracted, not expired, sure enough, and permitted by both ends."""
        sent = log.counts
        if log.void_until is not None or not (self.may_be_linked(sent.a, now) and self.may_be_linked(sent.b, now)):
            return False
        if self.is_over(log, now):
            return False
        floor = {
            "deterministic": self.policy.min_confidence_deterministic,
            "probabilistic": self.policy.min_confidence_probabilistic,
        }
        return sent.confidence >= floor[sent.method]

    def is_household(self, key: IdentifierKey) -> bool:
        """Households group profiles and are in none."""
        return self.policy.namespace_of_key(key).kind == "household"

    def in_force(self) -> list[Assertion]:
        """The steward's words that have not been undone."""
        return [assertion for assertion in self.assertions.values() if not assertion.undone]

    def bonds(self, now: int) -> list[Bond]:
        """The active links and those of merges in force."""
        bonds = []
        for log in self.links.values():
            sent = log.counts
            if self.is_active(log, now) and not (self.is_household(sent.a) or self.is_household(sent.b)):
                a, b = sorted((sent.a, sent.b))
                tier = Tier.DETERMINISTIC if sent.method == "deterministic" else Tier.PROBABILISTIC
                bonds.append(Bond(a, b, tier, sent.confidence, sent.observed_at or 0, log.first_observed_at))
        for assertion in self.in_force():
            seniors = sorted(assertion.seniors)
            for i, a in enumerate(seniors):
                bonds += [Bond(a, b, Tier.STEWARD, 1.0, assertion.at, assertion.at) for b in seniors[i + 1 :]]
        return bonds

    def odds_across(self) -> OddsAcross | None:
        """What records say of two groups of identifiers; here are none."""
        return None

    def standings(self, bonds: list[Bond], now: int) -> dict[IdentifierKey, Standing]:
        """What the union needs to know of every identifier seen."""
        reached: dict[IdentifierKey, set[IdentifierKey]] = defaultdict(set)
        for bond in bonds:
            if bond.tier is not Tier.STEWARD:
                reached[bond.a].add(bond.b)
                reached[bond.b].add(bond.a)
        standings = {}
        for key in self.first_seen:
            if self.is_household(key):
                continue
            neighbours: dict[str, int] = defaultdict(int)
            for other in reached[key]:
                neighbours[other.split(":")[0]] += 1
            sides = tuple(
                (assertion.assertion_id, side)
                for assertion in self.in_force()
                for side in (0, 1)
                if key in assertion.sides[side]
            )
            named = tuple(assertion.assertion_id for assertion in self.in_force() if key in assertion.named)
            standings[key] = Standing(key, dict(neighbours), self.may_be_linked(key, now), sides, named)
        return standings

    def held(self) -> dict[IdentifierKey, ProfileId]:
        """The profile id that every identifier holds."""
        latest: dict[ProfileId, Hand] = {}
        for assertion in sorted(self.in_force(), key=lambda assertion: assertion.at):
            if assertion.hand is not None:
                latest[assertion.hand.profile_id] = assertion.hand
        held = {}
        for key in self.first_seen:
            handed = [hand for hand in latest.values() if hand.to == key]
            if handed:
                held[key] = max(handed, key=lambda hand: hand.at).profile_id
                continue
            counter = 0
            while readable_birth(key, counter) in latest:
                counter += 1
            held[key] = readable_birth(key, counter)
        return held


@dataclass(frozen=True, slots=True)
class Implied:
    """What the evidence implies: profiles under their ids, and the pairs withheld."""

    profiles: dict[ProfileId, frozenset[IdentifierKey]]
    withheld: dict[Pair, Reason]
    standings: dict[IdentifierKey, Standing]

    @property
    def clusters(self) -> set[frozenset[IdentifierKey]]:
        """The profiles, without their ids."""
        return set(self.profiles.values())


def implied(evidence: Evidence, now: int) -> Implied:
    """Resolve all evidence at once."""
    bonds = evidence.bonds(now)
    standings = evidence.standings(bonds, now)
    resolution = resolve(standings, bonds, evidence.policy, evidence.odds_across())
    held = evidence.held()
    profiles = {}
    for cluster in resolution.clusters:

        def seniority(key: IdentifierKey) -> tuple[bool, int, int, str]:
            namespace = evidence.policy.namespace_of_key(key)
            return (namespace.kind != "person", namespace.priority, evidence.first_seen[key], key)

        profile_id = held[min(cluster, key=seniority)]
        assert profile_id not in profiles, "two profiles show one id"
        profiles[profile_id] = cluster
    linked = {bond.pair for bond in bonds if bond.tier is not Tier.STEWARD}
    withheld = {pair: refusal.reason for pair, refusal in resolution.withheld.items() if pair in linked}
    return Implied(profiles, withheld, standings)


def agrees(bench: Bench, evidence: Evidence) -> Implied:
    """Assert that what is stored is what the evidence implies, in every respect."""
    ledger = bench.ledger
    expected = implied(evidence, bench.now)
    assert ledger.profiles == expected.profiles
    _withheld_agrees(ledger, expected)
    _views_agree(bench, evidence, expected)
    states = ledger.states
    for key, standing in expected.standings.items():
        state = states[key]
        assert state.neighbours == standing.neighbours, key
        assert state.linking == standing.linking, key
        assert sorted(state.sides) == sorted(standing.sides), key
        assert sorted(state.named) == sorted(standing.named), key
        assert state.first_seen == evidence.first_seen[key], key
        assert state.profile is not None and key in ledger.profiles[state.profile], key
    held = evidence.held()
    for key, state in states.items():
        if state.first_seen is not None:
            assert (state.holds or readable_birth(key, 0)) == held[key], key
    for profile_id in bench.shown:
        assert bench.leads_to(profile_id) in ledger.profiles, profile_id
    for profile_id in ledger.profiles:
        assert bench.leads_to(profile_id) == profile_id
    now_in: dict[IdentifierKey, ProfileId | None] = {}
    for key, source, target, _ in bench.moves:
        assert now_in.get(key) == source, "a move starts where the last one ended"
        now_in[key] = target
    assert now_in == {key: state.profile for key, state in states.items() if key in expected.standings}
    return expected


def _withheld_agrees(ledger: Ledger, expected: Implied) -> None:
    """The pairs withheld, and why; of a pair with two ends that bridge nothing either end's reason will do."""
    found = ledger.withheld_pairs()
    assert found.keys() == expected.withheld.keys()
    for pair, reason in expected.withheld.items():
        assert found[pair] == reason or found[pair] in {ledger.bars.get(end) for end in pair}, pair
        assert found[pair] == reason or all(end in ledger.bars for end in pair), pair


def _views_agree(bench: Bench, evidence: Evidence, expected: Implied) -> None:
    """Each profile as it is stored: members, accepted edges with their confidence, households, until when it holds."""
    sure: dict[Pair, float] = {}
    for bond in evidence.bonds(bench.now):
        if bond.tier is Tier.STEWARD or bond.pair not in expected.withheld:
            sure[bond.pair] = max(sure.get(bond.pair, 0.0), bond.confidence)
    households = defaultdict(set)
    dues: dict[IdentifierKey, list[int]] = defaultdict(list)
    for link in bench.ledger.links.values():
        for end, other in (link.pair, link.pair[::-1]):
            if link.inactive is None and evidence.is_household(other) and end not in bench.ledger.bars:
                households[end].add(other)
            if link.inactive is None and link.due is not None:
                dues[end].append(link.due)
    assert bench.ledger.views.keys() == expected.profiles.keys()
    for profile_id, members in expected.profiles.items():
        view = bench.ledger.views[profile_id]
        keys = [member.key for member in view.members]
        assert frozenset(keys) == members and len(keys) == len(members)
        edges = {(keys[i], keys[j]): confidence for i, j, confidence in view.edges}
        assert edges == {pair: c for pair, c in sure.items() if members.issuperset(pair)}, profile_id
        assert len(reach(view, 0)) == len(members), "every member is reached over accepted edges"
        grouped = set().union(*(households[key] for key in members))
        assert set(view.households) == grouped, (profile_id, view.households, grouped)
        soonest = min((due for key in members for due in dues[key]), default=None)
        if soonest is not None and members.isdisjoint(bench.ledger.bars):
            due = bench.ledger.dues[profile_id]
            assert due is not None and due <= soonest, profile_id

"""What two instances are compared with: the pure model, told of every change that was acknowledged."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from service.model.changes import ObserveLink
from service.model.evidence import Reason, Tier
from service.model.identifiers import IdentifierKey, ProfileId, pair_of
from service.model.policy import Policy
from service.resolution.profile_ids import Births
from tests.properties.evidence_model import Evidence, Implied, implied
from tests.properties.ledger import readable_birth

Cluster = frozenset[IdentifierKey]


@dataclass(slots=True)
class Told:
    """The model: all evidence acknowledged, and every id ever shown."""

    policy: Policy
    births: Births
    evidence: Evidence = field(init=False)
    shown: dict[ProfileId, ProfileId] = field(default_factory=dict)
    births_known: dict[ProfileId, tuple[IdentifierKey, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.evidence = Evidence(self.policy)

    def real(self, readable: ProfileId) -> ProfileId:
        """The id that the service shows for one of the model's."""
        return self.births(*self.birth(readable))

    def birth(self, readable: ProfileId) -> tuple[IdentifierKey, int]:
        """The identifier that one of the model's ids was born from, and its counter."""
        if readable not in self.births_known:
            for key in self.evidence.first_seen:
                self.births_known |= {readable_birth(key, counter): (key, counter) for counter in range(40)}
        return self.births_known[readable]

    def implied(self) -> Implied:
        """What follows from all evidence now; notes the ids that are shown by it."""
        found = implied(self.evidence, time.time_ns() // 1_000_000)
        self.shown |= {self.real(readable): readable for readable in found.profiles}
        return found

    def senior(self, members: Cluster) -> IdentifierKey:
        """The most senior of some identifiers."""

        def order(key: IdentifierKey) -> tuple[bool, int, int, str]:
            namespace = self.policy.namespace_of_key(key)
            return (namespace.kind != "person", namespace.priority, self.evidence.first_seen[key], key)

        return min(members, key=order)

    def current(self, shown: ProfileId, now: Implied) -> ProfileId:
        """The model's id of the profile that an id ever shown leads to."""
        readable = self.shown[shown]
        hands = [a.hand for a in self.evidence.in_force() if a.hand is not None and a.hand.profile_id == readable]
        holder = max(hands, key=lambda hand: hand.at).to if hands else self.birth(readable)[0]
        return next(profile_id for profile_id, members in now.profiles.items() if holder in members)

    def reason(self, report: ObserveLink, now: Implied) -> Reason | None:
        """Why a link that was just taken in has no say, or None."""
        log = self.evidence.links[report.link_id]
        if not self.evidence.is_active(log, time.time_ns() // 1_000_000):
            permitted = all(
                self.evidence.may_be_linked(end, time.time_ns() // 1_000_000) for end in (report.a, report.b)
            )
            floor = self.policy.min_confidence_deterministic
            if report.method == "probabilistic":
                floor = self.policy.min_confidence_probabilistic
            sure = log.counts.confidence >= floor
            if self._over(log.counts):
                return "expired"
            return "link_not_permitted" if sure and not permitted else "below_confidence"
        return now.withheld.get(pair_of(report.a, report.b))

    def _over(self, sent: ObserveLink) -> bool:
        now = time.time_ns() // 1_000_000
        lives = [self.policy.namespace_of_key(end).ttl_ms for end in (sent.a, sent.b)]
        due = [(sent.observed_at or 0) + life for life in lives if life is not None]
        return any(at <= now for at in (*due, *([sent.expires_at] if sent.expires_at is not None else [])))

    # ---- views

    def permits(self, members: Cluster, purpose: str) -> bool:
        """Whether a profile may be used: nothing but withdrawals is ever said here."""
        said = [record for key in members for record in self.evidence.consents.get(key, ())]
        for regulation in {record.regulation for record in said} - {""} or {""}:
            if any(record.purpose == purpose and record.regulation in ("", regulation) for record in said):
                return False
            unset = self.policy.regulations.get(regulation, {}).get(purpose, self.policy.purposes[purpose].unset)
            if unset != "granted":
                return False
        return True

    def confidences(self, members: Cluster, asked: IdentifierKey, now: Implied) -> dict[IdentifierKey, float]:
        """The best product of confidences over any path of accepted links, by going round until nothing improves."""
        best = dict.fromkeys(members, 0.0) | {asked: 1.0}
        bonds = [
            bond
            for bond in self.evidence.bonds(time.time_ns() // 1_000_000)
            if bond.a in members and bond.b in members and (bond.tier is Tier.STEWARD or bond.pair not in now.withheld)
        ]
        for _ in members:
            for bond in bonds:
                best[bond.a] = max(best[bond.a], best[bond.b] * bond.confidence)
                best[bond.b] = max(best[bond.b], best[bond.a] * bond.confidence)
        return best

    def households(self, members: Cluster) -> set[IdentifierKey]:
        """The households that active links of the members lead to."""
        found = set()
        for log in self.evidence.links.values():
            ends = {log.counts.a, log.counts.b}
            if self.evidence.is_active(log, time.time_ns() // 1_000_000) and ends & members:
                found |= {end for end in ends if self.evidence.is_household(end)}
        return found

"""Decisions: what a destination may be given of a person. Pure; everything unclear means no.

Three laws hold, and tests keep them: a look-up for a purpose shows nothing that a decision would withhold; refusing
more never permits more; whoever asks is given no identifier that the destination's rule does not name. So `otherwise`
is a floor that does not depend on consent: at most one identifier, and that one either was sent by the caller or is the
session last seen.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from service.control.answer import name_of, valid_until
from service.control.effective_consent import Effective, effective, linking_permitted, usable
from service.control.traits import audiences_of, traits_json, traits_of
from service.model.decision import ConsentUsed, Decision, DecisionReason, Given, Verdict
from service.model.identifiers import IdentifierKey, namespace_of
from service.model.policy import Destination, Granularity, Kind, Policy
from service.model.profile import Profile
from service.model.times import rfc3339
from service.resolution.views import reach

_COARSENESS: dict[Granularity, int] = {"person": 0, "pseudonymous": 1, "session": 2, "aggregate": 3, "none": 4}
_KINDS: dict[Granularity, tuple[Kind, ...]] = {
    "person": ("person", "device", "session"),
    "pseudonymous": ("device", "session"),
    "session": ("session",),
    "aggregate": (),
    "none": (),
}
_REFUSALS: dict[str, DecisionReason] = {
    "unknown": "consent_missing",
    "denied": "consent_denied",
    "withdrawn": "consent_withdrawn",
    "expired": "consent_expired",
}


def decide(
    profile: Profile | None,
    asked: IdentifierKey,
    destination: str,
    purpose: str | None,
    regulation: str | None,
    policy: Policy,
    now: int,
    *,
    erased: bool = False,
) -> Decision:
    """What `destination` may be given of the profile that `asked` is in (None: of nobody known), at `now` (ms).

    `purpose` None: the destination's own; another one is refused. `regulation` None: the strictest over those that the
    profile's consents name. `erased`: nobody is known since the person was erased.
    """
    rule = policy.destinations.get(destination)
    purpose_shown = purpose if purpose is not None else rule.purpose if rule is not None else None
    if purpose_shown not in policy.purposes:
        purpose_shown = None
    index = -1 if profile is None else next((i for i, m in enumerate(profile.members) if m.key == asked), -1)
    reason: DecisionReason | None = None
    if rule is None:
        reason = "destination_not_in_policy"
    elif purpose_shown is None or purpose_shown != rule.purpose:
        reason = "purpose_not_in_policy"
    elif index < 0:
        reason = "erased" if erased else "unknown_identifier"
    if reason is not None or rule is None or profile is None:
        return Decision(
            "withhold",
            "none",
            (reason or "unknown_identifier",),
            policy.version,
            now,
            now + policy.decision_max_age_ms,
            purpose_shown,
            profile_id=None if profile is None or index < 0 else profile.profile_id,
        )
    return _Question(profile, index, rule, regulation, policy, now).answered()


class _Question:
    """One known person, one destination of the policy, for its own purpose."""

    def __init__(
        self, profile: Profile, asked: int, rule: Destination, regulation: str | None, policy: Policy, now: int
    ) -> None:
        self._profile = profile
        self._asked = asked
        self._rule = rule
        self._regulation = regulation
        self._policy = policy
        self._now = now
        self._kinds = [policy.namespace_of_key(member.key).kind for member in profile.members]

    def answered(self) -> Decision:
        """Allow, or else what consent does not allow and what is given all the same."""
        known = self._regulation is None or self._regulation in self._policy.regulations
        consent = self._consent(self._speakers()) if known else Effective("unknown", False)
        if not consent.permits:
            return self._limited(consent, self._refusal(consent))
        allowed = usable(self._profile, self._rule.purpose, self._policy, self._now, self._regulation)
        seen = reach(self._profile, self._asked, allowed)
        fitting = self._fitting(self._rule.granularity)
        given = [i for i in fitting if i in seen and self._confidence(seen[i]) >= self._rule.min_confidence]
        # Of the pseudonymous, the profile id is enough to go by; a person or a session is an identifier.
        if not given and self._rule.granularity in ("person", "session"):
            if fitting and not allowed.intersection(fitting):
                consent = self._consent(fitting)
                return self._limited(consent, self._refusal(consent))
            return self._limited(consent, self._nothing_left(fitting, seen))
        personal = self._rule.granularity in ("person", "pseudonymous")
        return self._decision(
            "allow",
            self._rule.granularity,
            consent,
            ("ok",),
            self._given(given, seen),
            self._traits(seen) if personal else {},
            audiences_of(self._profile, self._policy, self._now, self._audiences()) if personal else (),
        )

    # ---- traits and audiences

    def _traits(self, seen: Collection[int]) -> dict[str, object]:
        """What the destination may have of what is known of the members that may be used."""
        found = traits_of(self._profile, seen, self._policy)
        return traits_json({name: trait for name, trait in found.items() if self._rule.sees(name)})

    def _audiences(self) -> list[str]:
        """Audiences for the very purpose of the destination."""
        return [name for name, audience in self._policy.audiences.items() if audience.purpose == self._rule.purpose]

    # ---- consent

    def _speakers(self) -> Sequence[int]:
        """Whose consent is heard first: everybody's, or that of the identifier asked about."""
        if self._policy.combine == "per_identifier":
            return (self._asked,)
        return range(len(self._profile.members))

    def _consent(self, members: Sequence[int]) -> Effective:
        consents = [self._profile.members[i].consents for i in members]
        return effective(consents, self._rule.purpose, self._regulation, self._policy, self._now)

    def _refusal(self, consent: Effective) -> tuple[DecisionReason, ...]:
        """Why consent does not permit; a conflict where one identifier refuses for another that permits."""
        reason: DecisionReason = _REFUSALS.get(consent.state, "consent_missing")
        if consent.unreadable:
            reason = "signal_unreadable"
        if consent.state in ("denied", "withdrawn") and self._policy.combine == "strictest":
            own = (self._consent((i,)) for i, m in enumerate(self._profile.members) if m.consents)
            if any(found.state == "granted" for found in own):
                return reason, "consent_conflict"
        return (reason,)

    # ---- identifiers

    def _fitting(self, granularity: Granularity) -> list[int]:
        """Members that a destination of this granularity may have by kind and namespace."""
        kinds = _KINDS[granularity]
        return [
            i
            for i, member in enumerate(self._profile.members)
            if self._kinds[i] in kinds and self._rule.takes(namespace_of(member.key))
        ]

    def _nothing_left(self, fitting: Sequence[int], seen: dict[int, float]) -> tuple[DecisionReason, ...]:
        if any(i in seen for i in fitting):
            return ("below_confidence",)
        if not linking_permitted(self._profile.members[self._asked].consents, self._policy, self._now):
            return "namespace_not_allowed", "link_not_permitted"
        return ("namespace_not_allowed",)

    @staticmethod
    def _confidence(exact: float) -> float:
        return round(exact, 12)  # as it is shown

    def _given(self, chosen: Sequence[int], seen: dict[int, float]) -> tuple[Given, ...]:
        keys = [(self._profile.members[i].key, self._confidence(seen[i])) for i in chosen]
        keys.sort(key=lambda row: (-row[1], self._policy.namespace_of_key(row[0]).priority, row[0]))
        return tuple(Given(key, confidence) for key, confidence in keys)

    def _floor(self, granularity: Granularity) -> int | None:
        """The one identifier that is given without consent: the one asked about where it fits, or the last session."""
        fitting = self._fitting(granularity)
        if self._asked in fitting:
            return self._asked
        if granularity != "session":
            return None
        seen = reach(self._profile, self._asked)
        near = [i for i in fitting if self._confidence(seen.get(i, 0.0)) >= self._rule.min_confidence]
        return max(near, key=lambda i: (self._profile.members[i].last_seen, self._profile.members[i].key), default=None)

    # ---- answers

    def _limited(self, consent: Effective, reasons: tuple[DecisionReason, ...]) -> Decision:
        """What the destination gets where its granularity can't be given."""
        floor = self._rule.otherwise
        if floor is None or _COARSENESS[floor] <= _COARSENESS[self._rule.granularity]:
            return self._decision("withhold", "none", consent, reasons)
        allowed = None
        if self._policy.combine == "per_identifier":
            allowed = usable(self._profile, self._rule.purpose, self._policy, self._now, self._regulation)
        seen = reach(self._profile, self._asked, allowed)
        chosen = self._floor(floor)
        if chosen is None or self._confidence(seen.get(chosen, -1.0)) < self._rule.min_confidence:
            return self._decision("limit", floor, consent, reasons)
        return self._decision("limit", floor, consent, reasons, self._given((chosen,), seen))

    def _decision(
        self,
        outcome: Verdict,
        granularity: Granularity,
        consent: Effective,
        reasons: tuple[DecisionReason, ...],
        identifiers: tuple[Given, ...] = (),
        traits: dict[str, object] | None = None,
        audiences: tuple[str, ...] = (),
    ) -> Decision:
        latest = self._now + self._policy.decision_max_age_ms
        if outcome == "allow":  # it says which audiences the person is in, and time may change that
            refreshes = [self._policy.audiences[name].refresh_ms for name in self._audiences()]
            latest = min([latest, *(self._now + refresh_ms for refresh_ms in refreshes)])
        first = valid_until(self._profile, self._now)
        return Decision(
            outcome,
            granularity,
            reasons,
            self._policy.version,
            self._now,
            latest if first is None else min(first, latest),
            self._rule.purpose,
            consent.basis if consent.permits else None,
            ConsentUsed(consent.state, consent.regulation or self._regulation, consent.at, consent.source),
            self._profile.profile_id,
            identifiers,
            traits or {},
            audiences,
        )


def decision_json(decision_id: str, decision: Decision) -> dict[str, object]:
    """A decision in the contract's shape."""
    used = decision.consent
    owner = {} if decision.owner is None else {"owner": decision.owner}
    return {
        "decision_id": decision_id,
        "outcome": decision.outcome,
        "granularity": decision.granularity,
        "identifiers": [{**name_of(given.key), "confidence": given.confidence} for given in decision.identifiers],
        "traits": decision.traits,
        "audiences": list(decision.audiences),
        "purpose": decision.purpose,
        "basis": decision.basis,
        "consent": {
            "state": used.state,
            "regulation": used.regulation,
            "at": None if used.at is None else rfc3339(used.at),
            "source": used.source,
        },
        "reasons": list(decision.reasons),
        "profile_id": decision.profile_id,
        "policy_version": decision.policy_version,
        "decided_at": rfc3339(decision.decided_at),
        "valid_until": rfc3339(decision.valid_until),
        **owner,
    }

"""The answer to a look-up: a pure view of one stored profile under one policy, at one time."""

from __future__ import annotations

from service.control.effective_consent import Effective, consents_of, usable
from service.control.traits import traits_json, traits_of
from service.model.identifiers import IdentifierKey, ProfileId, parse_key
from service.model.policy import Policy
from service.model.profile import Profile
from service.model.times import rfc3339
from service.resolution.views import reach

JSON = dict[str, object]


def name_of(key: str) -> JSON:
    """`{"namespace", "value"}`."""
    identifier = parse_key(key)
    return {"namespace": identifier.namespace, "value": identifier.value}


def _time(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


def consent_json(found: Effective) -> JSON:
    """One purpose's entry in the `consent` block."""
    return {
        "state": found.state,
        "regulation": found.regulation,
        "basis": found.basis,
        "source": found.source,
        "at": _time(found.at),
        "expires_at": _time(found.expires_at),
    }


def valid_until(profile: Profile, now: int) -> int | None:
    """The first time (ms) at which the answer can change by itself: a link falls due or a grant runs out."""
    times = [r.expires_at for m in profile.members for r in m.consents if r.state == "granted" and r.expires_at]
    if profile.due is not None:
        times.append(profile.due)
    return min((at for at in times if at > now), default=None)


def answer(
    profile: Profile,
    asked: IdentifierKey,
    policy: Policy,
    now: int,
    *,
    purpose: str | None = None,
    min_confidence: float = 0.0,
    redirected_from: ProfileId | None = None,
) -> JSON:
    """The profile as `asked` sees it; the shape is the contract's "Lookup". KeyError where `asked` is no member."""
    index = {member.key: i for i, member in enumerate(profile.members)}
    allowed = None if purpose is None else usable(profile, purpose, policy, now)
    seen = reach(profile, index[asked], allowed)
    rows = []
    for i, exact in seen.items():
        confidence = round(exact, 12)  # as it is shown: asking for a confidence that was shown finds it
        if confidence < min_confidence:
            continue
        member = profile.members[i]
        namespace = policy.namespace_of_key(member.key)
        identifier = parse_key(member.key)
        row: JSON = {
            "namespace": identifier.namespace,
            "value": identifier.value,
            "kind": namespace.kind,
            "confidence": confidence,
            "first_seen": rfc3339(member.first_seen),
            "last_seen": rfc3339(member.last_seen),
            "sources": list(member.sources),
        }
        rows.append((-confidence, namespace.priority, identifier.value, identifier.namespace, row))
    rows.sort(key=lambda row: row[:4])
    known = any(policy.namespace_of_key(member.key).kind == "person" for member in profile.members)
    withheld = not seen
    return {
        "profile_id": profile.profile_id,
        "redirected_from": redirected_from,
        "state": "known" if known else "anonymous",
        "asked": name_of(asked),
        "identifiers": [row[4] for row in rows],
        "consent": {purpose: consent_json(found) for purpose, found in consents_of(profile, policy, now).items()},
        "traits": {} if withheld else traits_json(traits_of(profile, seen, policy)),
        "households": [] if withheld else [name_of(key) for key in profile.households],
        "policy_version": policy.version,
        "resolved_at": rfc3339(profile.resolved_at),
        "valid_until": _time(valid_until(profile, now)),
    }

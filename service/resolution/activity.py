"""Which links have a say, and until when. Activity is stored; these functions say what to store."""

from __future__ import annotations

from dataclasses import replace

from service.model.evidence import Link, Reason
from service.model.policy import Policy


def due_of(link: Link, policy: Policy) -> int | None:
    """When a link expires: its own `expires_at`, or the `ttl` of either end after the last observation (ms)."""
    times = [] if link.expires_at is None else [link.expires_at]
    for end in link.pair:
        ttl = policy.namespace_of_key(end).ttl_ms
        if ttl is not None:
            times.append(link.observed_at + ttl)
    return min(times, default=None)


def falls_due(link: Link, now: int) -> bool:
    """Whether an active link's time is over."""
    return link.inactive is None and link.due is not None and link.due <= now


def inactive_of(link: Link, policy: Policy, *, linking: bool, now: int) -> Reason | None:
    """Why a link has no say at `now`, or None. `linking`: whether consent of both ends permits it."""
    if link.retracted_at is not None:
        return "retracted"
    if link.due is not None and link.due <= now:
        return "expired"
    deterministic = link.method == "deterministic"
    threshold = policy.min_confidence_deterministic if deterministic else policy.min_confidence_probabilistic
    if link.confidence < threshold:
        return "below_confidence"
    return None if linking else "link_not_permitted"


def _weight(link: Link) -> tuple[int, float, float, str, str]:
    """Which of two reports of one link counts. Beyond time and confidence only so that it never depends on arrival."""
    expires = float("inf") if link.expires_at is None else link.expires_at
    return (link.observed_at, link.confidence, -expires, link.rule_version or "", link.evidence or "")


def updated(known: Link, seen: Link) -> Link:
    """A link that is sent again: the newest observation counts, at equal times the higher confidence.

    `first_observed_at` keeps the earliest, so the result is the same in any order of arrival. A retracted link comes
    back only with a newer observation, and then begins anew. Returns `known` itself where nothing changes.
    """
    if known.retracted_at is not None:
        return seen if seen.observed_at > known.observed_at else known
    first = min(known.first_observed_at, seen.first_observed_at)
    if _weight(seen) > _weight(known):
        return replace(seen, first_observed_at=first)
    return known if first == known.first_observed_at else replace(known, first_observed_at=first)

"""Which id a profile shows, and where every id ever handed out leads (design, "Profile ids that survive")."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping

from service.model.evidence import Hand
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.policy import Policy

Births = Callable[[IdentifierKey, int], ProfileId]
Seniority = tuple[bool, int, int, str]


def births_under(secret: bytes) -> Births:
    """Birth ids keyed by `secret`: HMAC-SHA-256 (RFC 2104) of the counter and the key, 120 bits of it in base 32."""

    def birth(key: IdentifierKey, counter: int) -> ProfileId:
        digest = hmac.new(secret, f"birth\0{counter}\0{key}".encode(), hashlib.sha256).digest()
        return ProfileId("prf_" + base64.b32encode(digest[:15]).decode().lower())

    return birth


def seniority(key: IdentifierKey, first_seen: int, policy: Policy) -> Seniority:
    """Sorts members of a profile, the most senior first: a person's identifiers, priority, first seen, key."""
    namespace = policy.namespace_of_key(key)
    return (namespace.kind != "person", namespace.priority, first_seen, key)


def senior_of(
    members: Iterable[IdentifierKey], first_seen: Mapping[IdentifierKey, int], policy: Policy
) -> IdentifierKey:
    """The most senior member. Raises ValueError for no members."""
    return min(members, key=lambda key: seniority(key, first_seen[key], policy))


def in_force(hands: Iterable[Hand]) -> dict[ProfileId, Hand]:
    """Of the hands of active assertions, the one that counts for each id: the latest."""
    latest: dict[ProfileId, Hand] = {}
    for hand in hands:
        known = latest.get(hand.profile_id)
        if known is None or hand.at > known.at:
            latest[hand.profile_id] = hand
    return latest


def held_by(key: IdentifierKey, hands: Iterable[Hand], birth: Births, base: int = 0) -> ProfileId:
    """The id that `key` holds: the latest one handed to it, else the first of its birth ids that nobody else was given.

    `hands`: of active assertions; they must be complete for the ids that matter to `key` (those ever handed to it, its
    own birth ids, and all hands on these). `base`: first counter in use (an erased identifier begins anew).
    """
    latest = in_force(hands)
    mine = [hand for hand in latest.values() if hand.to == key]
    if mine:
        return max(mine, key=lambda hand: hand.at).profile_id
    counter = base
    while birth(key, counter) in latest:
        counter += 1
    return birth(key, counter)

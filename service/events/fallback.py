"""What is kept of an event where not everything may be, and what is made of a sender's gaps and clock. Pure.

The rules are the policy's (`events`, see docs/events.md); none of them makes an event fail that could be kept in part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import orjson

from service.control.effective_consent import effective
from service.events.canonical import flagged
from service.model.events import CanonicalEvent, EventConsent, EventRules, Flag, SenderMark, SenderState
from service.model.evidence import ConsentRecord
from service.model.policy import Policy

MISSING_MAX: Final = 100
"""Ranges of missing numbers that are kept of one sender; what falls out is counted."""


def refuses(
    own: EventConsent, stored: Iterable[Sequence[ConsentRecord]], policy: Policy, rules: EventRules, now: int
) -> bool:
    """Whether an event may not be kept with its person: by what it says itself of the purpose that keeping it rests on,
    or by what counts for its identifiers now. `stored`: the records of each.
    """
    purpose = rules.purpose
    if purpose is None:
        return False
    if any(name == purpose and state != "granted" for name, state in own.states):
        return True
    known = [records for records in stored if any(record.purpose == purpose for record in records)]
    return bool(known) and not effective(known, purpose, own.regulation or None, policy, now).permits


def reduced(event: CanonicalEvent, rules: EventRules) -> CanonicalEvent:
    """What the aggregate basis allows: that it happened, when, and the listed properties; nobody is named."""
    kept: dict[str, object] = {}
    if rules.denied_properties and event.properties != "{}":
        found = orjson.loads(event.properties)
        kept = {name: value for name, value in found.items() if name in rules.denied_properties}
    event = replace(
        event,
        identifiers=(),
        granularity=rules.denied,
        properties=orjson.dumps(kept).decode(),
        traits="{}",
        signals="{}",
        extensions="{}",
    )
    return flagged(event, "reduced")


def timed(sent_at: int, received_at: int, clock_ms: int | None, rules: EventRules) -> tuple[int, tuple[Flag, ...]]:
    """When an event happened as far as anybody can tell (ms), and what is to be said of that.

    `clock_ms`: what the sender's clock showed when it sent, where it says so; the difference from ours is taken off.
    What lies ahead by more than is tolerated happened no later than it came; the caller may refuse it instead.
    """
    flags: tuple[Flag, ...] = ()
    at = sent_at
    if clock_ms is not None and abs(received_at - clock_ms) > rules.skew_tolerated_ms:
        at += received_at - clock_ms
        flags = ("skew_corrected",)
    if at > received_at + rules.skew_tolerated_ms:
        at, flags = received_at, ("skewed",)
    if at < received_at - rules.late_after_ms:
        flags = (*flags, "late")
    return at, flags


def is_ahead(sent_at: int, received_at: int, clock_ms: int | None, rules: EventRules) -> bool:
    """Whether an event lies ahead by more than is tolerated, its sender's clock considered."""
    return "skewed" in timed(sent_at, received_at, clock_ms, rules)[1]


def after_mark(known: SenderState | None, source: str, mark: SenderMark, received_at: int) -> tuple[SenderState, bool]:
    """A sender after one more number, and whether that number fills a gap. The first that comes opens no gap."""
    number = mark.number
    if known is None:
        return SenderState(source, mark.sender, -1 if number is None else number, received_at), False
    seen = max(known.seen_at, received_at)
    if number is None:
        return replace(known, seen_at=seen), False
    if number > known.highest:
        missing = known.missing
        if number > known.highest + 1 and known.highest >= 0:
            missing = (*missing, (known.highest + 1, number - 1))
        lost = known.lost + sum(last - first + 1 for first, last in missing[:-MISSING_MAX])
        return replace(known, highest=number, seen_at=seen, missing=missing[-MISSING_MAX:], lost=lost), False
    left: list[tuple[int, int]] = []
    filled = False
    for first, last in known.missing:
        if first <= number <= last:
            filled = True
            left += [(low, high) for low, high in ((first, number - 1), (number + 1, last)) if low <= high]
        else:
            left.append((first, last))
    return replace(known, seen_at=seen, missing=tuple(left)), filled

"""Quality of events: counted from what came and what became of it, and compared with what was before. Pure.

Names of fields are shown only where they look like names; values never.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from service.events.validation import looks_like_a_name
from service.model.events import EventReceipt, QuarantineEvent, RecordEvent
from service.model.quality import OTHER, Drift, Stream, Tally

FIELDS_MAX: Final = 200
COMPARED_MIN: Final = 20
"""Events that a stream needs on both sides before anything is concluded."""

USUAL: Final = 0.5
RARE: Final = 0.05
WORSE: Final = 0.1
_KINDS: Final[Mapping[type, str]] = {
    str: "string", bool: "boolean", int: "number", float: "number", list: "list", dict: "object", type(None): "null",
}  # fmt: skip


def stream_of(change: RecordEvent | QuarantineEvent) -> Stream:
    """Which stream an event belongs to, as far as it can be told."""
    if isinstance(change, RecordEvent):
        return Stream(change.event.source, change.event.type)
    return Stream(change.kept.source or OTHER, change.kept.type or OTHER)


def tally_of(change: RecordEvent | QuarantineEvent, receipt: EventReceipt, recorded_at: int) -> Tally:
    """What one event counts for; one that is quarantined by its errors, one accepted by what it holds."""
    if receipt.status == "duplicate":
        return Tally(received=1, duplicates=1)
    if receipt.status == "quarantined" or isinstance(change, QuarantineEvent):
        codes = Counter({error.code: 1 for error in receipt.errors})
        return Tally(received=1, quarantined=1, violations=codes)
    event = change.event
    lag = max(0, event.received_at - event.occurred_at)
    return Tally(
        received=1,
        accepted=1,
        no_identifier=int(not event.identifiers or "cookieless" in event.flags),
        no_consent=int(not event.consent.states),
        late=int("late" in event.flags),
        skewed=int("skewed" in event.flags or "skew_corrected" in event.flags),
        gaps_filled=int("gap_filled" in event.flags),
        lag_ms=lag,
        lag_ms_max=lag,
        record_ms=max(0, recorded_at - event.received_at),
        fields=Counter(dict.fromkeys(fields_of(event.properties), 1)),
    )


def fields_of(properties: str) -> list[str]:
    """`name type` of each property."""
    if properties == "{}":
        return []
    found: dict[str, Any] = orjson.loads(properties)
    names = [name if looks_like_a_name(name) else OTHER for name in found]
    kinds = [_KINDS.get(type(value), OTHER) for value in found.values()]
    return list(dict.fromkeys(f"{name} {kind}" for name, kind in zip(names, kinds, strict=True)))[:FIELDS_MAX]


def drift_of(now: Tally, before: Tally) -> Iterator[Drift]:
    """How a stream differs from what it was, where enough came then and now.

    A field that most events had and hardly any has now, beside a new one of the same type that is as usual now as the
    other was then, was renamed.
    """
    if now.received >= COMPARED_MIN and before.received >= COMPARED_MIN:
        share, was = now.quarantined / now.received, before.quarantined / before.received
        if share >= was + WORSE:
            worst = now.violations.most_common(1)
            yield Drift("violations", worst[0][0] if worst else OTHER, None, round(share, 4), round(was, 4))
    if now.accepted < COMPARED_MIN or before.accepted < COMPARED_MIN:
        return
    shares, were = _shares(now), _shares(before)
    gone = [key for key, was in were.items() if was >= USUAL and shares.get(key, 0.0) <= RARE]
    new = [key for key, share in shares.items() if share > RARE and were.get(key, 0.0) == 0.0]
    yield from _paired(gone, new, shares, were)


def _shares(tally: Tally) -> dict[tuple[str, str], float]:
    """Share of events that have a field of a type."""
    found: dict[tuple[str, str], float] = {}
    for key, count in tally.fields.items():
        name, _, kind = key.rpartition(" ")
        found[name, kind] = count / tally.accepted
    return found


def _paired(
    gone: Sequence[tuple[str, str]],
    new: Sequence[tuple[str, str]],
    shares: Mapping[tuple[str, str], float],
    were: Mapping[tuple[str, str], float],
) -> Iterator[Drift]:
    left = sorted(new, key=lambda key: (-shares[key], key))
    for name, kind in sorted(gone):
        was, share = round(were[name, kind], 4), round(shares.get((name, kind), 0.0), 4)
        other = next((key for key in left if key[0] == name), None)
        alike = [key for key in left if key[1] == kind and abs(shares[key] - were[name, kind]) <= 2 * WORSE]
        if other is not None:
            left.remove(other)
            yield Drift("type_changed", name, other[1], round(shares[other], 4), was)
        elif alike:
            left.remove(alike[0])
            yield Drift("renamed_field", name, alike[0][0], round(shares[alike[0]], 4), was)
        else:
            yield Drift("missing_field", name, None, share, was)
    for name, kind in left:
        yield Drift("new_field", name, kind, round(shares[name, kind], 4), 0.0)

"""A captured signal as consent records: decoded under the policy, and kept as it came."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace
from typing import Any, Final

import orjson

from service.control.signals.meaning import SignalNotTaken, Stated, stated_by
from service.errors import Invalid
from service.model.capture import SignalKind
from service.model.changes import RecordConsent
from service.model.policy import Policy

SIGNAL_BYTES_MAX: Final = 65_536
KEPT_BYTES_MAX: Final = 16_384


def changes_of_signal(
    said: RecordConsent, kind: SignalKind, value: object, policy: Policy, now: int
) -> list[RecordConsent]:
    """One change for each regulation, basis and end that the signal means; `said` has who, when and from where.

    Raises Invalid for a signal that is larger than any genuine one, of a kind that the policy does not map, or silent
    on everything that it maps.
    """
    raw = orjson.dumps(value)
    if len(raw) > SIGNAL_BYTES_MAX:
        raise Invalid.at("/signal/value", f"is larger than {SIGNAL_BYTES_MAX} bytes")
    try:
        stated = stated_by(kind, value, policy.signals, now)
    except SignalNotTaken as error:
        raise Invalid.at("/signal", str(error)) from None
    groups: dict[tuple[str | None, str | None, int | None, bool], list[Stated]] = defaultdict(list)
    for one in stated:
        groups[one.regulation, one.basis, one.expires_at, one.unreadable].append(one)
    return [
        replace(
            said,
            states=tuple((one.purpose, one.state) for one in group),
            regulation=regulation,
            basis=said.basis or basis,
            expires_at=_sooner(said.expires_at, ends),
            method=said.method or f"signal:{kind}",
            signal=kept(kind, value, raw),
            unreadable=unreadable,
        )
        for (regulation, basis, ends, unreadable), group in groups.items()
    ]


def kept(kind: str, value: object, raw: bytes) -> str:
    """A signal as it is kept: whole, or its beginning and digest where it is very long."""
    if len(raw) <= KEPT_BYTES_MAX:
        return orjson.dumps({"kind": kind, "value": value}).decode()
    shown: dict[str, Any] = {
        "kind": kind,
        "value": raw[:KEPT_BYTES_MAX].decode("utf-8", "ignore"),
        "sha256": hashlib.sha256(raw).hexdigest(),
    }
    return orjson.dumps(shown).decode()


def _sooner(first: int | None, second: int | None) -> int | None:
    return min((at for at in (first, second) if at is not None), default=None)

"""Signals of consent that an event carries, as statements: decoded under the policy, unreadable ones as refusals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import orjson

from service.control.signals.meaning import SignalNotTaken, Stated, stated_by
from service.model.capture import SignalKind
from service.model.events import ConsentStatement
from service.model.policy import Policy

KINDS: Final[tuple[SignalKind, ...]] = ("tcf", "gpp", "gpc", "google_consent_mode")


def statements_of(signals: Mapping[str, Any], policy: Policy, now: int) -> tuple[ConsentStatement, ...]:
    """One statement for each regulation, basis and end that the signals mean (`now` in ms).

    A kind that the policy does not map, or that is silent on everything it maps, says nothing.
    """
    found: list[ConsentStatement] = []
    for kind in KINDS:
        if kind not in signals:
            continue
        value = signals[kind]
        try:
            stated = stated_by(kind, value, policy.signals, now)
        except SignalNotTaken:
            continue
        groups: dict[tuple[str | None, str | None, int | None, bool], list[Stated]] = defaultdict(list)
        for one in stated:
            groups[one.regulation, one.basis, one.expires_at, one.unreadable].append(one)
        kept = orjson.dumps({"kind": kind, "value": value}).decode()
        found += [
            ConsentStatement(
                tuple((one.purpose, one.state) for one in group),
                regulation,
                basis,
                ends,
                f"signal:{kind}",
                kept,
                unreadable,
            )
            for (regulation, basis, ends, unreadable), group in groups.items()
        ]
    return tuple(found)

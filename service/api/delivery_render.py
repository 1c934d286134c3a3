"""Deliveries and what belongs to them as the contract shows them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from service.model.delivery import CutoverStep, Delivery, Explanation
from service.model.times import rfc3339

Json = dict[str, Any]


def delivery_json(one: Delivery) -> Json:
    """A delivery, without a value of the person."""
    return {
        "delivery_id": one.delivery_id,
        "action": one.action,
        "destination": one.destination,
        "event": {"source": one.source, "id": one.event_id} if one.source else None,
        "profile_id": one.profile_id,
        "path": one.path,
        "outcome": one.outcome,
        "reason": one.reason,
        "consent": None if one.consent is None else orjson.loads(one.consent),
        "policy_version": one.policy_version,
        "at": rfc3339(one.at),
        "attempts": [{**asdict(made), "at": rfc3339(made.at), "fields": list(made.fields)} for made in one.attempts],
    }


def step_json(step: CutoverStep) -> Json:
    """A step of a cutover."""
    shown = asdict(step)
    for name in ("destination", "since"):
        del shown[name]
    return {**shown, "at": rfc3339(step.at)}


def explanation_json(one: Explanation) -> Json:
    """A known difference."""
    return {
        "explanation_id": one.explanation_id,
        "destination": one.destination,
        "cause": one.cause,
        "field": one.field,
        "when": one.when,
        "note": one.note,
        "at": rfc3339(one.at),
    }

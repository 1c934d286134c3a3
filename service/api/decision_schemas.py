"""Shapes of decisions, as the contract has them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, RootModel

from service.api.schemas import BATCH_MAX, Asked, IdentifierIn, Label, Named, ProblemItem, TimeText
from service.model.decision import DecisionReason
from service.model.policy import Granularity


class EventRefIn(Asked):
    """The event that a decision is asked for."""

    source: Label
    id: Label


class DecisionIn(Asked):
    """What may a destination be given of a person? Without `purpose`: the destination's own."""

    identifier: IdentifierIn
    destination: Label
    purpose: Label | None = None
    regulation: Label | None = None
    event: EventRefIn | None = None


class DecisionsIn(Asked):
    """Up to 1,000 questions; each is answered in its place."""

    requests: list[DecisionIn] = Field(max_length=BATCH_MAX)


class GivenOut(Named):
    """An identifier that the destination may have; `confidence` as seen from the one asked about."""

    confidence: float


class ConsentUsedOut(BaseModel):
    """The consent that the decision rests on."""

    state: Literal["granted", "denied", "withdrawn", "expired", "unknown"]
    regulation: str | None
    at: TimeText | None
    source: str | None


class DecisionOut(BaseModel):
    """What the destination may have, why, on which basis, and until when that holds."""

    decision_id: str
    outcome: Literal["allow", "limit", "withhold"]
    granularity: Granularity
    identifiers: list[GivenOut]
    traits: dict[str, Any]
    audiences: list[str]
    purpose: str | None
    basis: str | None
    consent: ConsentUsedOut
    reasons: list[DecisionReason]
    profile_id: str | None
    policy_version: int
    decided_at: TimeText
    valid_until: TimeText
    owner: Literal["new", "legacy"] | None = None
    destination: str | None = None


class DecisionResults(BaseModel):
    """Answers in the order asked."""

    results: list[DecisionOut | ProblemItem]


class DecisionAnswer(RootModel[DecisionOut | DecisionResults]):
    """One decision, or the answers to several questions."""

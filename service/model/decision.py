"""What a destination may be given of a person, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from service.model.delivery import Owner
from service.model.identifiers import IdentifierKey, ProfileId
from service.model.policy import Granularity

Verdict = Literal["allow", "limit", "withhold"]
DecisionReason = Literal[
    "consent_missing",
    "consent_denied",
    "consent_withdrawn",
    "consent_expired",
    "consent_conflict",
    "signal_unreadable",
    "purpose_not_in_policy",
    "destination_not_in_policy",
    "unknown_identifier",
    "below_confidence",
    "namespace_not_allowed",
    "erased",
    "link_not_permitted",
    "ok",
]


@dataclass(frozen=True, slots=True)
class Given:
    """An identifier that the destination may have; `confidence` as seen from the one asked about."""

    key: IdentifierKey
    confidence: float


@dataclass(frozen=True, slots=True)
class ConsentUsed:
    """The consent that a decision rests on. `at` in ms."""

    state: Literal["granted", "denied", "withdrawn", "expired", "unknown"] = "unknown"
    regulation: str | None = None
    at: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer for one destination. `ok` is the reason of an allow and of nothing else; times in ms.

    `owner`: which path serves the person there, None where the service does not serve the destination itself.
    """

    outcome: Verdict
    granularity: Granularity
    reasons: tuple[DecisionReason, ...]
    policy_version: int
    decided_at: int
    valid_until: int
    purpose: str | None = None
    basis: str | None = None
    consent: ConsentUsed = ConsentUsed()
    profile_id: ProfileId | None = None
    identifiers: tuple[Given, ...] = ()
    traits: dict[str, object] = field(default_factory=dict)
    audiences: tuple[str, ...] = ()
    owner: Owner | None = None

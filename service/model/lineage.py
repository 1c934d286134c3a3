"""Where something comes from and what became of it: events, what they made, whose they are, what was decided."""

from __future__ import annotations

from dataclasses import dataclass

from service.model.evidence import ConsentRecord, Link, Reason
from service.model.identifiers import IdentifierKey, ProfileId


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event as the graph keeps it. Times in ms. `erased`: it named somebody erased; nothing else is left of it."""

    source: str
    event_id: str
    type: str
    schema_version: str
    occurred_at: int
    received_at: int
    recorded_at: int
    seq: int
    granularity: str
    retention: str
    flags: tuple[str, ...] = ()
    identifiers: tuple[IdentifierKey, ...] = ()
    links: tuple[str, ...] = ()
    consents: tuple[str, ...] = ()
    resubmits: str | None = None
    erased: bool = False


@dataclass(frozen=True, slots=True)
class DecisionMade:
    """A decision about a profile, in short. `at` in ms."""

    decision_id: str
    profile_id: ProfileId
    at: int
    purpose: str | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Lineage:
    """All of it. `profiles`: id → members today. `cut`: there is more than is shown."""

    events: tuple[KeptEvent, ...] = ()
    consents: tuple[tuple[IdentifierKey, ConsentRecord], ...] = ()
    links: tuple[tuple[Link, Reason | None], ...] = ()
    profiles: tuple[tuple[ProfileId, tuple[IdentifierKey, ...]], ...] = ()
    decisions: tuple[DecisionMade, ...] = ()
    cut: bool = False

"""Shapes of answers about lineage and senders."""

from __future__ import annotations

from pydantic import BaseModel

from service.api.schemas import GroupingOut, LinkOut, Named, TimeText


class KeptEventOut(BaseModel):
    """An event as the graph keeps it. `flags`: such as late, skewed, gap_filled, masked, cookieless, reduced."""

    source: str
    id: str
    type: str
    dataschema: str
    occurred_at: TimeText
    received_at: TimeText
    recorded_at: TimeText
    seq: int
    granularity: str
    retention: str
    flags: list[str]
    identifiers: list[Named]
    links: list[str]
    consents: list[str]
    resubmits: str | None


class ConsentMadeOut(BaseModel):
    """A consent record that an event made."""

    consent_id: str
    identifier: Named
    purpose: str
    state: str
    regulation: str | None
    at: TimeText


class DecisionMadeOut(BaseModel):
    """A decision about one of the profiles."""

    decision_id: str
    profile_id: str
    purpose: str | None
    outcome: str | None
    at: TimeText


class LineageOut(BaseModel):
    """Events → consents and links → profiles of today → decisions. `cut`: there is more. `mermaid`: the picture."""

    events: list[KeptEventOut]
    consents: list[ConsentMadeOut]
    links: list[LinkOut]
    profiles: list[GroupingOut]
    decisions: list[DecisionMadeOut]
    deliveries: list[str]
    cut: bool
    mermaid: str


class MissingOut(BaseModel):
    """Numbers that did not come."""

    first: int
    last: int


class SenderOut(BaseModel):
    """What came of a sender. `silent`: for longer than the policy expects."""

    source: str
    sender: str | None
    highest: int | None
    seen_at: TimeText | None
    missing: list[MissingOut]
    missing_count: int
    silent: bool


class SendersOut(BaseModel):
    """A page, by source and sender."""

    items: list[SenderOut]
    next_cursor: str | None

"""Canonical events: what happened, said once, with the consent that it was captured under.

Times are milliseconds since the epoch, UTC. No plain personal value is in any of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from service.model.evidence import ConsentState
from service.model.identifiers import IdentifierKey, LinkId, ProfileId
from service.model.traits import TraitValue

EventGranularity = Literal["person", "pseudonymous", "session", "aggregate", "none"]
EventStatus = Literal["accepted", "duplicate", "quarantined"]
Flag = Literal["late", "skewed", "skew_corrected", "gap_filled", "masked", "cookieless", "reduced"]


def event_key(source: str, event_id: str) -> str:
    """What an event is known by for ever: its source and id with a line end between, which neither may hold."""
    return f"{source}\n{event_id}"


class EventConsent(NamedTuple):
    """What was known of consent when the event was captured: purpose → state, under which regulation ('' for none)."""

    states: tuple[tuple[str, ConsentState], ...] = ()
    regulation: str = ""
    basis: str | None = None


NO_CONSENT: Final = EventConsent()


@dataclass(frozen=True, slots=True)
class CanonicalEvent:
    """One event after normalisation, under one version of its schema.

    `identifiers`: keys in the order sent; none of an event of which only the aggregate may be kept. `purposes`: those
    that it may be used for, as far as its own consent says. `granularity`: how much of it is kept. `retention`: a name
    in the policy's `retention`. `properties`, `traits`, `signals`: JSON texts. `extensions`: the attributes that
    CloudEvents allows beside ours, as JSON text; not content. `digest`: keyed, of the content as sent. `recorded_at`
    and `seq`: once it is recorded; `seq` is unique and in the order of commits.
    """

    source: str
    event_id: str
    type: str
    schema_version: str
    occurred_at: int
    received_at: int
    identifiers: tuple[IdentifierKey, ...]
    digest: str
    consent: EventConsent = NO_CONSENT
    purposes: tuple[str, ...] = ()
    granularity: EventGranularity = "pseudonymous"
    retention: str = ""
    flags: tuple[Flag, ...] = ()
    properties: str = "{}"
    traits: str = "{}"
    signals: str = "{}"
    extensions: str = "{}"
    recorded_at: int | None = None
    seq: int | None = None

    @property
    def key(self) -> str:
        """What it is known by."""
        return event_key(self.source, self.event_id)


class EventLink(NamedTuple):
    """A pair of identifiers of one event, and the id of the link that it speaks for."""

    link_id: LinkId
    a: IdentifierKey
    b: IdentifierKey


class ConsentStatement(NamedTuple):
    """What an event says about purposes, of each of its identifiers. `at` is the event's time."""

    states: tuple[tuple[str, ConsentState], ...]
    regulation: str | None = None
    basis: str | None = None
    expires_at: int | None = None
    method: str | None = None
    signal: str | None = None
    unreadable: bool = False


class SenderMark(NamedTuple):
    """Where an event stands in the sequence of its sender; a source may have several. `number` counts by one; None:
    it is only noted that the sender was heard of.
    """

    sender: str
    number: int | None


@dataclass(frozen=True, slots=True)
class RecordEvent:
    """Take one event in: its consents, links, lone identifiers, traits and the event itself, in one turn.

    `body`: the event as JSON text, for the record. `links`: its identifiers pairwise. `replay`: the id of a replay,
    which applies an event that is known already once more, under today's policy; it is recorded once all the same.
    `resubmits`: the quarantined one that it stands in for.
    """

    event: CanonicalEvent
    body: str
    links: tuple[EventLink, ...] = ()
    traits: tuple[tuple[str, TraitValue], ...] = ()
    statements: tuple[ConsentStatement, ...] = ()
    replay: str | None = None
    resubmits: str | None = None
    mark: SenderMark | None = None


class EventError(NamedTuple):
    """One thing wrong with one place of an event. `code`: the rule that was broken, in snake case."""

    pointer: str
    message: str
    code: str = "invalid"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An event that could not be taken. `body`: what came, JSON text with everything that could be a plain personal
    value masked, None where none of it may be kept. `mentions`: identifiers in it. `times`: how often it came.
    """

    quarantine_id: str
    source: str | None
    event_id: str | None
    type: str | None
    schema: str | None
    received_at: int
    errors: tuple[EventError, ...]
    body: str | None = None
    mentions: tuple[IdentifierKey, ...] = ()
    times: int = 1
    status: Literal["open", "resubmitted"] = "open"
    event: str | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class QuarantineEvent:
    """Keep an event that could not be taken."""

    kept: Quarantined


@dataclass(frozen=True, slots=True)
class RegisterSchema:
    """Publish a version of a schema. `document`: JSON text. It must have been checked against its predecessor."""

    type: str
    version: str
    document: str


@dataclass(frozen=True, slots=True)
class EventReceipt:
    """What became of an event. `links`, `consents`: ids of what it made or confirmed. `reduced`: only the aggregate
    was kept. `replayed`: it was known, and applied once more. `consented`: what may be done with its person changed.
    """

    status: EventStatus
    profile_id: ProfileId | None = None
    quarantine_id: str | None = None
    errors: tuple[EventError, ...] = ()
    links: tuple[LinkId, ...] = ()
    consents: tuple[str, ...] = ()
    consented: bool = False
    reduced: bool = False
    replayed: bool = False
    code: str | None = None


@dataclass(frozen=True, slots=True)
class SchemaReceipt:
    """A version of a schema is published. `added`: it was not before."""

    type: str
    version: str
    added: bool


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """What the graph keeps of an event for ever. `erased`: it named somebody who was erased since."""

    digest: str
    seq: int
    erased: bool = False


@dataclass(frozen=True, slots=True)
class SenderState:
    """What came of one sender. `highest`: -1 of one that does not count. `missing`: ranges of numbers that did not
    come, first and last; `lost`: how many more there are than are kept. Times in ms.
    """

    source: str
    sender: str
    highest: int
    seen_at: int
    missing: tuple[tuple[int, int], ...] = ()
    lost: int = 0


@dataclass(frozen=True, slots=True)
class EventRules:
    """The policy's fallback rules for events; see docs/events.md. Times in ms.

    `purpose`: the one that keeping an event rests on, None: none. `denied`: how much is kept where it is refused;
    `denied_properties`: which properties then. `retention`: name → how long; `default_retention`: of events that name
    none. `heartbeats`: source → how long it may be silent.
    """

    purpose: str | None = None
    denied: Literal["aggregate", "none"] = "aggregate"
    denied_properties: frozenset[str] = frozenset()
    cookieless: Literal["session", "aggregate", "quarantine"] = "session"
    late_after_ms: int = 3_600_000
    skew_tolerated_ms: int = 300_000
    skew: Literal["clamp", "quarantine"] = "clamp"
    retention: dict[str, int] = field(default_factory=dict)
    default_retention: str = "events-default"
    heartbeats: dict[str, int] = field(default_factory=dict)

"""What a turn reads and writes of events: which are known, what was captured, who sends, what is in quarantine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.model.events import CanonicalEvent, KnownEvent, Quarantined, SenderState
from service.model.identifiers import IdentifierKey, LinkId

Sender = tuple[str, str]


@dataclass(slots=True)
class CaptureWanted:
    """What is to be read: events by key, senders by source and name, quarantined ones by id, schemas by name."""

    events: set[str] = field(default_factory=set)
    senders: set[Sender] = field(default_factory=set)
    quarantined: set[str] = field(default_factory=set)
    schemas: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.events or self.senders or self.quarantined or self.schemas)

    def add(self, other: CaptureWanted) -> None:
        """Want what `other` wants as well."""
        self.events |= other.events
        self.senders |= other.senders
        self.quarantined |= other.quarantined
        self.schemas |= other.schemas


@dataclass(slots=True)
class CaptureLoaded:
    """What was read; what is not in it is not there. `schemas`: name → document."""

    events: Mapping[str, KnownEvent] = field(default_factory=dict)
    senders: Mapping[Sender, SenderState] = field(default_factory=dict)
    quarantined: Mapping[str, Quarantined] = field(default_factory=dict)
    schemas: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Captured:
    """An event as this turn records it: with its number, the ids of what it made, and its body for the record."""

    event: CanonicalEvent
    body: str
    links: tuple[LinkId, ...]
    consents: tuple[str, ...]
    about: tuple[IdentifierKey, ...]
    resubmits: str | None = None


class Capture:
    """Events as the turn found them and as it leaves them."""

    def __init__(self) -> None:
        self.events: dict[str, KnownEvent | None] = {}
        self.senders: dict[Sender, SenderState | None] = {}
        self.quarantined: dict[str, Quarantined | None] = {}
        self.schemas: dict[str, str | None] = {}
        self.captured: list[Captured] = []
        self.schemas_new: dict[str, str] = {}
        self.senders_changed: set[Sender] = set()
        self.quarantined_changed: set[str] = set()

    def missing(self, wanted: CaptureWanted) -> CaptureWanted:
        """The part that is not here yet."""
        return CaptureWanted(
            wanted.events - self.events.keys(),
            wanted.senders - self.senders.keys(),
            wanted.quarantined - self.quarantined.keys(),
            wanted.schemas - self.schemas.keys(),
        )

    def take(self, wanted: CaptureWanted, loaded: CaptureLoaded) -> None:
        """Hand in what a load brought; what is known already, perhaps changed, stays as it is."""
        for key in wanted.events:
            self.events.setdefault(key, loaded.events.get(key))
        for sender in wanted.senders:
            self.senders.setdefault(sender, loaded.senders.get(sender))
        for quarantine_id in wanted.quarantined:
            self.quarantined.setdefault(quarantine_id, loaded.quarantined.get(quarantine_id))
        for name in wanted.schemas:
            self.schemas.setdefault(name, loaded.schemas.get(name))

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.captured or self.schemas_new or self.senders_changed or self.quarantined_changed)

    def record(self, captured: Captured) -> None:
        """Note an event that this turn records."""
        event = captured.event
        self.captured.append(captured)
        assert event.seq is not None, "it gets its number first"
        self.events[event.key] = KnownEvent(event.digest, event.seq)

    def keep(self, kept: Quarantined) -> None:
        """Note a quarantined event as it is now."""
        self.quarantined[kept.quarantine_id] = kept
        self.quarantined_changed.add(kept.quarantine_id)

    def mark(self, state: SenderState) -> None:
        """Note a sender as it is now."""
        sender = (state.source, state.sender)
        self.senders[sender] = state
        self.senders_changed.add(sender)

    def publish(self, name: str, document: str) -> None:
        """Note a version of a schema that this turn publishes."""
        self.schemas[name] = self.schemas_new[name] = document

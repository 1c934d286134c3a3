"""Events: recorded once with all that follows from them, or kept in quarantine. A replay applies one once more."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace

import orjson

from service.commands.audiences import TRAITS_MAX
from service.commands.capture import Captured, CaptureWanted
from service.commands.inherit import end_inherited
from service.commands.observe import note_seen, take_link
from service.commands.revoke import record_consents
from service.commands.steps import SETTLE, Settle, Settlement, Step
from service.commands.world import Wanted, World
from service.control.effective_consent import with_record
from service.control.traits import with_traits
from service.events.canonical import body_of, flagged
from service.events.fallback import after_mark, reduced, refuses
from service.model.changes import ObserveLink
from service.model.events import (
    CanonicalEvent,
    EventError,
    EventReceipt,
    Quarantined,
    QuarantineEvent,
    RecordEvent,
)
from service.model.evidence import ConsentRecord
from service.model.identifiers import IdentifierKey, LinkId, ProfileId, pair_of
from service.model.traits import Trait
from service.resolution.profile_ids import seniority

NewId = Callable[[str], str]
RULE = "event"
"""Of the links between identifiers of one event."""


def wanted_by_event(change: RecordEvent) -> Wanted:
    """Its identifiers with their profiles, the links between them, and whether it is known."""
    event = change.event
    senders = set() if change.mark is None else {(event.source, change.mark.sender)}
    quarantined = set() if change.resubmits is None else {change.resubmits}
    return Wanted(
        set(event.identifiers),
        {pair_of(link.a, link.b) for link in change.links},
        around=bool(event.identifiers),
        capture=CaptureWanted({event.key}, senders, quarantined),
    )


def wanted_by_quarantine(change: QuarantineEvent) -> Wanted:
    """Whether it came before."""
    return Wanted(capture=CaptureWanted(quarantined={change.kept.quarantine_id}))


def quarantine_event(world: World, change: QuarantineEvent) -> Step:
    """Keep what could not be taken. What comes again is counted."""
    yield SETTLE
    return _quarantined(world, change.kept)


def _quarantined(world: World, kept: Quarantined, code: str | None = None) -> EventReceipt:
    known = world.capture.quarantined.get(kept.quarantine_id)
    if known is None:
        world.seq += 1
        known = replace(kept, seq=world.seq)
    else:
        known = replace(known, times=known.times + 1)
    world.capture.keep(known)
    return EventReceipt("quarantined", None, kept.quarantine_id, kept.errors, code=code)


def profile_of(world: World, event: CanonicalEvent) -> ProfileId | None:
    """The profile of the most senior of an event's identifiers that is in one."""
    seniors = sorted(event.identifiers, key=lambda key: seniority(key, 0, world.policy))
    return next((found for key in seniors if (found := world.state(key).profile) is not None), None)


def record_event(world: World, change: RecordEvent, new_id: NewId) -> Step:
    """Take an event in. Known with the same content it is a duplicate, with other content in quarantine; so is one
    about somebody erased. Raises nothing for what it says.
    """
    event, capture = change.event, world.capture
    known = capture.events.get(event.key)
    if known is not None and (known.erased or change.replay is None):
        if known.erased or known.digest == event.digest:
            _resubmitted(world, change)
            yield SETTLE
            return EventReceipt("duplicate", None if known.erased else profile_of(world, event))
        return (yield from _refused(world, change, EventError("/id", "is of another event", "id_conflict")))
    if wrong := _wrong(world, change):
        return (yield from _refused(world, change, wrong))
    consents, consented = yield from _said(world, change, new_id)
    stored = (world.state(key).consents for key in event.identifiers)
    rules = world.policy.events
    body, links = change.body, change.links
    if refuses(event.consent, stored, world.policy, rules, world.now):
        event, links = reduced(event, rules), ()
        body = body_of(event)
    for link in links:
        take_link(world, _observed(event, link.link_id, link.a, link.b))
    _noted(world, event, change)
    if known is None:
        event, body = _marked(world, change, event, body)
        world.seq += 1
        event = replace(event, seq=world.seq, recorded_at=world.now)
        ids = tuple(link.link_id for link in links)
        if event.granularity == "none":
            body = ""
        capture.record(Captured(event, body, ids, consents, event.identifiers, change.resubmits))
        _resubmitted(world, change)
    yield SETTLE
    return EventReceipt(
        "accepted",
        profile_of(world, event),
        links=tuple(link.link_id for link in links),
        consents=consents,
        consented=consented,
        reduced="reduced" in event.flags,
        replayed=known is not None,
    )


def _wrong(world: World, change: RecordEvent) -> EventError | None:
    """Why an event that is well formed can't be taken."""
    event, at = change.event, change.event.occurred_at
    grants = any(state == "granted" for said in change.statements for _, state in said.states)
    for index, key in enumerate(event.identifiers):
        state = world.state(key)
        if state.erased_at is not None and (at <= state.erased_at or (state.dead and not grants)):
            return EventError(f"/data/identifiers/{index}", "is of a person who has been erased", "erased")
    if change.traits and event.identifiers:
        key = _senior(world, event)
        seen = (Trait(name, event.source, value, at) for name, value in change.traits)
        if len(with_traits(world.state(key).traits, seen)) > TRAITS_MAX:
            return EventError("/data/traits", f"would be more than {TRAITS_MAX} of one identifier")
    return None


def _refused(
    world: World, change: RecordEvent, error: EventError
) -> Generator[Wanted | Settle, Settlement | None, EventReceipt]:
    """Put a well-formed event into quarantine. Of somebody erased nothing is kept but that it came."""
    event = change.event
    digest = hashlib.sha256(f"{event.key}\n{event.digest}\n{error.code}".encode()).digest()
    quarantine_id = "qua_" + base64.b32encode(digest[:15]).decode().lower()
    yield Wanted(capture=CaptureWanted(quarantined={quarantine_id}))
    yield SETTLE
    erased = error.code == "erased"
    kept = Quarantined(
        quarantine_id,
        event.source,
        event.event_id,
        event.type,
        f"{event.type}/{event.schema_version}",
        event.received_at,
        (error,),
        None if erased else change.body,
        () if erased else event.identifiers,
    )
    return _quarantined(world, kept, error.code)


def _observed(event: CanonicalEvent, link_id: LinkId, a: IdentifierKey, b: IdentifierKey) -> ObserveLink:
    evidence = orjson.dumps({"event_id": event.event_id}).decode()
    return ObserveLink(
        link_id,
        a,
        b,
        "deterministic",
        0.0,
        event.source,
        RULE,
        event.schema_version,
        event.occurred_at,
        evidence=evidence,
        assumed=True,
    )


def _senior(world: World, event: CanonicalEvent) -> IdentifierKey:
    """The identifier that an event's traits are reported of."""
    people = [key for key in event.identifiers if not world.is_household(key)] or list(event.identifiers)
    return min(people, key=lambda key: seniority(key, 0, world.policy))


def _noted(world: World, event: CanonicalEvent, change: RecordEvent) -> None:
    """Note that its identifiers were seen, also one that is alone, and what it reports of its person."""
    at = event.occurred_at
    for key in event.identifiers:
        if note_seen(world, key, at, at, event.source):
            world.touched.add(key)
            state = world.stored_states.get(key)
            if state is None or state.first_seen is None:
                world.restructured.add(key)
    if change.traits and event.identifiers:
        state = world.state(key := _senior(world, event))
        seen = (Trait(name, event.source, value, at) for name, value in change.traits)
        traits = with_traits(state.traits, seen)
        if traits != state.traits:
            values = {(trait.name, trait.source): trait.value for trait in state.traits}
            if values != {(trait.name, trait.source): trait.value for trait in traits}:
                world.restructured.add(key)  # what is known of it is part of how the profile looked
            world.change(state._replace(traits=traits))
            world.touched.add(key)


def _said(world: World, change: RecordEvent, new_id: NewId) -> Generator[Wanted, None, tuple[tuple[str, ...], bool]]:
    """Take in what the event says of consent, of each of its identifiers; the ids of new records, and whether any says
    another thing than what counted.
    """
    event = change.event
    ids: list[str] = []
    changed = False
    for key in event.identifiers if change.statements else ():
        if world.is_household(key):
            continue
        fresh: list[ConsentRecord] = []
        for record in _records(world, change):
            known = _known(world.state(key).consents, record)
            if known is not None and _alike(known, record):
                yield from _confirmed(world, key, known, record)
            elif known is None or record.at > known.at or change.replay is None:
                fresh.append(replace(record, consent_id=new_id("con")))
        if fresh:
            yield from record_consents(world, key, fresh)
            ids += [record.consent_id for record in fresh]
            changed = True
    return tuple(ids), changed


def _records(world: World, change: RecordEvent) -> list[ConsentRecord]:
    event = change.event
    return [
        ConsentRecord(
            purpose,
            said.regulation or "",
            state,
            event.occurred_at,
            event.source,
            said.basis,
            said.expires_at,
            world.now,
            method=said.method,
            unreadable=said.unreadable,
            signal=said.signal,
        )
        for said in change.statements
        for purpose, state in said.states
    ]


def _known(records: Iterable[ConsentRecord], record: ConsentRecord) -> ConsentRecord | None:
    own = (r for r in records if r.via is None and r.purpose == record.purpose and r.regulation == record.regulation)
    return next(own, None)


def _alike(known: ConsentRecord, record: ConsentRecord) -> bool:
    return (known.state, known.source, known.basis, known.expires_at, known.unreadable) == (
        record.state,
        record.source,
        record.basis,
        record.expires_at,
        record.unreadable,
    )


def _confirmed(
    world: World, key: IdentifierKey, known: ConsentRecord, record: ConsentRecord
) -> Generator[Wanted, None, None]:
    """The same was said again: only when it was said last is news."""
    state = world.state(key)
    if record.at <= known.at or state.refuses(record.at):
        return
    again = replace(known, at=record.at, received_at=record.received_at)
    world.change(state._replace(consents=with_record(state.consents, again)))
    world.touched.add(key)
    if again.state == "granted":
        yield from end_inherited(world, key, [again])


def _marked(world: World, change: RecordEvent, event: CanonicalEvent, body: str) -> tuple[CanonicalEvent, str]:
    """Count the event in its sender's sequence; what fills a gap is flagged."""
    if change.mark is None:
        return event, body
    known = world.capture.senders.get((event.source, change.mark.sender))
    state, filled = after_mark(known, event.source, change.mark, event.received_at)
    world.capture.mark(state)
    if filled:
        event = flagged(event, "gap_filled")
        body = body_of(event)
    return event, body


def _resubmitted(world: World, change: RecordEvent) -> None:
    kept = None if change.resubmits is None else world.capture.quarantined.get(change.resubmits)
    if kept is not None:
        world.capture.keep(replace(kept, status="resubmitted", event=change.event.key))


def withdraws_linking(change: RecordEvent, linking_purpose: str) -> bool:
    """Whether an event may part its identifiers from others, who then inherit from each other."""
    said: Sequence[tuple[str, str]] = [one for statement in change.statements for one in statement.states]
    return any(purpose == linking_purpose and state != "granted" for purpose, state in said)

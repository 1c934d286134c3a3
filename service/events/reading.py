"""From one CloudEvent as sent to the change that records it, or to what is kept of it in quarantine. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, cast

import orjson

from service.control.link_ids import LinkIds
from service.control.normalise import Refused, normalise
from service.events.canonical import Keyed, body_of, content_of
from service.events.consent_signals import statements_of
from service.events.envelope import Envelope, read_envelope, text_of
from service.events.fallback import is_ahead, timed
from service.events.masking import MASK, holds_address, holds_control, masked, masked_text, may_hold_address
from service.events.validation import Compiled
from service.model.events import (
    CanonicalEvent,
    ConsentStatement,
    EventConsent,
    EventError,
    EventGranularity,
    EventLink,
    Quarantined,
    QuarantineEvent,
    RecordEvent,
    SenderMark,
)
from service.model.evidence import ConsentState
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy
from service.model.traits import TraitValue

EVENT_BYTES_MAX: Final = 65_536
QUARANTINE_BYTES_MAX: Final = 32_768
RULE: Final = "event"
METHOD: Final = "deterministic"
Item = RecordEvent | QuarantineEvent


@dataclass(frozen=True, slots=True)
class Reading:
    """Under what events are read: the policy, the schemas by name, the time (ms), and what is keyed."""

    policy: Policy
    schemas: Mapping[str, Compiled]
    received_at: int
    link_ids: LinkIds
    digest: Keyed
    address: Keyed


def read_event(item: object, reading: Reading, *, resubmits: str | None = None, replay: str | None = None) -> Item:
    """The change that an event asks for. What is wrong with it is never an error: it goes into quarantine."""
    envelope = read_envelope(item)
    if isinstance(envelope, list):
        return quarantine(item, envelope, reading)
    data = envelope.data
    content = content_of(envelope.type, envelope.schema, envelope.sent_at, data)
    if len(content) > EVENT_BYTES_MAX:
        return quarantine(item, [EventError("/data", f"is larger than {EVENT_BYTES_MAX} bytes", "limit")], reading)
    if holds_control(content, data):
        return quarantine(item, [EventError("/data", "holds a control character", "invalid")], reading)
    compiled = reading.schemas.get(envelope.schema)
    if compiled is None:
        return quarantine(item, [EventError("/dataschema", "is not a published schema", "unknown_schema")], reading)
    if not compiled.is_valid(data):
        return quarantine(item, compiled.errors_of(data), reading)
    identifiers, errors = _identifiers(data["identifiers"], reading.policy)
    errors += _wrong(envelope, reading, holds=may_hold_address(content))
    if errors:
        return quarantine(item, errors, reading)
    return _change(envelope, identifiers, content, reading, resubmits, replay)


def _identifiers(sent: list[dict[str, Any]], policy: Policy) -> tuple[list[IdentifierKey], list[EventError]]:
    """The normalised keys in the order sent, each once, and what is wrong with others."""
    found: dict[IdentifierKey, None] = {}
    errors: list[EventError] = []
    for index, one in enumerate(sent):
        try:
            found[normalise(one["namespace"], one["value"], policy, plain=one.get("plain", False)).key] = None
        except Refused as refused:
            errors.append(EventError(f"/data/identifiers/{index}/{refused.field}", str(refused), "identifier"))
    return list(found), errors


def _wrong(envelope: Envelope, reading: Reading, *, holds: bool) -> list[EventError]:
    """What of an event that fits its schema the policy does not allow. `holds`: there may be an address in it."""
    data, policy = envelope.data, reading.policy
    rules = policy.events
    errors: list[EventError] = []
    errors += [
        EventError(f"/data/consent/{purpose}", "is not a purpose of the policy", "unknown_purpose")
        for purpose in data.get("consent") or ()
        if purpose not in policy.purposes and purpose != policy.linking_purpose
    ]
    regulation = data.get("regulation")
    if regulation is not None and regulation not in policy.regulations:
        errors.append(EventError("/data/regulation", "is not a regulation of the policy", "unknown_regulation"))
    retention = data.get("retention")
    if retention is not None and retention not in rules.retention and retention != rules.default_retention:
        errors.append(EventError("/data/retention", "is not a retention of the policy", "unknown_retention"))
    if holds and data.get("traits") and holds_address(data["traits"]):
        errors.append(EventError("/data/traits", "holds an e-mail address; send it as an identifier", "personal_value"))
    if rules.skew == "quarantine" and is_ahead(envelope.sent_at, reading.received_at, envelope.clock, rules):
        errors.append(EventError("/time", "is ahead of the time at which it came", "ahead"))
    if not data["identifiers"] and rules.cookieless == "quarantine":
        errors.append(EventError("/data/identifiers", "is empty", "no_identifier"))
    return errors


def _purposes(policy: Policy, regulation: str, said: Mapping[str, str]) -> tuple[str, ...]:
    """Purposes that an event may be used for, as far as its own consent says: those without a word by their `unset`."""
    unset = policy.regulations.get(regulation, {})
    return tuple(
        name for name, purpose in policy.purposes.items() if said.get(name, unset.get(name, purpose.unset)) == "granted"
    )


def _granularity(identifiers: list[IdentifierKey], policy: Policy) -> EventGranularity:
    kinds = {policy.namespace_of_key(key).kind for key in identifiers}
    if "person" in kinds:
        return "person"
    return "pseudonymous" if "device" in kinds else "session" if "session" in kinds else "aggregate"


def _cookieless(envelope: Envelope, reading: Reading) -> list[IdentifierKey]:
    """A session of its own for a visitor without any identifier: keyed, of one day, source, address and browser."""
    signals, policy = envelope.data.get("signals") or {}, reading.policy
    sessions = [space for space in policy.namespaces.values() if space.kind == "session" and not space.hashed]
    if policy.events.cookieless != "session" or "ip" not in signals or not sessions:
        return []
    day = envelope.sent_at // 86_400_000
    seen = f"{envelope.source}\0{day}\0{signals['ip']}\0{signals.get('user_agent', '')}"
    namespace = min(sessions, key=lambda space: (space.priority, space.name))
    try:
        return [normalise(namespace.name, f"day-{reading.address(seen.encode())}", policy).key]
    except Refused:
        return []


def _change(
    envelope: Envelope,
    identifiers: list[IdentifierKey],
    content: bytes,
    reading: Reading,
    resubmits: str | None,
    replay: str | None,
) -> RecordEvent:
    data, policy = envelope.data, reading.policy
    rules = policy.events
    occurred_at, flags = timed(envelope.sent_at, reading.received_at, envelope.clock, rules)
    if not identifiers:
        identifiers = _cookieless(envelope, reading)
        flags = (*flags, "cookieless")
    said = cast("dict[str, ConsentState]", data.get("consent") or {})
    regulation = data.get("regulation") or ""
    signals = data.get("signals") or {}
    statements = _statements(said, regulation, data.get("basis"), signals, reading)
    context = _context(said, regulation, data.get("basis"), statements)
    properties, hidden = masked_text(data.get("properties") or {})
    extensions, hidden_too = masked_text(envelope.extensions) if envelope.extensions else ("{}", False)
    if hidden or hidden_too:
        flags = (*flags, "masked")
    shown = {"ip": reading.address(signals["ip"].encode())} if "ip" in signals else {}
    event = CanonicalEvent(
        envelope.source,
        envelope.event_id,
        envelope.type,
        envelope.version,
        occurred_at,
        reading.received_at,
        tuple(identifiers),
        reading.digest(content),
        context,
        _purposes(policy, context.regulation, dict(context.states)),
        _granularity(identifiers, policy),
        data.get("retention") or rules.default_retention,
        flags,
        properties,
        orjson.dumps(data.get("traits") or {}).decode(),
        orjson.dumps(shown).decode(),
        extensions,
    )
    traits = cast("tuple[tuple[str, TraitValue], ...]", tuple((data.get("traits") or {}).items()))
    links = links_of(event, reading.policy, reading.link_ids)
    mark = envelope.mark
    if mark is None and envelope.source in rules.heartbeats:
        mark = SenderMark("", None)
    return RecordEvent(event, body_of(event), links, traits, statements, replay, resubmits, mark)


def _statements(
    said: dict[str, ConsentState], regulation: str, basis: str | None, signals: dict[str, Any], reading: Reading
) -> tuple[ConsentStatement, ...]:
    own = (ConsentStatement(tuple(said.items()), regulation or None, basis, method="event"),) if said else ()
    return (*own, *statements_of(signals, reading.policy, reading.received_at)) if signals else own


def _context(
    said: dict[str, ConsentState], regulation: str, basis: str | None, statements: tuple[ConsentStatement, ...]
) -> EventConsent:
    """What was known of consent at capture, from what was said and from signals: a refusal before a grant."""
    states = dict(said)
    for statement in statements:
        for purpose, state in statement.states:
            if purpose not in states or state != "granted":
                states[purpose] = state
        regulation = regulation or statement.regulation or ""
    return EventConsent(tuple(states.items()), regulation, basis)


def links_of(event: CanonicalEvent, policy: Policy, link_ids: LinkIds) -> tuple[EventLink, ...]:
    """The links that an event speaks for: its identifiers pairwise, but households with each other."""
    if len(event.identifiers) < 2:
        return ()
    homes = {key for key in event.identifiers if policy.namespace_of_key(key).is_household}
    return tuple(
        EventLink(link_ids(event.source, RULE, METHOD, a, b), a, b)
        for a, b in combinations(event.identifiers, 2)
        if not (a in homes and b in homes)
    )


# ---- quarantine


def quarantine(item: object, errors: list[EventError], reading: Reading) -> QuarantineEvent:
    """What is kept of an event that can't be taken: its envelope, its errors, and its body without personal values."""
    sent: dict[str, Any] = item if isinstance(item, dict) else {}
    raw = orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
    names = "\n".join(str(sent.get(name)) for name in ("source", "id") if isinstance(sent.get(name), str))
    digest = hashlib.sha256(f"{names}\n{reading.digest(raw)}".encode()).digest()
    body, mentions = _kept_body(item, raw, reading.policy)
    schema, words = text_of(sent, "dataschema"), {name: text_of(sent, name) for name in ("source", "id", "type")}
    return QuarantineEvent(
        Quarantined(
            "qua_" + base64.b32encode(digest[:15]).decode().lower(),
            _unnamed(words["source"]),
            _unnamed(words["id"]),
            _unnamed(words["type"]),
            _unnamed(schema),
            reading.received_at,
            tuple(errors),
            body,
            mentions,
        )
    )


def _unnamed(text: str | None) -> str | None:
    return None if text is None else cast(str, masked(text))


def _kept_body(item: object, raw: bytes, policy: Policy) -> tuple[str | None, tuple[IdentifierKey, ...]]:
    """The body as it may be kept, and the identifiers in it. Values that are no identifiers are masked: a plain address
    in the place of a digest is the commonest mistake of all. Traits and signals are left out.
    """
    if len(raw) > QUARANTINE_BYTES_MAX or not isinstance(item, dict):
        return None, ()
    kept = dict(item)
    mentions: list[IdentifierKey] = []
    data = kept.get("data")
    if isinstance(data, dict):
        kept["data"] = {name: value for name, value in data.items() if name not in ("traits", "signals")}
        sent = data.get("identifiers")
        if isinstance(sent, list):
            kept["data"]["identifiers"] = [_kept_identifier(one, policy, mentions) for one in sent[:100]]
        elif sent is not None:
            kept["data"]["identifiers"] = MASK
    elif data is not None:
        kept["data"] = MASK
    return orjson.dumps(masked(kept)).decode(), tuple(mentions)


def _kept_identifier(sent: object, policy: Policy, mentions: list[IdentifierKey]) -> object:
    if not isinstance(sent, dict):
        return MASK
    namespace, value, plain = sent.get("namespace"), sent.get("value"), sent.get("plain", False)
    shown = namespace if isinstance(namespace, str) and namespace in policy.namespaces else MASK
    if isinstance(namespace, str) and isinstance(value, str) and isinstance(plain, bool):
        try:
            identifier = normalise(namespace, value, policy, plain=plain)
        except Refused:
            return {"namespace": shown, "value": MASK}
        mentions.append(identifier.key)
        return {"namespace": namespace, "value": identifier.value}
    return {"namespace": shown, "value": MASK}

"""The policy document: read, checked, compiled. Its shape is the contract's; unknown fields are an error."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, LiteralString

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from service.control.conditions import Condition, NotACondition
from service.control.policy_capture import (
    SignalRules,
    WebhookRules,
    signal_mappings,
    unknown_in_signals,
    unknown_names,
    webhook_mappings,
)
from service.control.policy_delivery import DeliveryBlock, compile_delivery
from service.control.policy_events import EventsRules, event_rules, unknown_in_events
from service.control.policy_matching import MatchingRules, matching_of
from service.model.policy import (
    MAX_LINKS_DEFAULT,
    PRIORITY_DEFAULT,
    Audience,
    Destination,
    Granularity,
    Namespace,
    Policy,
    Purpose,
)
from service.model.times import parse_duration, parse_rfc3339

NAME = r"^[a-z][a-z0-9_]{0,63}$"
Name = Annotated[str, StringConstraints(pattern=NAME)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Confidence = Annotated[float, Field(ge=0, le=1)]
Unset = Literal["granted", "denied"]
AUDIENCE_VARIABLES: Final = frozenset({"traits", "now"})
REFRESH_MS_MIN: Final = 1_000


def _duration(text: str) -> str:
    try:
        parse_duration(text)
    except ValueError:
        raise PydanticCustomError("not_a_duration", "is not a duration") from None
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error:
        raise PydanticCustomError("not_a_pattern", "is not a regular expression") from None
    return text


def _moment(text: str) -> str:
    try:
        parse_rfc3339(text)
    except ValueError:
        raise PydanticCustomError("datetime_parsing", "is not a time") from None
    return text


Duration = Annotated[str, AfterValidator(_duration)]
Moment = Annotated[str, AfterValidator(_moment)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NamespaceRule(_Strict):
    """One namespace. A household has no `max_links` unless it says so."""

    kind: Literal["person", "device", "session", "household"]
    priority: Annotated[int, Field(ge=0, le=10_000)] = PRIORITY_DEFAULT
    max_per_profile: Annotated[int, Field(ge=1)] | None = None
    max_links: Annotated[int, Field(ge=1)] | None = None
    ttl: Duration | None = None
    contested: Literal["newest", "strongest", "oldest", "nobody"] = "newest"
    pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    hash: Literal["sha256"] | None = None
    fold_case: bool = False
    variants: list[Literal["email_google", "phone_e164", "phone_digits"]] = []


class MinConfidence(_Strict):
    """Below these a link is kept and withheld."""

    deterministic: Confidence = 0.5
    probabilistic: Confidence = 0.9


class IdentityRules(_Strict):
    """Limits of resolution."""

    max_profile_size: Annotated[int, Field(ge=1, le=10_000)] = 500
    min_confidence: MinConfidence = MinConfidence()
    review_above: Confidence = 0.6
    linking_purpose: Name = "identity_linking"


class SourceRule(_Strict):
    """How far a source is believed; `*` is any other. `priority`: whose report of a trait counts, lower first."""

    confidence: Confidence
    priority: Annotated[int, Field(ge=0, le=10_000)] = PRIORITY_DEFAULT


class PurposeRule(_Strict):
    """What holds for a purpose where nobody said anything."""

    unset: Unset
    basis: Label | None = None


class RegulationRule(_Strict):
    """Where a regulation has another `unset` for a purpose."""

    unset: dict[Name, Unset] = {}


class ConsentRules(_Strict):
    """How consents of one profile combine."""

    combine: Literal["strictest", "per_identifier"] = "strictest"
    regulations: dict[Label, RegulationRule] = {}


class Otherwise(_Strict):
    """What a destination gets when consent does not allow its granularity."""

    granularity: Granularity


class DestinationRule(_Strict):
    """What one destination may be given. `traits`: names of those that it may have, `*` for all."""

    purpose: Name
    namespaces: list[str]
    granularity: Granularity
    min_confidence: Confidence = 0.0
    otherwise: Otherwise | None = None
    traits: list[Annotated[str, StringConstraints(pattern=r"^(\*|[a-z][a-z0-9_]{0,63})$")]] = ["*"]
    delivery: DeliveryBlock | None = None


class AudienceRule(_Strict):
    """A condition in CEL, for a purpose."""

    when: Annotated[str, StringConstraints(max_length=4096)]
    purpose: Name
    refresh: Duration = "P1D"


class DecisionRules(_Strict):
    """Limits of decisions."""

    max_age: Duration = "PT24H"


class ExampleLink(_Strict):
    """Two identifiers, each as `namespace:value`, that a source says belong together."""

    a: str
    b: str
    method: Literal["deterministic", "probabilistic"] = "deterministic"
    confidence: Confidence | None = None
    source: Label = "example"


class ExampleConsent(_Strict):
    """What the person behind an identifier said; `at` is RFC 3339, and without it the example's time."""

    identifier: str
    purposes: dict[Name, Literal["granted", "denied", "withdrawn"]]
    regulation: Label | None = None
    basis: Label | None = None
    at: Moment | None = None
    expires_at: Moment | None = None


class ExampleGiven(_Strict):
    """What is known in an example; identifiers that are in no link are named here."""

    identifiers: list[str] = []
    links: Annotated[list[ExampleLink], Field(max_length=50)] = []
    consents: Annotated[list[ExampleConsent], Field(max_length=50)] = []


class ExampleRequest(_Strict):
    """A decision that is asked for."""

    identifier: str
    destination: Label
    purpose: Name | None = None
    regulation: Label | None = None


class ExampleExpect(_Strict):
    """What must come out; what is left out is not looked at. `namespaces`: of the identifiers given, sorted."""

    outcome: Literal["allow", "limit", "withhold"]
    granularity: Granularity | None = None
    reasons: list[str] | None = None
    basis: Label | None = None
    namespaces: list[Name] | None = None


class Example(_Strict):
    """A decision that must come out so under the policy, or it can't be put in force."""

    name: Label
    now: Moment = "2026-01-01T00:00:00Z"
    given: ExampleGiven = ExampleGiven()
    request: ExampleRequest
    expect: ExampleExpect


class PolicyDocument(_Strict):
    """The whole document of one version."""

    name: Label
    namespaces: Annotated[dict[Name, NamespaceRule], Field(min_length=1)]
    blocked_values: list[Annotated[str, StringConstraints(max_length=512)]] = []
    identity: IdentityRules = IdentityRules()
    sources: dict[Label, SourceRule] = {}
    purposes: dict[Name, PurposeRule] = {}
    consent: ConsentRules = ConsentRules()
    destinations: dict[Name, DestinationRule] = {}
    audiences: dict[Name, AudienceRule] = {}
    decisions: DecisionRules = DecisionRules()
    retention: dict[Label, Duration] = {}
    webhooks: dict[Name, WebhookRules] = {}
    signals: SignalRules = SignalRules()
    events: EventsRules = EventsRules()
    matching: MatchingRules | None = None
    tests: Annotated[list[Example], Field(max_length=100)] = []


def _wrong(document: PolicyDocument) -> list[InitErrorDetails]:
    """Names in one part of a document that another part does not have, and conditions that are none."""
    found: list[InitErrorDetails] = []

    def wrong(kind: LiteralString, *place: str) -> None:
        found.append(InitErrorDetails(type=PydanticCustomError(kind, kind), loc=place, input=None))

    purposes = document.purposes
    for name, destination in document.destinations.items():
        if destination.purpose not in purposes:
            wrong("unknown_purpose", "destinations", name, "purpose")
        if any(n != "*" and n not in document.namespaces for n in destination.namespaces):
            wrong("unknown_namespace", "destinations", name, "namespaces")
    for name, audience in document.audiences.items():
        if audience.purpose not in purposes:
            wrong("unknown_purpose", "audiences", name, "purpose")
        try:
            Condition(audience.when, AUDIENCE_VARIABLES)
        except NotACondition:
            wrong("not_a_condition", "audiences", name, "when")
    for name, regulation in document.consent.regulations.items():
        if not regulation.unset.keys() <= purposes.keys():
            wrong("unknown_purpose", "consent", "regulations", name, "unset")
    if document.identity.linking_purpose not in purposes:
        wrong("unknown_purpose", "identity", "linking_purpose")
    regulations = document.consent.regulations
    for place, what in unknown_names(document.webhooks, document.namespaces, purposes, regulations):
        wrong(what, "webhooks", *place)
    for place, what in unknown_in_signals(document.signals, purposes, regulations):
        wrong(what, "signals", *place)
    for place, what in unknown_in_events(document.events, purposes, document.retention):
        wrong(what, "events", *place)
    return found


def read_policy(content: object) -> PolicyDocument:
    """The document, if it is a policy. Raises pydantic.ValidationError with the place of everything that is wrong."""
    document = PolicyDocument.model_validate(content)
    if found := _wrong(document):
        raise ValidationError.from_exception_data("PolicyDocument", found)
    return document


def fold(value: str) -> str:
    """A value as it is compared with the blocked ones: without case, blanks and widths of letters."""
    return "".join(unicodedata.normalize("NFKC", value).split()).casefold()


def _namespace(name: str, rule: NamespaceRule) -> Namespace:
    max_links = rule.max_links
    if max_links is None and rule.kind != "household":
        max_links = MAX_LINKS_DEFAULT
    return Namespace(
        name=name,
        kind=rule.kind,
        priority=rule.priority,
        max_per_profile=rule.max_per_profile,
        max_links=max_links,
        ttl_ms=parse_duration(rule.ttl) if rule.ttl else None,
        contested=rule.contested,
        pattern=re.compile(rule.pattern) if rule.pattern else None,
        hashed=rule.hash is not None,
        fold_case=rule.fold_case,
        variants=tuple(rule.variants),
    )


def _destination(name: str, rule: DestinationRule) -> Destination:
    return Destination(
        name,
        rule.purpose,
        frozenset(rule.namespaces),
        rule.granularity,
        rule.min_confidence,
        rule.otherwise.granularity if rule.otherwise is not None else None,
        frozenset(rule.traits),
        compile_delivery(rule.delivery),
    )


def _audience(name: str, rule: AudienceRule) -> Audience:
    refresh_ms = max(REFRESH_MS_MIN, parse_duration(rule.refresh))
    return Audience(name, rule.when, rule.purpose, refresh_ms, Condition(rule.when, AUDIENCE_VARIABLES).holds)


_ZEROS_MAX: Final = 32
_LINE_ENDS: Final = ("\n", "\r\n")  # as `echo`, or a file's line, hands a value on


def compile_policy(document: Mapping[str, Any] | PolicyDocument, version: int) -> Policy:
    """The frozen policy of a document. Raises pydantic.ValidationError."""
    if not isinstance(document, PolicyDocument):
        document = read_policy(document)
    blocked = {fold(value) for value in document.blocked_values} | {""}
    spelled = {spelling for value in (*document.blocked_values, "") for spelling in (value, value.strip(), fold(value))}
    spelled |= {
        as_written(value) for value in spelled for as_written in (str.upper, str.lower, str.capitalize, str.title)
    }
    spelled |= {sign + "0" * length for length in range(1, _ZEROS_MAX + 1) for sign in ("", "+")}
    spelled |= {before + value + after for value in spelled for before in ("", " ") for after in ("", " ", *_LINE_ENDS)}
    return Policy(
        version=version,
        name=document.name,
        namespaces={name: _namespace(name, rule) for name, rule in document.namespaces.items()},
        blocked_values=frozenset(blocked),
        blocked_digests=frozenset(hashlib.sha256(value.encode()).hexdigest() for value in spelled),
        max_profile_size=document.identity.max_profile_size,
        min_confidence_deterministic=document.identity.min_confidence.deterministic,
        min_confidence_probabilistic=document.identity.min_confidence.probabilistic,
        review_above=document.identity.review_above,
        linking_purpose=document.identity.linking_purpose,
        sources={name: rule.confidence for name, rule in document.sources.items()},
        purposes={name: Purpose(name, rule.unset, rule.basis) for name, rule in document.purposes.items()},
        combine=document.consent.combine,
        regulations={name: dict(rule.unset) for name, rule in document.consent.regulations.items()},
        destinations={name: _destination(name, rule) for name, rule in document.destinations.items()},
        audiences={name: _audience(name, rule) for name, rule in document.audiences.items()},
        source_priorities={name: rule.priority for name, rule in document.sources.items()},
        decision_max_age_ms=parse_duration(document.decisions.max_age),
        webhooks=webhook_mappings(document.webhooks),
        signals=signal_mappings(document.signals),
        events=event_rules(document.events, document.purposes, document.retention),
        matching=matching_of(document.matching),
    )


def policy_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document."""
    schema = PolicyDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Policy", **schema}

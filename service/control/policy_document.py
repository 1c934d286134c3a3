"""The policy document: read, checked, compiled. Its shape is the contract's; unknown fields are an error."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from service.model.policy import (
    MAX_LINKS_DEFAULT,
    PRIORITY_DEFAULT,
    Destination,
    Granularity,
    Namespace,
    Policy,
    Purpose,
)
from service.model.times import parse_duration

NAME = r"^[a-z][a-z0-9_]{0,63}$"
Name = Annotated[str, StringConstraints(pattern=NAME)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Confidence = Annotated[float, Field(ge=0, le=1)]
Unset = Literal["granted", "denied"]


def _duration(text: str) -> str:
    parse_duration(text)
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError("is not a regular expression") from error
    return text


Duration = Annotated[str, AfterValidator(_duration)]


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
    """How far a source is believed; `*` is any other."""

    confidence: Confidence


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
    """What one destination may be given."""

    purpose: Name
    namespaces: list[str]
    granularity: Granularity
    min_confidence: Confidence = 0.0
    otherwise: Otherwise | None = None


class AudienceRule(_Strict):
    """A condition in CEL, for a purpose."""

    when: Annotated[str, StringConstraints(max_length=4096)]
    purpose: Name
    refresh: Duration = "P1D"


class DecisionRules(_Strict):
    """Limits of decisions."""

    max_age: Duration = "PT24H"


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

    @model_validator(mode="after")
    def _names_agree(self) -> PolicyDocument:
        for name, destination in self.destinations.items():
            if destination.purpose not in self.purposes:
                raise ValueError(f"destination {name} names a purpose that is not in the policy")
            unknown = [n for n in destination.namespaces if n != "*" and n not in self.namespaces]
            if unknown:
                raise ValueError(f"destination {name} names a namespace that is not in the policy")
        for name, audience in self.audiences.items():
            if audience.purpose not in self.purposes:
                raise ValueError(f"audience {name} names a purpose that is not in the policy")
        for name, regulation in self.consent.regulations.items():
            if not regulation.unset.keys() <= self.purposes.keys():
                raise ValueError(f"regulation {name} names a purpose that is not in the policy")
        if self.identity.linking_purpose not in self.purposes:
            raise ValueError("identity.linking_purpose is not a purpose of the policy")
        return self


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
    )


_ZEROS_MAX: Final = 32
_LINE_ENDS: Final = ("\n", "\r\n")  # as `echo`, or a file's line, hands a value on


def compile_policy(document: Mapping[str, Any] | PolicyDocument, version: int) -> Policy:
    """The frozen policy of a document. Raises pydantic.ValidationError."""
    if not isinstance(document, PolicyDocument):
        document = PolicyDocument.model_validate(document)
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
        decision_max_age_ms=parse_duration(document.decisions.max_age),
    )

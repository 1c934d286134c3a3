"""Sections of the policy document about what others send: `webhooks`, vendor by vendor, and `signals`, kind by kind."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Literal, LiteralString

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from service.control.signals.gpp_layouts import CHOICES, SECTIONS
from service.control.signals.tcf import PURPOSES, VENDOR_MAX
from service.model.capture import (
    GoogleMapping,
    GpcMapping,
    GppMapping,
    MeantIdentifier,
    SignalMappings,
    TcfMapping,
    TcfUse,
    WebhookMapping,
)
from service.model.times import parse_duration

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Theirs = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MeantIdentifierRule(_Strict):
    """A namespace; `plain` where the vendor sends the plain value of a hashed one."""

    namespace: Name
    plain: bool = False


class WebhookRules(_Strict):
    """What a vendor's names mean here. Null and the empty list: known, and left out. What is not listed is refused."""

    identifiers: Annotated[dict[Theirs, MeantIdentifierRule | None], Field(min_length=1, max_length=200)]
    purposes: Annotated[dict[Theirs, list[Name]], Field(min_length=1, max_length=1_000)]
    regulations: Annotated[dict[Theirs, Label], Field(max_length=200)] = {}
    regulation: Label | None = None


TcfPurpose = Annotated[int, Field(ge=1, le=PURPOSES)]
Feature = Annotated[int, Field(ge=1, le=12)]
Vendor = Annotated[int, Field(ge=1, le=VENDOR_MAX)]
GoogleType = Literal[
    "ad_storage",
    "ad_user_data",
    "ad_personalization",
    "analytics_storage",
    "functionality_storage",
    "personalization_storage",
    "security_storage",
]


def _duration(text: str) -> str:
    parse_duration(text)
    return text


def _section(name: str) -> str:
    if name not in SECTIONS or name == "tcfeuv2":
        raise ValueError("is not a section that is decoded")
    return name


def _choice(name: str) -> str:
    if name not in CHOICES:
        raise ValueError("is not a choice of a section")
    return name


class TcfUseRule(_Strict):
    """What of the framework one of our purposes needs."""

    consent: list[TcfPurpose] = []
    interest: list[TcfPurpose] = []
    features: list[Feature] = []


class TcfRules(_Strict):
    """TC strings. `vendors`: ids of the global vendor list that must all be permitted; []: purposes alone count."""

    regulation: Label | None = None
    vendors: Annotated[list[Vendor], Field(max_length=100)]
    purposes: Annotated[dict[Name, TcfUseRule], Field(min_length=1)]
    max_age: Annotated[str, AfterValidator(_duration)] = "P390D"
    policy_version_min: Annotated[int, Field(ge=2, le=63)] = 4
    require_disclosed: bool = True


class GppRules(_Strict):
    """GPP strings: the sections that count, with their regulation, and what each purpose is built on.

    `require_parts`: a section without the part that may follow it (GPC, sensitive data) counts as cut short.
    """

    sections: Annotated[dict[Annotated[str, AfterValidator(_section)], Label], Field(min_length=1)]
    purposes: Annotated[
        dict[Name, Annotated[list[Annotated[str, AfterValidator(_choice)]], Field(min_length=1)]], Field(min_length=1)
    ]
    require_parts: bool = True


class GpcRules(_Strict):
    """Global Privacy Control."""

    regulations: Annotated[list[Label], Field(min_length=1)]
    denies: Annotated[list[Name], Field(min_length=1)]


class GoogleRules(_Strict):
    """Google consent mode."""

    regulation: Label | None = None
    purposes: Annotated[dict[Name, Annotated[list[GoogleType], Field(min_length=1)]], Field(min_length=1)]


class SignalRules(_Strict):
    """What signals mean; a kind that is not named is not taken."""

    tcf: TcfRules | None = None
    gpp: GppRules | None = None
    gpc: GpcRules | None = None
    google_consent_mode: GoogleRules | None = None


def _tcf(rule: TcfRules) -> TcfMapping:
    uses = {
        name: TcfUse(tuple(use.consent), tuple(use.interest), tuple(use.features))
        for name, use in rule.purposes.items()
    }
    ages = parse_duration(rule.max_age)
    return TcfMapping(rule.regulation, tuple(rule.vendors), uses, ages, rule.policy_version_min, rule.require_disclosed)


def signal_mappings(rules: SignalRules) -> SignalMappings:
    """The section, compiled."""
    tcf, gpp, gpc, google = rules.tcf, rules.gpp, rules.gpc, rules.google_consent_mode
    return SignalMappings(
        None if tcf is None else _tcf(tcf),
        None if gpp is None else GppMapping(dict(gpp.sections), _tuples(gpp.purposes), gpp.require_parts),
        None if gpc is None else GpcMapping(tuple(gpc.regulations), tuple(gpc.denies)),
        None if google is None else GoogleMapping(google.regulation, _tuples(google.purposes)),
    )


def _tuples(lists: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(items) for name, items in lists.items()}


def unknown_in_signals(
    rules: SignalRules, purposes: Collection[str], regulations: Collection[str]
) -> Iterator[tuple[tuple[str, ...], LiteralString]]:
    """Where the section names what the policy has not: the path below `signals`, and what is wrong with it."""
    for kind in ("tcf", "gpp", "google_consent_mode"):
        rule = getattr(rules, kind)
        for name in rule.purposes if rule else ():
            if name not in purposes:
                yield (kind, "purposes", name), "unknown_purpose"
    for name in rules.gpc.denies if rules.gpc else ():
        if name not in purposes:
            yield ("gpc", "denies"), "unknown_purpose"
    google = rules.google_consent_mode
    named: list[tuple[tuple[str, ...], str | None]] = [
        (("tcf", "regulation"), None if rules.tcf is None else rules.tcf.regulation),
        (("google_consent_mode", "regulation"), None if google is None else google.regulation),
    ]
    named += [
        (("gpp", "sections", section), name) for section, name in (rules.gpp.sections if rules.gpp else {}).items()
    ]
    named += [(("gpc", "regulations"), name) for name in (rules.gpc.regulations if rules.gpc else ())]
    for place, regulation in named:
        if regulation is not None and regulation not in regulations:
            yield place, "unknown_regulation"


def webhook_mappings(rules: Mapping[str, WebhookRules]) -> dict[str, WebhookMapping]:
    """The section, compiled."""
    return {
        vendor: WebhookMapping(
            {
                kind: None if meant is None else MeantIdentifier(meant.namespace, meant.plain)
                for kind, meant in rule.identifiers.items()
            },
            {theirs: tuple(dict.fromkeys(ours)) for theirs, ours in rule.purposes.items()},
            dict(rule.regulations),
            rule.regulation,
        )
        for vendor, rule in rules.items()
    }


def unknown_names(
    rules: Mapping[str, WebhookRules],
    namespaces: Collection[str],
    purposes: Collection[str],
    regulations: Collection[str],
) -> Iterator[tuple[tuple[str, ...], LiteralString]]:
    """Where the section names what the policy has not: the path below `webhooks`, and what is wrong with it."""
    for vendor, rule in rules.items():
        for kind, meant in rule.identifiers.items():
            if meant is not None and meant.namespace not in namespaces:
                yield (vendor, "identifiers", kind, "namespace"), "unknown_namespace"
        for theirs, ours in rule.purposes.items():
            if not set(ours) <= set(purposes):
                yield (vendor, "purposes", theirs), "unknown_purpose"
        for theirs, meant_regulation in rule.regulations.items():
            if meant_regulation not in regulations:
                yield (vendor, "regulations", theirs), "unknown_regulation"
        if rule.regulation is not None and rule.regulation not in regulations:
            yield (vendor, "regulation"), "unknown_regulation"

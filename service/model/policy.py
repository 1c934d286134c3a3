"""The compiled policy: what the pure functions read.

The document of the contract is read and checked in `service.control.policy_document`; this is the frozen result, with
durations in milliseconds and patterns compiled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from service.model.capture import SignalMappings, WebhookMapping
from service.model.delivery import DeliveryRule
from service.model.events import EventRules
from service.model.records import Matching

Kind = Literal["person", "device", "session", "household"]
Contested = Literal["newest", "strongest", "oldest", "nobody"]
Unset = Literal["granted", "denied"]
Granularity = Literal["person", "pseudonymous", "session", "aggregate", "none"]

MAX_LINKS_DEFAULT = 1_000
PRIORITY_DEFAULT = 99
MAX_AGE_DEFAULT_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Namespace:
    """How identifiers of one type are read and how far they may bridge.

    `priority`: lower is stronger. `max_links`: more distinct neighbours than this make an identifier shared (None: no
    limit). `ttl_ms` counts from a link's last observation.
    """

    name: str
    kind: Kind = "device"
    priority: int = PRIORITY_DEFAULT
    max_per_profile: int | None = None
    max_links: int | None = MAX_LINKS_DEFAULT
    ttl_ms: int | None = None
    contested: Contested = "newest"
    pattern: re.Pattern[str] | None = None
    hashed: bool = False
    fold_case: bool = False
    variants: tuple[str, ...] = ()

    @property
    def is_household(self) -> bool:
        """Households group profiles; they take no part in the union."""
        return self.kind == "household"


@dataclass(frozen=True, slots=True)
class Purpose:
    """A purpose that consent is given for; `unset` holds where nobody said anything."""

    name: str
    unset: Unset = "denied"
    basis: str | None = None


@dataclass(frozen=True, slots=True)
class Destination:
    """What one destination may be given, and for what. `otherwise`: what it gets where that can't be given."""

    name: str
    purpose: str
    namespaces: frozenset[str]
    granularity: Granularity
    min_confidence: float = 0.0
    otherwise: Granularity | None = None
    traits: frozenset[str] = frozenset({"*"})
    delivery: DeliveryRule | None = None

    def sees(self, trait: str) -> bool:
        """Whether it may have a trait of this name."""
        return trait in self.traits or "*" in self.traits

    def takes(self, namespace: str) -> bool:
        """Whether it may have identifiers of a namespace."""
        return namespace in self.namespaces or "*" in self.namespaces


@dataclass(frozen=True, slots=True)
class Audience:
    """People that a condition holds of, for a purpose. `holds` tells whether `when` is true of `traits` and `now`.

    `refresh_ms`: how often everybody is looked at again, since time alone may change it.
    """

    name: str
    when: str
    purpose: str
    refresh_ms: int
    holds: Callable[[Mapping[str, Any]], bool] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Policy:
    """One immutable version of the rules."""

    version: int
    name: str
    namespaces: Mapping[str, Namespace]
    blocked_values: frozenset[str] = frozenset()
    blocked_digests: frozenset[str] = frozenset()
    max_profile_size: int = 500
    min_confidence_deterministic: float = 0.5
    min_confidence_probabilistic: float = 0.9
    review_above: float = 0.6
    linking_purpose: str = "identity_linking"
    sources: Mapping[str, float] = field(default_factory=dict)
    purposes: Mapping[str, Purpose] = field(default_factory=dict)
    combine: Literal["strictest", "per_identifier"] = "strictest"
    regulations: Mapping[str, Mapping[str, Unset]] = field(default_factory=dict)
    destinations: Mapping[str, Destination] = field(default_factory=dict)
    audiences: Mapping[str, Audience] = field(default_factory=dict)
    source_priorities: Mapping[str, int] = field(default_factory=dict)
    decision_max_age_ms: int = MAX_AGE_DEFAULT_MS
    webhooks: Mapping[str, WebhookMapping] = field(default_factory=dict)
    signals: SignalMappings = field(default_factory=SignalMappings)
    events: EventRules = field(default_factory=EventRules)
    matching: Matching | None = None

    def confidence_of_source(self, source: str) -> float:
        """The confidence that identifiers seen together by `source` belong together."""
        return self.sources.get(source, self.sources.get("*", 0.9))

    def priority_of_source(self, source: str) -> int:
        """Whose report of a trait counts; lower goes first."""
        return self.source_priorities.get(source, self.source_priorities.get("*", PRIORITY_DEFAULT))

    def namespace_of_key(self, key: str) -> Namespace:
        """The namespace of an identifier key; one that the policy no longer names has the defaults."""
        name = key[: key.index(":")]
        found = self.namespaces.get(name)
        return found if found is not None else Namespace(name)

"""Evidence: what has been said about identifiers. A profile is a function of it.

Times are milliseconds since the epoch, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Literal, NamedTuple

from service.model.identifiers import AssertionId, IdentifierKey, LinkId, Pair, ProfileId

Method = Literal["deterministic", "probabilistic"]
Reason = Literal[
    "shared_identifier",
    "contested",
    "asserted_different",
    "namespace_limit",
    "profile_size",
    "below_confidence",
    "records_disagree",
    "link_not_permitted",
    "expired",
    "retracted",
]


ConsentState = Literal["granted", "denied", "withdrawn"]
Verdict = Literal["same", "different", "dismissed"]


class Tier(IntEnum):
    """Strength of a link before anything else about it counts."""

    STEWARD = 0
    DETERMINISTIC = 1
    PROBABILISTIC = 2


@dataclass(frozen=True, slots=True)
class Link:
    """One source's statement that two identifiers belong together. `a` < `b` in key order.

    `due`: when it expires (None: never). `inactive`: why it has no say at present (None: it has). `reviewed`: what a
    steward said of this pair in a review; it is then never asked about again. `assumed`: it was sent without a
    confidence, which is what the policy gives its source.
    """

    link_id: LinkId
    a: IdentifierKey
    b: IdentifierKey
    method: Method
    confidence: float
    source: str
    rule: str
    rule_version: str | None
    observed_at: int
    first_observed_at: int
    expires_at: int | None = None
    evidence: str | None = None
    due: int | None = None
    inactive: Reason | None = None
    retracted_at: int | None = None
    reviewed: Verdict | None = None
    assumed: bool = False

    @property
    def pair(self) -> Pair:
        """Both ends in key order."""
        return (self.a, self.b)

    @property
    def tier(self) -> Tier:
        """Deterministic or probabilistic; a steward's word is a `Bond` of tier STEWARD, not a Link."""
        return Tier.DETERMINISTIC if self.method == "deterministic" else Tier.PROBABILISTIC


class Bond(NamedTuple):
    """What resolve() sees of a link: a pair with what it is ranked by."""

    a: IdentifierKey
    b: IdentifierKey
    tier: Tier
    confidence: float
    observed_at: int
    first_observed_at: int

    @property
    def pair(self) -> Pair:
        """Both ends in key order."""
        return (self.a, self.b)


@dataclass(frozen=True, slots=True)
class Hand:
    """A steward hands a profile id on to an identifier; of several in force for one id, the latest counts."""

    at: int
    profile_id: ProfileId
    to: IdentifierKey


@dataclass(frozen=True, slots=True)
class Assertion:
    """A steward's word. `same`: the seniors are one person, the named count together as no more than a limit.
    `different`: nobody of one side is with anybody of the other. `at` is its sequence number, so the order is total.
    """

    assertion_id: AssertionId
    kind: Literal["same", "different"]
    at: int
    at_ms: int
    seniors: tuple[IdentifierKey, ...] = ()
    named: frozenset[IdentifierKey] = frozenset()
    sides: tuple[frozenset[IdentifierKey], frozenset[IdentifierKey]] = (frozenset(), frozenset())
    hand: Hand | None = None
    reason: str = ""
    actor: str = ""
    undone: bool = False


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """What one identifier's person said about one purpose under one regulation ('' where none was named).

    `at`: when it takes effect; `received_at`: when we were told (ms). `notice`: what was shown, as JSON text.
    `method`: how it was collected. `signal`: what it was decoded from, as JSON text; kept with the record, not carried
    by the identifier. `unreadable`: it is a refusal because that could not be read. `via`: the refusal is inherited
    from the other side of this link, which ended at `at` (None: it was said of it itself).
    """

    purpose: str
    regulation: str
    state: ConsentState
    at: int
    source: str | None = None
    basis: str | None = None
    expires_at: int | None = None
    received_at: int = 0
    consent_id: str = ""
    notice: str | None = None
    method: str | None = None
    unreadable: bool = False
    via: str | None = None
    signal: str | None = None


NO_NEIGHBOURS: Mapping[str, int] = MappingProxyType({})


class Standing(NamedTuple):
    """What the union needs to know of an identifier.

    `neighbours`: distinct identifiers reached by active, non-steward links, counted by namespace (households aside).
    `sides`: active `different` assertions it is named in, with its side. `named`: merges in force that name it.
    """

    key: IdentifierKey
    neighbours: Mapping[str, int] = NO_NEIGHBOURS
    linking: bool = True
    sides: tuple[tuple[AssertionId, int], ...] = ()
    named: tuple[AssertionId, ...] = ()

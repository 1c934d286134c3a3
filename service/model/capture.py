"""How what others send is understood: parts of a policy that map their names to ours.

Nothing here says what is permitted; it only says which of our purposes, namespaces and regulations is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class MeantIdentifier:
    """What a vendor's kind of identifier is here. `plain`: the vendor sends the plain value of a hashed namespace."""

    namespace: str
    plain: bool = False


@dataclass(frozen=True, slots=True)
class WebhookMapping:
    """A vendor's names → ours. A name that maps to nothing (None, an empty tuple) is known and left out; one that is
    not listed is not understood. `regulation`: the one meant where the webhook names none (None: all).
    """

    identifiers: Mapping[str, MeantIdentifier | None] = field(default_factory=dict)
    purposes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    regulations: Mapping[str, str] = field(default_factory=dict)
    regulation: str | None = None


SignalKind = Literal["tcf", "gpp", "gpc", "google_consent_mode"]


@dataclass(frozen=True, slots=True)
class TcfUse:
    """What of the framework one of our purposes needs: all of these.

    `consent`: purposes that need consent. `interest`: those that may rest on legitimate interest instead. `features`:
    special features that were opted into.
    """

    consent: tuple[int, ...] = ()
    interest: tuple[int, ...] = ()
    features: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TcfMapping:
    """TC strings. `vendors`: ids of the global list that must all be permitted (none: purposes alone count)."""

    regulation: str | None
    vendors: tuple[int, ...]
    purposes: Mapping[str, TcfUse]
    max_age_ms: int
    policy_version_min: int
    require_disclosed: bool


@dataclass(frozen=True, slots=True)
class GppMapping:
    """GPP strings. `sections`: section → regulation. `purposes`: purpose → choices, none of which may be a no.

    `require_parts`: a section without the part that may follow it counts as cut short.
    """

    sections: Mapping[str, str]
    purposes: Mapping[str, tuple[str, ...]]
    require_parts: bool = True


@dataclass(frozen=True, slots=True)
class GpcMapping:
    """Global Privacy Control: what it denies, and under which regulations."""

    regulations: tuple[str, ...]
    denies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GoogleMapping:
    """Google consent mode: purpose → types that must all be granted."""

    regulation: str | None
    purposes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class SignalMappings:
    """What each kind of signal means; None: it is not taken."""

    tcf: TcfMapping | None = None
    gpp: GppMapping | None = None
    gpc: GpcMapping | None = None
    google_consent_mode: GoogleMapping | None = None

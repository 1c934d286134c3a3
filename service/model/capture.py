"""How what others send is understood: parts of a policy that map their names to ours.

Nothing here says what is permitted; it only says which of our purposes, namespaces and regulations is meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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

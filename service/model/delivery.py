"""Deliveries: what is to be sent where, and what became of it. All frozen; times in ms.

A delivery is an intent, made with its decision in the transaction of the event, and the attempts made on it since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from service.model.identifiers import IdentifierKey, ProfileId

Mode = Literal["off", "shadow", "live"]
Owner = Literal["new", "legacy"]
Action = Literal["send", "remove"]
Path = Literal["new", "shadow"]
Outcome = Literal[
    "pending",
    "delivered",
    "accepted_unverified",
    "suppressed",
    "expired",
    "dead",
    "uncertain",
    "shadow",
    "not_supported",
]
Result = Literal[
    "delivered",
    "accepted_unverified",
    "retry",
    "throttled",
    "split",
    "dead",
    "expired",
    "setup_failed",
    "unknown",
    "not_supported",
]
"""What one attempt came to; an adapter says it of each item."""

DestinationMode = Literal["ok", "paused", "setup_failed", "throttled"]
Cause = Literal["timing", "duplicate", "consent", "identity", "mapping", "legacy_defect"]
CAUSES: tuple[Cause, ...] = ("timing", "duplicate", "consent", "identity", "mapping", "legacy_defect")
OUTCOMES: tuple[Outcome, ...] = (
    "pending",
    "delivered",
    "accepted_unverified",
    "suppressed",
    "expired",
    "dead",
    "uncertain",
    "shadow",
    "not_supported",
)


@dataclass(frozen=True, slots=True)
class DeliveryRule:
    """The `delivery` block of a destination. `holds` tells whether `when` is true; `secret` is a name, never a value.

    `max_gap`: the largest share of unexplained differences; `window_ms`: how long a counterpart may be missing.
    """

    adapter: str
    settings: Mapping[str, Any]
    secret: str | None
    on: frozenset[str]
    mode: Mode = "off"
    share: float = 1.0
    max_gap: float = 0.01
    min_compared: int = 1_000
    window_ms: int = 3_600_000
    holds: Callable[[Mapping[str, Any]], bool] = field(default=lambda _: True, compare=False, repr=False)

    @property
    def acts(self) -> bool:
        """Whether events make deliveries at all."""
        return self.mode != "off"

    @property
    def splits(self) -> bool:
        """Whether some people are the new path's and some are not, so that each is assigned."""
        return self.mode == "live" and 0 < self.share < 1


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt as it is shown. `fields` name what was sent; of the values there is only the digest."""

    at: int
    decision_id: str | None
    http_status: int | None
    result: str
    adapter: str
    adapter_version: str
    fields: tuple[str, ...] = ()
    payload_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery as it is kept.

    `asked`: the identifier that decisions are made on. `basis`: JSON of what a request is built from, kept only while
    it may be needed. `lane`: those of one lane are sent one after another. `waits`: it is the first of its lane; `due`:
    not to be tried before. `fence`: counts claims, so that who lost one can't conclude it; `sending`: it is claimed.
    """

    delivery_id: str
    destination: str
    source: str
    event_id: str
    action: Action
    path: Path
    outcome: Outcome
    at: int
    order: int
    policy_version: int
    event_at: int
    event_type: str = ""
    reason: str | None = None
    profile_id: ProfileId | None = None
    asked: IdentifierKey | None = None
    consent: str | None = None
    basis: str | None = None
    lane: str | None = None
    waits: bool = False
    due: int = 0
    fence: int = 0
    sending: bool = False
    alone: bool = False
    failures: int = 0
    attempts: tuple[Attempted, ...] = ()
    subject: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is going to be tried by itself."""
        return self.outcome != "pending"


@dataclass(frozen=True, slots=True)
class DestinationState:
    """How a destination is doing. `until` (ms): nothing is sent before; `failures`: in a row, of all its requests."""

    name: str
    state: DestinationMode = "ok"
    until: int = 0
    failures: int = 0
    since: int = 0
    reason: str | None = None

    def open_at(self, now: int) -> bool:
        """Whether anything may be sent at `now` (ms)."""
        return self.state not in ("paused", "setup_failed") and now >= self.until


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where on the scale from 0 to 1 a person stands for a destination: below its share, the new path owns them."""

    place: str
    rank: float
    at: int


@dataclass(frozen=True, slots=True)
class Side:
    """What one side sent, or would send, for one event. `who`: keyed pseudonyms of identifiers, sorted."""

    action: str
    who: tuple[str, ...]
    fields: Mapping[str, Any]
    at: int
    allowed: bool = True


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides of one event for one destination. `times`: how often the old stack sent it."""

    destination: str
    source: str
    event_id: str
    at: int
    ours: Side | None = None
    legacy: Side | None = None
    times: int = 0
    owned: bool = False
    delivery_id: str | None = None
    profile_id: ProfileId | None = None

    @property
    def place(self) -> str:
        """What it is kept under."""
        return place_of(self.destination, self.source, self.event_id)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A difference that is known, and why. `holds`: CEL over `ours`, `legacy` and `event`, compiled."""

    explanation_id: str
    destination: str
    cause: Cause
    field: str
    when: str
    note: str
    at: int
    actor: str


@dataclass(frozen=True, slots=True)
class CutoverStep:
    """One step of a cutover, a policy version. `seconds`: how long a roll-back took from its trigger."""

    destination: str
    at: int
    kind: Literal["step", "rollback", "automatic"]
    share: float
    former: float
    reason: str
    forced: bool
    policy_version: int
    actor: str
    undone: bool = False
    seconds: float | None = None
    since: int = 0


def place_of(destination: str, source: str, event_id: str) -> str:
    """One key for a destination and an event; lengths keep names with bars apart."""
    return f"{destination}|{len(source)}|{source}|{event_id}"

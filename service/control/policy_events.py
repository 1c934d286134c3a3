"""Section `events` of the policy document: what is kept where not everything may be (docs/events.md)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Literal, LiteralString

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from service.model.events import EventRules
from service.model.times import parse_duration

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]
RETENTION_DEFAULT = "events-default"
PURPOSE_DEFAULT = "analytics"


def _duration(text: str) -> str:
    try:
        parse_duration(text)
    except ValueError:
        raise PydanticCustomError("not_a_duration", "is not a duration") from None
    return text


Duration = Annotated[str, AfterValidator(_duration)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DeniedRules(_Strict):
    """What is kept of an event whose purpose is refused. `properties`: those that identify nobody."""

    granularity: Literal["aggregate", "none"] = "aggregate"
    properties: Annotated[list[Annotated[str, StringConstraints(max_length=64)]], Field(max_length=100)] = []


class SkewRules(_Strict):
    """Clocks of senders. What is ahead by more than `tolerated` counts as happened on arrival, or is quarantined."""

    tolerated: Duration = "PT5M"
    ahead: Literal["clamp", "quarantine"] = "clamp"


class EventsRules(_Strict):
    """How events are captured. `purpose`: that keeping them rests on; without it `analytics`, where there is one."""

    purpose: Name | None = None
    denied: DeniedRules = DeniedRules()
    cookieless: Literal["session", "aggregate", "quarantine"] = "session"
    late_after: Duration = "PT1H"
    skew: SkewRules = SkewRules()
    retention: Label = RETENTION_DEFAULT
    heartbeats: Annotated[dict[Label, Duration], Field(max_length=200)] = {}


def event_rules(rules: EventsRules, purposes: Collection[str], retention: Mapping[str, str]) -> EventRules:
    """The section, compiled together with the names of `retention`."""
    purpose = rules.purpose
    if purpose is None and PURPOSE_DEFAULT in purposes:
        purpose = PURPOSE_DEFAULT
    return EventRules(
        purpose,
        rules.denied.granularity,
        frozenset(rules.denied.properties),
        rules.cookieless,
        parse_duration(rules.late_after),
        parse_duration(rules.skew.tolerated),
        rules.skew.ahead,
        {name: parse_duration(text) for name, text in retention.items()},
        rules.retention,
        {source: parse_duration(text) for source, text in rules.heartbeats.items()},
    )


def unknown_in_events(
    rules: EventsRules, purposes: Collection[str], retention: Collection[str]
) -> Iterator[tuple[tuple[str, ...], LiteralString]]:
    """Where the section names what the policy has not: the path below `events`, and what is wrong with it."""
    if rules.purpose is not None and rules.purpose not in purposes:
        yield ("purpose",), "unknown_purpose"
    if rules.retention != RETENTION_DEFAULT and rules.retention not in retention:
        yield ("retention",), "unknown_retention"

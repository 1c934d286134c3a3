"""Shapes of the quality of events."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from service.api.schemas import TimeText


class DriftOut(BaseModel):
    """How a stream differs from as long a time before. `instead`: the new name of a renamed field, or the type that a
    field has now. `share`, `before`: of events that have it, now and then.
    """

    kind: Literal["new_field", "missing_field", "renamed_field", "type_changed", "violations"]
    field: str
    instead: str | None
    share: float
    before: float


class FieldSeen(BaseModel):
    """A property as it came, and in how many accepted events."""

    field: str
    type: str
    events: int


class LagOut(BaseModel):
    """Seconds: from occurred to received on average and at most, from received to recorded on average."""

    received_mean: float | None
    received_max: float | None
    recorded_mean: float | None


class StreamOut(BaseModel):
    """Events of one source and type. `rate`: received a minute; `violations`: quarantined ones by what was wrong."""

    source: str
    type: str
    received: int
    accepted: int
    duplicates: int
    quarantined: int
    rate: float
    violation_share: float
    violations: dict[str, int]
    no_identifier: int
    no_consent: int
    late: int
    skewed: int
    gaps_filled: int
    lag_seconds: LagOut
    fields: list[FieldSeen]
    drift: list[DriftOut]


class GapOut(BaseModel):
    """A sender whose numbers have gaps: ranges that did not come, and how many more there were."""

    source: str
    sender: str
    seen_at: TimeText
    missing: list[tuple[int, int]]
    lost: int


class QualityOut(BaseModel):
    """Quality of events in a time, whole hours."""

    since: TimeText = Field(alias="from")
    until: TimeText = Field(alias="to")
    streams: list[StreamOut]
    gaps: list[GapOut]

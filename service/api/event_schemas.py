"""Shapes of requests and answers about events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.api.schemas import BATCH_MAX, Asked, FieldErrorOut, TimeText


class EventIn(BaseModel):
    """A CloudEvent 1.0. Other attributes are extensions: they are kept beside the event and are no part of it."""

    model_config = ConfigDict(extra="allow")
    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    time: TimeText
    dataschema: str
    data: dict[str, Any]


class EventsIn(Asked):
    """Up to 1,000 events; each is answered in its place."""

    events: list[EventIn] = Field(max_length=BATCH_MAX)


class EventErrorOut(FieldErrorOut):
    """One thing wrong with one place of an event. `code`: the rule that it breaks."""

    code: str


class EventResult(BaseModel):
    """What became of one event."""

    id: str | None
    status: Literal["accepted", "duplicate", "quarantined"]
    profile_id: str | None
    quarantine_id: str | None
    errors: list[EventErrorOut]


class EventResults(BaseModel):
    """Answers in the order sent."""

    results: list[EventResult]


class QuarantinedOut(BaseModel):
    """An event that could not be taken. `event`: as it came, with everything masked that may be a personal value."""

    quarantine_id: str
    status: Literal["open", "resubmitted"]
    source: str | None
    id: str | None
    type: str | None
    dataschema: str | None
    received_at: TimeText
    times: int
    errors: list[EventErrorOut]
    event: dict[str, Any] | None


class QuarantineOut(BaseModel):
    """A page, newest first."""

    items: list[QuarantinedOut]
    next_cursor: str | None


class SchemaIn(Asked):
    """A version of a schema of `data`. `version`: MODEL-REVISION-ADDITION."""

    type: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    version: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,3}-[0-9]{1,4}-[0-9]{1,4}$")]
    schema_: dict[str, Any] = Field(alias="schema")


class SchemaNamed(BaseModel):
    """A published version."""

    type: str
    version: str
    builtin: bool


class SchemaOut(SchemaNamed):
    """A published version with its document."""

    model_config = ConfigDict(populate_by_name=True)
    schema_: dict[str, Any] = Field(alias="schema")


class SchemasOut(BaseModel):
    """A page, by name."""

    items: list[SchemaNamed]
    next_cursor: str | None

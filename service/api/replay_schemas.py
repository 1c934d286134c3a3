"""Shapes of replays: what is asked, and how far they have come."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.schemas import Asked, Time, TimeText

Label = Annotated[str, Field(min_length=1, max_length=100)]


class ReplayIn(Asked):
    """Which events, and how. `from`, `to`: when they occurred, the end not included; left out: from the first, to the
    last. `types`, `schema_versions`: empty for all. `correct`: links that no event speaks for under today's rules are
    retracted. `dry_run`: nothing changes, and the report says what would.
    """

    since: Time | None = Field(None, alias="from")
    until: Time | None = Field(None, alias="to")
    types: list[Label] = Field(default_factory=list, max_length=100)
    schema_versions: list[Label] = Field(default_factory=list, max_length=100)
    correct: bool = False
    dry_run: bool = False


class ProgressOut(BaseModel):
    """Events that are through, and how many there are, about; null until they have been counted."""

    done: int
    total: int | None


class ReplayOut(BaseModel):
    """A replay. `counts`: events by what became of them: applied, reduced, refused (and `refused:` with each reason),
    erased; and links that were retracted. `report`: of a dry run, once it is over.
    """

    model_config = ConfigDict(populate_by_name=True)

    replay_id: str
    state: Literal["running", "paused", "cancelled", "completed", "failed"]
    since: TimeText | None = Field(alias="from")
    until: TimeText | None = Field(alias="to")
    types: list[str]
    schema_versions: list[str]
    correct: bool
    dry_run: bool
    asked_at: TimeText
    ended_at: TimeText | None
    progress: ProgressOut
    counts: dict[str, int]
    report: dict[str, Any] | None
    reason: str | None


class ReplaysOut(BaseModel):
    """Replays, the newest first."""

    items: list[ReplayOut]
    next_cursor: str | None

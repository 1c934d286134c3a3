"""Shapes of traits and audiences."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from service.api.decision_schemas import DecisionOut
from service.api.schemas import BATCH_MAX, Asked, FieldErrorOut, IdentifierIn, Label, Time

TraitName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Text = Annotated[str, StringConstraints(max_length=1_024)]
Number = Annotated[int, Field(ge=-(2**53), le=2**53)]
Scalar = Text | bool | Number | float
Value = Scalar | Annotated[list[Scalar], Field(max_length=100)] | None


class TraitsIn(Asked):
    """Traits of the person behind an identifier, as a source reports them; null says that there is none."""

    identifier: IdentifierIn
    traits: Annotated[dict[TraitName, Value], Field(min_length=1, max_length=100)]
    source: Label
    observed_at: Time | None = None


class TraitsManyIn(Asked):
    """Up to 1,000 reports; each is answered in its place."""

    traits: list[TraitsIn] = Field(max_length=BATCH_MAX)


class TraitResult(BaseModel):
    """What became of one report. `duplicate`: nothing of it is news."""

    status: Literal["accepted", "duplicate", "rejected"]
    profile_id: str | None
    errors: list[FieldErrorOut]


class TraitResults(BaseModel):
    """In the order sent."""

    results: list[TraitResult]


class MembersOut(BaseModel):
    """A page of an audience's members."""

    items: list[DecisionOut]
    next_cursor: str | None

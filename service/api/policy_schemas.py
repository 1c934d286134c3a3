"""Shapes of policies, as the contract has them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.schemas import Asked, FreeText, TimeText
from service.model.decision import DecisionReason


class ActivateIn(Asked):
    """Why a version is put in force, or another put back."""

    reason: FreeText = ""


class ResolutionOut(BaseModel):
    """How far profiles follow the policy in force; `total` is at most what is looked at."""

    state: Literal["running", "done"]
    done: int
    total: int


class PolicyOut(BaseModel):
    """One version, which never changes."""

    version: int
    status: Literal["draft", "active", "former"]
    created_at: TimeText
    activated_at: TimeText | None
    policy: dict[str, Any]


class DraftOut(PolicyOut):
    """A draft. `failing`: places of its own examples that do not hold; with any, it can't be put in force."""

    failing: list[str]


class ActivePolicyOut(PolicyOut):
    """The version in force, and how far profiles follow it."""

    resolution: ResolutionOut


class PoliciesOut(BaseModel):
    """Versions, the newest first."""

    items: list[PolicyOut]
    next_cursor: str | None


class RegroupedCountOut(BaseModel):
    """Profiles that would be merged with others or split, and those looked at that would stay as they are."""

    merged: int
    split: int
    unchanged: int


class FlipOut(BaseModel):
    """Decisions about profiles, asked by their senior identifiers, that would come out otherwise."""

    model_config = ConfigDict(populate_by_name=True)
    destination: str
    from_: Literal["allow", "limit", "withhold"] = Field(alias="from")
    to: Literal["allow", "limit", "withhold"]
    count: int


class FlipsOut(BaseModel):
    """All of them, the most frequent first."""

    flipped: list[FlipOut]


class ProfileExampleOut(BaseModel):
    """A profile that would be split into several, or merged into one with others."""

    kind: Literal["profile"]
    profile_id: str
    change: Literal["merged", "split"]
    into: list[str]
    identifiers: int


class DecisionExampleOut(BaseModel):
    """A decision that would come out otherwise, with the reasons before and after."""

    model_config = ConfigDict(populate_by_name=True)
    kind: Literal["decision"]
    profile_id: str
    destination: str
    from_: Literal["allow", "limit", "withhold"] = Field(alias="from")
    to: Literal["allow", "limit", "withhold"]
    reasons_before: list[DecisionReason]
    reasons_after: list[DecisionReason]


class SimulationOut(BaseModel):
    """What would change. Not `complete`: there is more than was looked at in the time."""

    version: int
    profiles: RegroupedCountOut
    decisions: FlipsOut
    examples: list[ProfileExampleOut | DecisionExampleOut]
    examined: int
    complete: bool


class PolicySchemaOut(BaseModel):
    """The JSON Schema (2020-12) of the policy document."""

    model_config = ConfigDict(extra="allow")

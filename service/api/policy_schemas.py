"""Shapes of policies, as the contract has them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from service.api.schemas import Asked, FreeText, TimeText


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


class PolicySchemaOut(BaseModel):
    """The JSON Schema (2020-12) of the policy document."""

    model_config = {"extra": "allow"}

"""Shapes of consent records: what is sent, and what is kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from service.api.schemas import Asked, FreeText, IdentifierIn, Label, Time, TimeText


class NoticeIn(Asked):
    """The notice that the person was shown."""

    id: Label | None = None
    version: Label | None = None
    language: Label | None = None
    url: FreeText | None = None
    sha256: Label | None = None


def _kind_of_notice(value: object) -> str:
    return "text" if isinstance(value, str) else "notice"


Notice = Annotated[
    Annotated[FreeText, Tag("text")] | Annotated[NoticeIn, Tag("notice")], Discriminator(_kind_of_notice)
]


class SignalIn(Asked):
    """A signal as it was captured; what it means is said by the policy.

    `value`: the string of `tcf` and `gpp`; the header's value for `gpc`; an object of types for `google_consent_mode`.
    """

    kind: Literal["tcf", "gpp", "gpc", "google_consent_mode"]
    value: Any


class ConsentIn(Asked):
    """What a person said about purposes. Without `regulation` it speaks for all; without `at`: now.

    `signal` says so in the form in which it was captured, beside `purposes` or in their place.
    """

    identifier: IdentifierIn
    purposes: dict[Label, Literal["granted", "denied", "withdrawn"]] = Field(default_factory=dict, max_length=100)
    signal: SignalIn | None = None
    regulation: Label | None = None
    basis: Label | None = None
    source: Label = "api"
    at: Time | None = None
    expires_at: Time | None = None
    notice: Notice | None = None
    method: Label | None = None


class ConsentsOut(BaseModel):
    """Consent records that count from now on, where no newer one does; in force on every instance."""

    consent_ids: list[str]
    profile_id: str | None
    enforced: bool
    signal: Literal["read", "unreadable"] | None


class SignalKept(BaseModel):
    """A signal as it came; a very long one with its beginning and its digest."""

    kind: Literal["tcf", "gpp", "gpc", "google_consent_mode"]
    value: Any
    sha256: str | None = None
    readable: bool


class ConsentKept(BaseModel):
    """What counts now for one purpose under one regulation (null: it speaks for all)."""

    consent_id: str | None
    purpose: str
    state: Literal["granted", "denied", "withdrawn"]
    regulation: str | None
    basis: str | None
    source: str | None
    at: TimeText
    received_at: TimeText
    expires_at: TimeText | None
    notice: Any
    method: str | None
    signal: SignalKept | None


class ConsentsKept(BaseModel):
    """Newest first."""

    items: list[ConsentKept]
    next_cursor: str | None

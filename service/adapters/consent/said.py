"""What a consent platform's webhook says, in the vendor's own names. The policy says what they mean here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from service.model.evidence import ConsentState


class Sent(BaseModel):
    """A part of a vendor's payload. What is not listed is ignored; what is listed is read strictly."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


@dataclass(frozen=True, slots=True)
class Named:
    """An identifier by the vendor's kind. `place`: a JSON pointer into the payload. `hashed_with`: None for as is."""

    kind: str
    value: str
    place: str
    hashed_with: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of one of the vendor's purposes. `at` in ms; None: when the statement was made."""

    purpose: str
    state: ConsentState
    place: str
    at: int | None = None
    basis: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """One person's choices. `all_refused`: every purpose that the policy maps. `at` in ms; None: on arrival."""

    identifiers: tuple[Named, ...]
    said: tuple[Said, ...]
    regulation: str | None = None
    regulation_place: str = ""
    at: int | None = None
    at_place: str = ""
    all_refused: bool = False
    signal: str | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """A payload. `message_id`: the vendor's own id of the message. No statements: it says nothing about consent."""

    message_id: str | None
    statements: tuple[Statement, ...] = ()


class NotUnderstood(Exception):
    """A part of a payload is not as documented. `place`: a JSON pointer; the message names no value."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


# Reads a parsed payload. Raises pydantic.ValidationError, NotUnderstood.
Adapter = Callable[[object], Delivered]

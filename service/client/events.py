"""Events as they are sent: CloudEvents 1.0 with the service's own `data`, one function for each built-in type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from . import clock

ConsentState = Literal["granted", "denied", "withdrawn"]
Consent = Mapping[str, ConsentState]


class Identifier(NamedTuple):
    """A namespace and a value in it. `is_plain`: the value is to be digested by the service at once (see `plain`)."""

    namespace: str
    value: str
    is_plain: bool = False

    def named(self) -> dict[str, Any]:
        """As an event has it."""
        return {"namespace": self.namespace, "value": self.value} | ({"plain": True} if self.is_plain else {})


def plain(namespace: str, value: str) -> Identifier:
    """A value in plain, of a hashed namespace: `plain("email_sha256", "anna@example.com")`."""
    return Identifier(namespace, value, is_plain=True)


class Data(TypedDict):
    """What an event says."""

    identifiers: list[dict[str, Any]]
    consent: NotRequired[dict[str, str]]
    regulation: NotRequired[str]
    traits: NotRequired[dict[str, Any]]
    properties: NotRequired[dict[str, Any]]
    retention: NotRequired[str]


class Event(TypedDict):
    """A CloudEvents object. `source` is set by the client that sends it, unless it is there."""

    specversion: str
    id: str
    source: NotRequired[str]
    type: str
    time: str
    dataschema: str
    data: Data


def event(
    type_: str,
    identifiers: Sequence[Identifier],
    properties: Mapping[str, Any] | None = None,
    *,
    version: str = "1-0-0",
    consent: Consent | None = None,
    regulation: str | None = None,
    traits: Mapping[str, Any] | None = None,
    retention: str | None = None,
    id: str | None = None,
    time: str | None = None,
) -> Event:
    """An event of any type. `consent`: what the person said, purpose to state; `regulation`: under which law.

    `time`: when it happened, RFC 3339 with a zone; now where it is left out.
    """
    said = Data(identifiers=[one.named() for one in identifiers])
    if consent is not None:
        said["consent"] = dict(consent)
    if regulation is not None:
        said["regulation"] = regulation
    if traits is not None:
        said["traits"] = dict(traits)
    if properties is not None:
        said["properties"] = dict(properties)
    if retention is not None:
        said["retention"] = retention
    return Event(
        specversion="1.0",
        id=id or clock.new_id(),
        type=type_,
        time=time or clock.now(),
        dataschema=f"{type_}/{version}",
        data=said,
    )

"""Segment: the track event `Segment Consent Preference Updated`, as its Webhooks destination posts it.

https://www.twilio.com/docs/segment/privacy/consent-management/consent-in-unify (the event and its consent object),
https://www.twilio.com/docs/segment/connections/spec/common (messageId, timestamp, userId, anonymousId),
https://www.twilio.com/docs/segment/connections/destinations/catalog/actions-webhook (X-Signature: hex HMAC-SHA1 of the
body). Only that event is somebody's choice; the consent object that every other event carries repeats what a device
remembers, and would bring back what was withdrawn elsewhere: it says nothing. No preferences at all refuse everything.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from service.adapters.consent.said import Delivered, Named, Said, Sent, Statement
from service.adapters.consent.times import of_text

EVENT = "Segment Consent Preference Updated"
_Text = Annotated[str, Field(min_length=1, max_length=512)]


class _Consent(Sent):
    categoryPreferences: Annotated[dict[_Text, bool], Field(max_length=500)]


class _Context(Sent):
    consent: _Consent


class _Event(Sent):
    type: Literal["track"]
    event: Literal["Segment Consent Preference Updated"]
    messageId: _Text
    userId: _Text | None = None
    anonymousId: _Text | None = None
    timestamp: _Text
    context: _Context


class _Other(Sent):
    type: Literal["track", "identify", "page", "screen", "group", "alias"]
    messageId: _Text


def read(content: object) -> Delivered:
    """What a Segment event says. Raises pydantic.ValidationError, NotUnderstood."""
    if isinstance(content, dict) and not _is_choice(content):
        return Delivered(_Other.model_validate(content).messageId)
    event = _Event.model_validate(content)
    preferences = event.context.consent.categoryPreferences
    identifiers = tuple(
        Named(kind, value, f"/{kind}")
        for kind, value in (("userId", event.userId), ("anonymousId", event.anonymousId))
        if value is not None
    )
    place = "/context/consent/categoryPreferences"
    said = tuple(Said(category, "granted" if yes else "denied", place) for category, yes in preferences.items())
    at = of_text(event.timestamp, "/timestamp")
    return Delivered(
        event.messageId,
        (Statement(identifiers, said, at=at, at_place="/timestamp", all_refused=not preferences),),
    )


def _is_choice(content: dict[str, Any]) -> bool:
    return content.get("type") == "track" and content.get("event") == EVENT

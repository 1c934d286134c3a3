"""Usercentrics: its `UpdatedConsentEvent`, posted by whoever listens to it.

https://docs.usercentrics.com/cmp_in_app_sdk/latest/api/usercentrics-event (controllerId, consents with templateId and
status, tcString, uspString). Usercentrics documents no webhook of its own servers, no message id and no time: a payload
counts from its arrival, and the same body is the same message.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from service.adapters.consent.said import Delivered, Named, Said, Sent, Statement

_Text = Annotated[str, Field(min_length=1, max_length=512)]


class _Service(Sent):
    templateId: _Text
    status: bool


class _Event(Sent):
    controllerId: _Text
    consents: Annotated[list[_Service], Field(min_length=1, max_length=1_000)]
    tcString: str | None = None


def read(content: object) -> Delivered:
    """What a Usercentrics event says. Raises pydantic.ValidationError."""
    event = _Event.model_validate(content)
    said = tuple(
        Said(service.templateId, "granted" if service.status else "denied", f"/consents/{i}/templateId")
        for i, service in enumerate(event.consents)
    )
    identifiers = (Named("controllerId", event.controllerId, "/controllerId"),)
    return Delivered(None, (Statement(identifiers, said, signal=event.tcString or None),))

"""Didomi webhooks: consent events of the Consents API.

https://developers.didomi.io/integrations/generic-integrations/webhooks (envelope, types, retries: no signature, an
OAuth bearer token), https://developers.didomi.io/api-and-platform/consents/events/consent-event-schema (the entity). An
event is a partial update: purposes that it does not hold are not spoken of, nor is one with `enabled: null`. A choice
comes as an `event.*`; `user.*` repeats the state that follows from it, and a deleted event takes no choice back: both
say nothing.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from service.adapters.consent.said import Delivered, Named, NotUnderstood, Said, Sent, Statement
from service.adapters.consent.times import of_text

_Text = Annotated[str, Field(min_length=1, max_length=512)]


class _Purpose(Sent):
    id: _Text
    enabled: bool | None = None


class _Consents(Sent):
    purposes: Annotated[list[_Purpose], Field(default_factory=list, max_length=500)]
    tcfcs: str | None = None


class _User(Sent):
    id: _Text | None = None
    organization_user_id: _Text | None = None


class _Event(Sent):
    id: _Text | None = None
    created_at: _Text | None = None
    updated_at: _Text | None = None
    regulation: _Text | None = None
    user: _User
    consents: _Consents


class _Parameters(Sent):
    entity: _Event | None = None
    new_entity: _Event | None = None


class _Hook(Sent):
    type: Literal["event.created", "event.updated"]
    regulation: _Text | None = None
    parameters: _Parameters


_SILENT: Final = ("event.deleted", "user.created", "user.updated", "user.deleted")


def read(content: object) -> Delivered:
    """What a Didomi payload says. Raises pydantic.ValidationError, NotUnderstood."""
    if isinstance(content, dict) and content.get("type") in _SILENT:
        return Delivered(None)
    hook = _Hook.model_validate(content)
    name = "entity" if hook.type == "event.created" else "new_entity"
    event = hook.parameters.entity if hook.type == "event.created" else hook.parameters.new_entity
    place = f"/parameters/{name}"
    if event is None:
        raise NotUnderstood(place, "is required")
    identifiers = tuple(
        Named(kind, value, f"{place}/user/{field}")
        for kind, field, value in (
            ("organization_user_id", "organization_user_id", event.user.organization_user_id),
            ("user_id", "id", event.user.id),
        )
        if value is not None
    )
    said = tuple(
        Said(purpose.id, "granted" if purpose.enabled else "denied", f"{place}/consents/purposes/{i}/id")
        for i, purpose in enumerate(event.consents.purposes)
        if purpose.enabled is not None
    )
    field = "updated_at" if hook.type == "event.updated" and event.updated_at is not None else "created_at"
    at = event.updated_at if field == "updated_at" else event.created_at
    inside = event.regulation is not None
    return Delivered(
        None,
        (
            Statement(
                identifiers,
                said,
                event.regulation or hook.regulation,
                f"{place}/regulation" if inside else "/regulation",
                None if at is None else of_text(at, f"{place}/{field}"),
                f"{place}/{field}",
                signal=event.consents.tcfcs,
            ),
        ),
    )

"""Single items read as the routes read them, for evidence that comes in files."""

from __future__ import annotations

from typing import cast

from service.api.context import Services
from service.api.routes.consents import consent_changes, revocation_change
from service.api.routes.links import read_link
from service.commands.terms import Terms
from service.errors import FieldError, Invalid
from service.model.changes import ObserveLink, RecordConsent, Revoke


def link_item(item: object, terms: Terms) -> ObserveLink | tuple[FieldError, ...]:
    """What an item of `POST /v1/links` asks for, or what is wrong with it."""
    return read_link(item, cast(Services, terms), "")


def consent_item(item: object, terms: Terms) -> RecordConsent | Revoke | tuple[FieldError, ...]:
    """What a body of `POST /v1/consents` or, with a `scope`, of `POST /v1/revocations` asks for, or what is wrong."""
    services = cast(Services, terms)
    try:
        if isinstance(item, dict) and "scope" in item:
            return revocation_change(item, services)
        [change, *others], _ = consent_changes(item, services)
    except Invalid as error:
        return error.errors
    return (FieldError("/signal", "means more than one record, which a file does not take"),) if others else change

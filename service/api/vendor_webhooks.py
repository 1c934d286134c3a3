"""Webhooks of vendors as changes: an adapter says what was sent, the policy what it means, and nothing else decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import orjson
from pydantic import ValidationError

from service.adapters.consent import VENDORS
from service.adapters.consent.said import Delivered, Named, NotUnderstood, Statement
from service.api.errors import invalid
from service.api.signals import kept
from service.control.normalise import Refused, normalise
from service.control.vendor_mapping import (
    Meant,
    State,
    Unmapped,
    all_refused,
    purposes_meant,
    regulation_meant,
    states_meant,
)
from service.errors import Invalid
from service.model.capture import WebhookMapping
from service.model.changes import Change, RecordConsent
from service.model.evidence import ConsentState
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy

AHEAD_MS_MAX: Final = 300_000
_STRICTNESS: Final = {"granted": 0, "denied": 1, "withdrawn": 2}


def delivered_by(provider: str, content: object) -> Delivered:
    """What a vendor's payload says, in its own names. Raises Invalid with pointers into the payload."""
    try:
        return VENDORS[provider](content)
    except ValidationError as error:
        raise invalid(error, content) from None
    except NotUnderstood as error:
        raise Invalid.at(error.place, error.message) from None


def changes_of_vendor(provider: str, delivered: Delivered, policy: Policy, now: int) -> list[Change]:
    """The changes that a payload asks for, none where it says nothing about consent. `now` in ms. Raises Invalid."""
    mapping = policy.webhooks.get(provider)
    if mapping is None:
        raise Invalid.at("", f"can't be understood: the policy has no webhooks.{provider}")
    changes: list[Change] = []
    for statement in delivered.statements:
        changes += _changes(statement, mapping, f"webhook:{provider}", policy, now)
    return changes


def _changes(statement: Statement, mapping: WebhookMapping, source: str, policy: Policy, now: int) -> list[Change]:
    keys = _keys(statement.identifiers, mapping, policy)
    regulation = _regulation(statement, mapping, policy)
    grouped: dict[tuple[int | None, str | None], list[tuple[str, ConsentState]]] = defaultdict(list)
    for meant in _meant(statement, mapping, now):
        if meant.purpose not in policy.purposes and meant.purpose != policy.linking_purpose:
            raise Invalid.at("", "means a purpose that is not in the policy")
        grouped[meant.at, meant.basis].append((meant.purpose, meant.state))
    return [
        RecordConsent(
            key, tuple(states), regulation, basis, source, at, method="webhook", signal=_signal(statement.signal)
        )
        for key in keys
        for (at, basis), states in grouped.items()
    ]


def _signal(text: str | None) -> str | None:
    """The TC string that came along, kept as it is; the choices are those that the platform named."""
    return None if text is None else kept("tcf", text, orjson.dumps(text))


def _meant(statement: Statement, mapping: WebhookMapping, now: int) -> Sequence[Meant]:
    _refuse_ahead(statement.at, statement.at_place, now)
    if statement.all_refused:
        return all_refused(mapping, statement.at)
    said: dict[str, State] = {}
    for one in statement.said:
        try:
            purposes_meant(one.purpose, mapping)
        except Unmapped as error:
            raise Invalid.at(one.place, str(error)) from None
        at = one.at if one.at is not None else statement.at
        _refuse_ahead(at, one.place, now)
        former = said.get(one.purpose)
        if former is None or _STRICTNESS[one.state] > _STRICTNESS[former[0]]:  # said twice: the stricter
            said[one.purpose] = (one.state, at, one.basis)
    return states_meant(said, mapping)


def _refuse_ahead(at: int | None, place: str, now: int) -> None:
    if at is not None and at > now + AHEAD_MS_MAX:
        raise Invalid.at(place, "is more than five minutes ahead")


def _regulation(statement: Statement, mapping: WebhookMapping, policy: Policy) -> str | None:
    try:
        regulation = regulation_meant(statement.regulation, mapping)
    except Unmapped as error:
        raise Invalid.at(statement.regulation_place, str(error)) from None
    if regulation is not None and regulation not in policy.regulations:
        raise Invalid.at(statement.regulation_place, "means a regulation that is not in the policy")
    return regulation


def _keys(sent: Sequence[Named], mapping: WebhookMapping, policy: Policy) -> list[IdentifierKey]:
    found: dict[IdentifierKey, None] = {}
    for one in sent:
        if one.kind not in mapping.identifiers:
            raise Invalid.at(one.place, "is of a kind that is not listed in the policy's mapping")
        meant = mapping.identifiers[one.kind]
        if meant is None:
            continue
        if one.hashed_with not in (None, "sha256"):
            raise Invalid.at(one.place, "is a digest that no namespace takes")
        plain = meant.plain and one.hashed_with is None
        try:
            found[normalise(meant.namespace, one.value, policy, plain=plain).key] = None
        except Refused as refused:
            raise Invalid.at(one.place, str(refused)) from None
    if not found:
        raise Invalid.at("", "names nobody whom the policy's mapping knows")
    return list(found)

"""OneTrust: the event "Data Subject Profile Updated" (3010) and consent receipts.

OneTrust publishes no schema of its outbound webhooks; a tenant draws them up. Two shapes are documented and taken:

- event 3010, as in the workflow that Segment's documentation ships for OneTrust
  (https://github.com/segmentio/segment-docs `src/connections/sources/catalog/cloud-apps/onetrust/`): payload.profiles,
  each with its purposeId and profileFields (TransactionStatus; dates in seconds since 1970, as text);
- a consent receipt (https://developer.onetrust.com/onetrust/reference/createconsentreceiptusingpost), forwarded as is.

Each purpose has a time of its own: a profile repeats old choices, which must not count as new ones.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from service.adapters.consent.said import Delivered, Named, NotUnderstood, Said, Sent, Statement
from service.adapters.consent.times import of_seconds, of_text
from service.model.evidence import ConsentState

_Text = Annotated[str, Field(min_length=1, max_length=512)]

# https://developer.onetrust.com/onetrust/reference/implementing-the-collection-point-with-rest-api. None: it says
# nothing of a choice. What is pending, expired or was never chosen is no consent.
_STATES: Final[dict[str, ConsentState | None]] = {
    "ACTIVE": "granted",
    "CONFIRMED": "granted",
    "EXTEND": "granted",
    "ALWAYS_ACTIVE": None,
    "CHANGE_PREFERENCES": None,
    "PENDING": "denied",
    "CANCEL": "denied",
    "NO_CHOICE": "denied",
    "NOTGIVEN": "denied",
    "NO_CONSENT": "denied",
    "NONE": "denied",
    "EXPIRED": "denied",
    "OPT_OUT": "withdrawn",
    "HARD_OPT_OUT": "withdrawn",
    "WITHDRAWN": "withdrawn",
}


class _Fields(Sent):
    TransactionStatus: _Text
    ConsentDate: str | None = None
    LastTransaction: str | None = None
    WithdrawalDate: str | None = None


class _Profile(Sent):
    purposeId: _Text
    profileFields: _Fields


class _Payload(Sent):
    dataSubjectGuid: _Text | None = None
    dataSubjectEmail: _Text | None = None
    profiles: Annotated[list[_Profile], Field(max_length=500)]


class _Event(Sent):
    eventId: _Text
    eventTime: _Text
    eventType: Literal["3010"]
    payload: _Payload


class _ReceiptPurpose(Sent):
    Id: _Text
    TransactionType: _Text = "CONFIRMED"


class _Receipt(Sent):
    identifier: _Text
    identifierType: _Text = "Email"
    purposes: Annotated[list[_ReceiptPurpose], Field(min_length=1, max_length=20)]
    interactionDate: _Text | None = None
    consentDate: _Text | None = None
    withdrawnDate: _Text | None = None


def read(content: object) -> Delivered:
    """What a OneTrust payload says. Raises pydantic.ValidationError, NotUnderstood."""
    if isinstance(content, dict) and "eventType" not in content and "identifier" in content:
        return Delivered(None, (_receipt(_Receipt.model_validate(content)),))
    event = _Event.model_validate(content)
    payload = event.payload
    identifiers = tuple(
        Named(kind, value, f"/payload/{kind}")
        for kind, value in (
            ("dataSubjectEmail", payload.dataSubjectEmail),
            ("dataSubjectGuid", payload.dataSubjectGuid),
        )
        if value is not None
    )
    told_at = of_text(event.eventTime, "/eventTime")
    said = [_of_profile(profile, f"/payload/profiles/{i}", told_at) for i, profile in enumerate(payload.profiles)]
    statement = Statement(identifiers, tuple(s for s in said if s is not None), at=told_at, at_place="/eventTime")
    return Delivered(event.eventId, (statement,))


def _of_profile(profile: _Profile, place: str, told_at: int) -> Said | None:
    fields = profile.profileFields
    state = _state(fields.TransactionStatus, f"{place}/profileFields/TransactionStatus")
    if state is None:
        return None
    names = ("ConsentDate",) if state == "granted" else ("WithdrawalDate", "LastTransaction")
    dates = [(name, getattr(fields, name)) for name in names]
    at = max(
        (of_seconds(date, f"{place}/profileFields/{name}") for name, date in dates if date not in (None, "", "0")),
        default=None,
    )
    if at is None and state == "granted":
        raise NotUnderstood(f"{place}/profileFields/ConsentDate", "is missing, and old consent must not count as new")
    return Said(profile.purposeId, state, f"{place}/purposeId", at if at is not None else told_at)


def _receipt(receipt: _Receipt) -> Statement:
    said = []
    for i, purpose in enumerate(receipt.purposes):
        state = _state(purpose.TransactionType, f"/purposes/{i}/TransactionType")
        if state is not None:
            name = "consentDate" if state == "granted" else "withdrawnDate"
            date = getattr(receipt, name)
            said.append(
                Said(purpose.Id, state, f"/purposes/{i}/Id", None if date is None else of_text(date, f"/{name}"))
            )
    at = None if receipt.interactionDate is None else of_text(receipt.interactionDate, "/interactionDate")
    identifier = Named(receipt.identifierType, receipt.identifier, "/identifier")
    return Statement((identifier,), tuple(said), at=at, at_place="/interactionDate")


def _state(word: str, place: str) -> ConsentState | None:
    if word not in _STATES:
        raise NotUnderstood(place, "is no status that OneTrust documents")
    return _STATES[word]

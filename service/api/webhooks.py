"""Bodies of consent webhooks, and the changes that they ask for. Translation only: nothing is decided here.

`standard` is our own shape. Fields that are not listed are ignored, in every place of a body, since a sender adds to
its payloads without asking; everything that is listed is read as strictly as in any other request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from service.adapters.consent import VENDORS
from service.api.errors import invalid
from service.api.reading import identifier_of
from service.api.schemas import IdentifierIn, Label, Time
from service.api.webhook_signature import STANDARD
from service.errors import Invalid
from service.model.changes import Change, RecordConsent, Revoke
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy

PROVIDERS: Final = frozenset({STANDARD, *VENDORS})
AHEAD_MS_MAX: Final = 300_000
IDENTIFIERS_MAX: Final = 100


class _Sent(BaseModel):
    """A part of a webhook; what is not listed is ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class HookIdentifierIn(IdentifierIn):
    """An identifier; `plain` for a value of a hashed namespace that is digested on arrival and kept nowhere."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


Identifiers = Annotated[list[HookIdentifierIn], Field(min_length=1, max_length=IDENTIFIERS_MAX)]


class UpdatedData(_Sent):
    """States of purposes. Without `regulation` they speak for all; `at` defaults to the webhook's `timestamp`."""

    identifiers: Identifiers
    purposes: dict[Label, Literal["granted", "denied", "withdrawn"]] = Field(min_length=1, max_length=100)
    regulation: Label | None = None
    basis: Label | None = None
    at: Time | None = None
    expires_at: Time | None = None


class RevokedData(_Sent):
    """What is withdrawn: names, or names with a refusing state; without it, or with `*`, every purpose."""

    identifiers: Identifiers
    purposes: (
        Annotated[dict[Label, Literal["denied", "withdrawn"]], Field(min_length=1, max_length=100)]
        | Annotated[list[Label], Field(min_length=1, max_length=100)]
        | None
    ) = None
    regulation: Label | None = None
    at: Time | None = None


class ErasedData(_Sent):
    """Who is to be erased."""

    identifiers: Identifiers
    at: Time | None = None


class ConsentUpdatedIn(_Sent):
    """A person said something about purposes."""

    type: Literal["consent.updated"]
    timestamp: Time | None = None
    data: UpdatedData


class ConsentRevokedIn(_Sent):
    """A person withdrew."""

    type: Literal["consent.revoked"]
    timestamp: Time | None = None
    data: RevokedData


class PersonErasedIn(_Sent):
    """A person is to be erased."""

    type: Literal["person.erased"]
    timestamp: Time | None = None
    data: ErasedData


Hook = ConsentUpdatedIn | ConsentRevokedIn | PersonErasedIn
_HOOK: Final[TypeAdapter[Hook]] = TypeAdapter(Annotated[Hook, Field(discriminator="type")])


def changes_of(provider: str, content: object, policy: Policy, now: int) -> list[Change]:
    """What a webhook asks for: one change for each of its identifiers. `now` in ms.

    Raises Invalid with pointers into the webhook.
    """
    try:
        hook = _HOOK.validate_python(content)
    except ValidationError as error:
        raise invalid(error, content) from None
    data = hook.data
    at = data.at if data.at is not None else hook.timestamp
    if at is not None and at > now + AHEAD_MS_MAX:
        pointer = "/timestamp" if data.at is None else "/data/at"
        raise Invalid.at(pointer, "is more than five minutes ahead")
    keys = dict.fromkeys(
        identifier_of(sent, policy, f"/data/identifiers/{i}").key for i, sent in enumerate(data.identifiers)
    )
    source = f"webhook:{provider}"
    if isinstance(data, UpdatedData):
        return _recorded(keys, data, at, source, policy)
    if isinstance(data, RevokedData):
        return _revoked(keys, data, at, source, policy)
    return [Revoke(key, "erase", source=source, at=at) for key in keys]


def _recorded(
    keys: Iterable[IdentifierKey], data: UpdatedData, at: int | None, source: str, policy: Policy
) -> list[Change]:
    _refuse_unknown(data.purposes, data.regulation, policy)
    states = tuple(data.purposes.items())
    return [RecordConsent(key, states, data.regulation, data.basis, source, at, data.expires_at) for key in keys]


def _revoked(
    keys: Iterable[IdentifierKey], data: RevokedData, at: int | None, source: str, policy: Policy
) -> list[Change]:
    purposes = ("*",) if data.purposes is None else tuple(dict.fromkeys(data.purposes))
    _refuse_unknown([name for name in purposes if name != "*"], data.regulation, policy)
    return [Revoke(key, "purposes", purposes, data.regulation, source, at) for key in keys]


def _refuse_unknown(purposes: Iterable[str], regulation: str | None, policy: Policy) -> None:
    """Raises Invalid for a purpose or regulation that the policy does not name."""
    if any(name not in policy.purposes and name != policy.linking_purpose for name in purposes):
        raise Invalid.at("/data/purposes", "names a purpose that is not in the policy")
    if regulation is not None and regulation not in policy.regulations:
        raise Invalid.at("/data/regulation", "is not a regulation of the policy")

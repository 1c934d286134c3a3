"""OpenDSR 2.0 bodies ↔ ours. Translation only: identity types to namespaces, and shapes."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.reading import identifier_of
from service.api.schemas import IdentifierIn, Label, Time, TimeText
from service.commands.subject import SubjectRequest
from service.errors import Invalid
from service.model.identifiers import IdentifierKey
from service.model.policy import Policy
from service.model.times import rfc3339

VERSION: Final = "2.0"
KINDS: Final = ("erasure", "access", "portability")
NAMESPACES: Final = {
    "email": "email_sha256",
    "phone_number": "phone_sha256",
    "controller_customer_id": "crm_id",
    "android_advertising_id": "device_id",
    "android_id": "device_id",
    "fire_advertising_id": "device_id",
    "ios_advertising_id": "device_id",
    "ios_vendor_id": "device_id",
    "microsoft_advertising_id": "device_id",
    "microsoft_publisher_id": "device_id",
    "roku_advertising_id": "device_id",
    "roku_publisher_id": "device_id",
}
"""Identity types of the specification; any namespace of the policy may be named as well."""


class _Sent(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class SubjectIdentityIn(_Sent):
    """Who is meant. `raw` values of hashed namespaces are digested on arrival and kept nowhere."""

    identity_type: Label
    identity_value: Annotated[str, Field(min_length=1, max_length=512)]
    identity_format: Literal["raw", "sha256"]


class SubjectRequestIn(_Sent):
    """A request of OpenDSR 2.0. What is not listed is ignored; nothing is called back, the status can be read."""

    regulation: Label
    subject_request_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
    subject_request_type: Literal["erasure", "access", "portability"]
    submitted_time: Time
    subject_identities: Annotated[list[SubjectIdentityIn], Field(min_length=1, max_length=100)]
    api_version: Label = VERSION


class SubjectRequestOut(BaseModel):
    """A request that was taken. `encoded_request`: its bytes as they came, in base 64."""

    controller_id: str
    received_time: TimeText
    expected_completion_time: TimeText
    subject_request_id: str
    encoded_request: str


class SubjectStatusOut(BaseModel):
    """How far a request is. `results_url`: where the data can be read, for access and portability."""

    controller_id: str
    subject_request_id: str
    subject_request_type: Literal["erasure", "access", "portability"]
    request_status: Literal["in_progress", "completed"]
    expected_completion_time: TimeText
    results_url: str | None
    api_version: str


class SubjectDataOut(BaseModel):
    """The person's data as it is now."""

    subject_request_id: str
    data: list[dict[str, Any]]


class SupportedIdentityOut(BaseModel):
    """An identity that requests may name."""

    identity_type: str
    identity_format: str


class DiscoveryOut(BaseModel):
    """What this processor takes."""

    api_version: str
    supported_subject_request_types: list[str]
    supported_identities: list[SupportedIdentityOut]


CONTROLLER: Final = "identity-fabric"


def keys_of(sent: SubjectRequestIn, policy: Policy) -> tuple[IdentifierKey, ...]:
    """The identifiers of a request, each once. Raises Invalid with pointers."""
    found = []
    for index, identity in enumerate(sent.subject_identities):
        place = f"/subject_identities/{index}"
        namespace = NAMESPACES.get(identity.identity_type, identity.identity_type)
        rules = policy.namespaces.get(namespace)
        if rules is None:
            raise Invalid.at(f"{place}/identity_type", "is not an identity of this processor")
        if identity.identity_format == "sha256" and not rules.hashed:
            raise Invalid.at(f"{place}/identity_format", "is raw for this identity")
        plain = rules.hashed and identity.identity_format == "raw"
        asked = IdentifierIn(namespace=namespace, value=identity.identity_value, plain=plain)
        try:
            found.append(identifier_of(asked, policy, place).key)
        except Invalid as error:
            raise Invalid.at(f"{place}/identity_value", error.errors[0].message) from None
    return tuple(dict.fromkeys(found))


def taken(kept: SubjectRequest, raw: bytes) -> dict[str, object]:
    """The answer to a request. What it asks for is in force when it is answered."""
    return {
        "controller_id": CONTROLLER,
        "received_time": rfc3339(kept.received_at),
        "expected_completion_time": rfc3339(kept.completed_at or kept.received_at),
        "subject_request_id": kept.request_id,
        "encoded_request": base64.b64encode(raw).decode(),
    }


def status(kept: SubjectRequest) -> dict[str, object]:
    """How far it is."""
    shown = kept.kind != "erasure" and kept.completed_at is not None
    return {
        "controller_id": CONTROLLER,
        "subject_request_id": kept.request_id,
        "subject_request_type": kept.kind,
        "request_status": "in_progress" if kept.completed_at is None else "completed",
        "expected_completion_time": rfc3339(kept.completed_at or kept.received_at),
        "results_url": f"/v1/opendsr/requests/{kept.request_id}/results" if shown else None,
        "api_version": VERSION,
    }


def discovery(policy: Policy) -> dict[str, object]:
    """What this processor takes under a policy."""
    types = {**NAMESPACES, **{name: name for name in policy.namespaces}}
    return {
        "api_version": VERSION,
        "supported_subject_request_types": list(KINDS),
        "supported_identities": [
            {"identity_type": kind, "identity_format": form}
            for kind, namespace in types.items()
            if (rules := policy.namespaces.get(namespace)) is not None
            for form in (("raw", "sha256") if rules.hashed else ("raw",))
        ],
    }

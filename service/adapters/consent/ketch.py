"""Ketch Forwarder: consent requests.

https://github.com/ketch-com/ketch-forwarder `api/consent/v1/Consent.md` (the request), `api/dsr/v1/README.md`
(identities, their formats), `README.md` (authentication: one configured header). `collectedAt`: seconds since 1970.
The page says that `apiVersion` must be `dsr/v1`, its example has `consent/v1`: the example is what is sent.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from service.adapters.consent.said import Delivered, Named, Said, Sent, Statement
from service.adapters.consent.times import of_seconds

_Text = Annotated[str, Field(min_length=1, max_length=512)]
_BASES = {"consent_optin": "consent", "consent_optout": "consent"}


class _Metadata(Sent):
    uid: _Text


class _Identity(Sent):
    identitySpace: _Text
    identityFormat: Literal["raw", "md5", "sha1", "sha256"] = "raw"
    identityValue: _Text


class _Request(Sent):
    regulation: _Text
    identities: Annotated[list[_Identity], Field(min_length=1, max_length=100)]
    purposes: Annotated[dict[_Text, Literal["granted", "denied"]], Field(min_length=1, max_length=500)]
    legalBasis: Annotated[dict[str, str], Field(default_factory=dict)]
    collectedAt: int


class _Hook(Sent):
    apiVersion: Literal["consent/v1"]
    kind: Literal["ConsentRequest"]
    metadata: _Metadata
    request: _Request


def read(content: object) -> Delivered:
    """What a Ketch payload says. Raises pydantic.ValidationError, NotUnderstood."""
    hook = _Hook.model_validate(content)
    asked = hook.request
    identifiers = tuple(
        Named(
            identity.identitySpace,
            identity.identityValue,
            f"/request/identities/{i}",
            None if identity.identityFormat == "raw" else identity.identityFormat,
        )
        for i, identity in enumerate(asked.identities)
    )
    said = tuple(
        Said(
            purpose,
            state,
            "/request/purposes",
            basis=_BASES.get(asked.legalBasis.get(purpose, "")) if state == "granted" else None,
        )
        for purpose, state in asked.purposes.items()
    )
    at = of_seconds(asked.collectedAt, "/request/collectedAt")
    statement = Statement(identifiers, said, asked.regulation, "/request/regulation", at, "/request/collectedAt")
    return Delivered(hook.metadata.uid, (statement,))

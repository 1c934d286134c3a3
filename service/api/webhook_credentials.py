"""What vendors that sign nothing prove themselves with: a bearer token, a name and password, or a client certificate
whose fingerprint the TLS proxy in front hands on; and Segment's HMAC-SHA-1 over the body, which knows no time.

None of them is fresh by itself: the same body again is the same message (see `service.api.routes.webhooks`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from service.errors import StartRefused

SECRET_CHARS_MIN: Final = 24
HMAC_PROVIDER: Final = "segment"
FORMS: Final = (
    "whsec_BASE64, bearer:TOKEN, basic:USER:PASSWORD, mtls:HEADER:FINGERPRINT, and for segment hmac-sha1:SECRET"
)
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
_HEADER: Final = re.compile(r"[a-z0-9-]{1,64}")


class Credential(Protocol):
    """One way to tell that a delivery comes from who it says."""

    def matches(self, headers: Mapping[bytes, bytes], body: bytes) -> bool:
        """Whether it does. `headers` has lower-case names. Takes as long for wrong values as for right ones."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """`Authorization` with one scheme and one value."""

    scheme: bytes
    value: bytes

    def matches(self, headers: Mapping[bytes, bytes], body: bytes) -> bool:
        """Whether the header is just that; the scheme in any case."""
        scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
        return hmac.compare_digest(value, self.value) and scheme.lower() == self.scheme


@dataclass(frozen=True, slots=True)
class Certificate:
    """A header that only the TLS proxy sets, with the fingerprint of the client's certificate."""

    header: bytes
    fingerprint: bytes

    def matches(self, headers: Mapping[bytes, bytes], body: bytes) -> bool:
        """Whether the proxy saw that certificate."""
        return hmac.compare_digest(headers.get(self.header, b"").lower(), self.fingerprint)


@dataclass(frozen=True, slots=True)
class BodySha1:
    """`X-Signature`: the hexadecimal HMAC-SHA-1 of the body."""

    key: bytes

    def matches(self, headers: Mapping[bytes, bytes], body: bytes) -> bool:
        """Whether the body was signed with this key."""
        expected = hmac.new(self.key, body, hashlib.sha1).hexdigest().encode()
        return hmac.compare_digest(headers.get(b"x-signature", b"").lower(), expected)


def credential_of(provider: str, secret: str) -> Credential:
    """What a secret of another form than `whsec_` stands for. Raises StartRefused, without the value."""
    form, _, rest = secret.partition(":")
    if form == "bearer":
        return Authorization(b"bearer", _strong(rest, provider))
    if form == "basic":
        user, colon, password = rest.partition(":")
        _strong(password, provider)
        if colon and user:
            return Authorization(b"basic", base64.b64encode(f"{user}:{password}".encode()))
    if form == "mtls":
        header, _, fingerprint = rest.partition(":")
        if _HEADER.fullmatch(header) and header not in ("authorization", "x-signature"):
            return Certificate(header.encode(), _strong(fingerprint, provider).lower())
    if form == "hmac-sha1" and provider == HMAC_PROVIDER:
        return BodySha1(_strong(rest, provider))
    raise StartRefused(f"WEBHOOK_SECRETS: a secret of {provider} has none of the forms {FORMS}.")


def _strong(text: str, provider: str) -> bytes:
    if len(text) < SECRET_CHARS_MIN or not _PRINTABLE.fullmatch(text):
        raise StartRefused(
            f"WEBHOOK_SECRETS: a secret of {provider} is not {SECRET_CHARS_MIN} or more printable characters."
        )
    return text.encode()

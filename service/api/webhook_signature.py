"""Standard Webhooks signatures: whether a body is what a holder of a secret sent, now, under this id.

`webhook-signature` holds `v1,` and the base64 HMAC-SHA-256 of `id.timestamp.body`, or several of them with blanks
between. It is over the bytes as they came, so that a body is verified before anything reads it. Whatever the three
headers hold, there are two ends: the id, or NotAuthenticated with one and the same text. The libraries of the standard
raise other errors on headers that are not as they expect, know only bodies in UTF-8, and read a clock of their own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Collection, Mapping
from typing import Final

from service.api.webhook_credentials import Credential, credential_of
from service.errors import NotAuthenticated, StartRefused

STANDARD: Final = "standard"
TOLERANCE_S: Final = 300
SECRET_BYTES_MIN: Final = 24
_PREFIX: Final = "whsec_"

# No full stop, since it separates the three parts of what is signed; no blank, so that a header sent twice is no id.
_ID = re.compile(rb"[\x21-\x2d\x2f-\x7e]{1,255}")
_TIMESTAMP = re.compile(rb"[1-9][0-9]{0,11}")
_SIGNATURE = re.compile(rb"v1,([A-Za-z0-9+/]{43}=)")
_NO_SIGNATURE: Final = b"=" * 44  # compared where none was sent, so that this takes as long


class WebhookKeys:
    """The secrets of each provider, several while they are exchanged."""

    __slots__ = ("_credentials", "_keys")

    def __init__(self, secrets_by_provider: Mapping[str, Collection[str]]) -> None:
        """Secrets are `whsec_` and base64, for vendors also the forms of `credential_of`. Raises StartRefused for
        others, and for those shorter than 24 bytes.
        """
        self._keys: dict[str, tuple[bytes, ...]] = {}
        self._credentials: dict[str, tuple[Credential, ...]] = {}
        for provider, secrets in secrets_by_provider.items():
            signed = [s for s in secrets if provider == STANDARD or s.startswith(_PREFIX)]
            self._keys[provider] = tuple(map(_key_of, signed))
            self._credentials[provider] = tuple(credential_of(provider, s) for s in secrets if s not in signed)

    def has(self, provider: str) -> bool:
        """Whether any secret of this provider is known."""
        return bool(self._keys.get(provider) or self._credentials.get(provider))

    def verify(self, provider: str, headers: Mapping[bytes, bytes], body: bytes, now_ms: int) -> str | None:
        """The `webhook-id` of a body that is well signed and fresh; None where a vendor's credential is right.

        `headers` has lower-case names, and values sent under one name joined by ", ". Raises NotAuthenticated.
        """
        known = [credential.matches(headers, body) for credential in self._credentials.get(provider, ())]
        return None if any(known) else self._signed(provider, headers, body, now_ms)

    def _signed(self, provider: str, headers: Mapping[bytes, bytes], body: bytes, now_ms: int) -> str:
        webhook_id = headers.get(b"webhook-id", b"")
        sent_at = headers.get(b"webhook-timestamp", b"")
        if not _ID.fullmatch(webhook_id) or not _TIMESTAMP.fullmatch(sent_at):
            raise _refused()
        if abs(now_ms // 1000 - int(sent_at)) > TOLERANCE_S:
            raise _refused()
        signatures = _signatures(headers.get(b"webhook-signature", b""))
        matches = False
        for key in self._keys.get(provider, ()):  # all of them, so that the time does not tell which one it was
            signed = hmac.new(key, b".".join((webhook_id, sent_at, body)), hashlib.sha256)
            expected = base64.b64encode(signed.digest())
            for signature in signatures:
                matches |= hmac.compare_digest(expected, signature)
        if not matches:
            raise _refused()
        return webhook_id.decode("ascii")


def _signatures(header: bytes) -> list[bytes]:
    """The `v1` signatures of a header; what is something else, or of another version, is passed over."""
    if b", " in header:  # sent several times
        return [_NO_SIGNATURE]
    found = [match[1] for match in map(_SIGNATURE.fullmatch, header.split(b" ")) if match is not None]
    return found or [_NO_SIGNATURE]


def _key_of(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or len(key) < SECRET_BYTES_MIN:
        raise StartRefused(
            f"WEBHOOK_SECRETS: a secret is {_PREFIX} followed by the base64 of at least {SECRET_BYTES_MIN} bytes."
        )
    return key


def _refused() -> NotAuthenticated:
    return NotAuthenticated("The webhook is not signed as it must be.")

"""Secrets of destinations, by name: put into a request as it is sent, and redacted wherever it is shown."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from service.adapters.delivery.shapes import Request, TableWrite

REDACTED: Final = "[redacted]"
_WEBHOOK_PREFIX: Final = "whsec_"


class SecretMissing(Exception):
    """The policy names a secret that is not set here, or one that can't be used so."""


class Secrets:
    """`DESTINATION_SECRETS`; its values leave it only in requests."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __repr__(self) -> str:
        return f"Secrets({len(self._values)})"

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def dress(self, request: Request, name: str | None, now_s: int) -> tuple[str, dict[str, str]]:
        """Address and headers as they are sent. Raises SecretMissing."""
        headers = dict(request.headers)
        if request.auth == "none":
            return request.url, headers
        secret = self._values.get(name or "")
        if not secret:
            raise SecretMissing
        if request.auth == "bearer":
            return request.url, {**headers, "authorization": f"Bearer {secret}"}
        if request.auth == "standard_webhooks":
            signed = [_signature(one, request.message_id, now_s, request.body) for one in secret.split()]
            stamp = {"webhook-id": request.message_id, "webhook-timestamp": str(now_s)}
            return request.url, {**headers, **stamp, "webhook-signature": " ".join(signed)}
        field = request.auth.partition(":")[2]
        joint = "&" if "?" in request.url else "?"
        return f"{request.url}{joint}{field}={quote(secret, safe='')}", headers


def _signature(secret: str, message_id: str, now_s: int, body: bytes) -> str:
    """`v1,…` after Standard Webhooks. Raises SecretMissing for a secret that is none of its."""
    try:
        key = base64.b64decode(secret.removeprefix(_WEBHOOK_PREFIX), validate=True)
    except binascii.Error:
        raise SecretMissing from None
    signed = hmac.new(key, f"{message_id}.{now_s}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()


def shown(request: Request | TableWrite) -> dict[str, Any]:
    """A request as it may be shown: what is secret in it is named and redacted."""
    if isinstance(request, TableWrite):
        action = "delete" if request.removes else "append"
        return {"method": action, "url": request.uri, "headers": {}, "body": [dict(row) for row in request.rows]}
    url, headers = request.url, dict(request.headers)
    if request.auth == "bearer":
        headers["authorization"] = f"Bearer {REDACTED}"
    elif request.auth == "standard_webhooks":
        headers |= {"webhook-id": request.message_id, "webhook-signature": REDACTED}
    elif request.auth.startswith("query:"):
        url += f"{'&' if '?' in url else '?'}{request.auth.partition(':')[2]}={REDACTED}"
    return {"method": request.method, "url": url, "headers": headers, "body": request.body.decode("utf-8", "replace")}

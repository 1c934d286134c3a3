"""Vendors without signatures: each proves itself with what is configured, and none gets in without."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from service.api.webhook_signature import WebhookKeys
from service.errors import NotAuthenticated, StartRefused

TOKEN = "t" * 12 + "0123456789abcdef"
BODY = b'{"a": 1}'
FINGERPRINT = "AB" * 32
KEYS = WebhookKeys(
    {
        "didomi": [f"bearer:{TOKEN}"],
        "ketch": [f"basic:ketch:{TOKEN}"],
        "onetrust": [f"mtls:x-client-cert-sha256:{FINGERPRINT}", f"bearer:{TOKEN}2"],
        "segment": [f"hmac-sha1:{TOKEN}"],
    }
)
SIGNED = hmac.new(TOKEN.encode(), BODY, hashlib.sha1).hexdigest().encode()
RIGHT: list[tuple[str, dict[bytes, bytes]]] = [
    ("didomi", {b"authorization": b"Bearer " + TOKEN.encode()}),
    ("didomi", {b"authorization": b"bearer " + TOKEN.encode()}),
    ("ketch", {b"authorization": b"Basic " + base64.b64encode(f"ketch:{TOKEN}".encode())}),
    ("onetrust", {b"x-client-cert-sha256": FINGERPRINT.lower().encode()}),
    ("onetrust", {b"authorization": f"Bearer {TOKEN}2".encode()}),
    ("segment", {b"x-signature": SIGNED}),
]


@pytest.mark.parametrize(("provider", "headers"), RIGHT)
def test_the_right_one_is_taken_by_its_provider_only(provider: str, headers: dict[bytes, bytes]) -> None:
    assert KEYS.has(provider)
    assert KEYS.verify(provider, headers, BODY, 0) is None
    for other in {"didomi", "ketch", "onetrust", "segment", "standard"} - {provider}:
        with pytest.raises(NotAuthenticated):
            KEYS.verify(other, headers, BODY, 0)


@pytest.mark.parametrize("provider", ["didomi", "ketch", "onetrust", "segment", "usercentrics"])
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"Bearer",
        b"Bearer ",
        b"Bearer x",
        b"Basic",
        b"Basic %%%",
        b"\xff\xfe",
        b"Bearer " + b"t" * 4_000,
        SIGNED[:-1],
    ],
)
def test_everything_else_is_one_refusal(provider: str, value: bytes) -> None:
    for name in (b"authorization", b"x-client-cert-sha256", b"x-signature", b"webhook-signature", b"other"):
        with pytest.raises(NotAuthenticated, match="not signed as it must be"):
            KEYS.verify(provider, {name: value}, BODY, 0)
    with pytest.raises(NotAuthenticated):
        KEYS.verify(provider, {}, BODY, 0)


def test_another_body_has_another_signature() -> None:
    with pytest.raises(NotAuthenticated):
        KEYS.verify("segment", {b"x-signature": SIGNED}, BODY + b" ", 0)


@pytest.mark.parametrize(
    ("provider", "secret"),
    [
        ("didomi", "bearer:short"),
        ("didomi", "bearer:" + "a b" * 10),
        ("didomi", f"none:{TOKEN}"),
        ("didomi", TOKEN),
        ("didomi", ""),
        ("didomi", f"hmac-sha1:{TOKEN}"),
        ("ketch", f"basic:{TOKEN}"),
        ("ketch", f"basic::{TOKEN}"),
        ("onetrust", f"mtls:{TOKEN}"),
        ("onetrust", f"mtls:authorization:{TOKEN}"),
        ("onetrust", f"mtls:X Y:{TOKEN}"),
        ("standard", f"bearer:{TOKEN}"),
        ("segment", "whsec_AAAA"),
    ],
)
def test_weak_and_odd_secrets_refuse_the_start_without_being_shown(provider: str, secret: str) -> None:
    with pytest.raises(StartRefused) as refused:
        WebhookKeys({provider: [secret]})
    assert TOKEN not in str(refused.value)

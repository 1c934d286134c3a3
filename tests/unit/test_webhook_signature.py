"""Signatures: what the library of the standard signs is taken, and whatever headers hold, there is one refusal."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from service.api.webhook_signature import WebhookKeys
from service.errors import NotAuthenticated, StartRefused

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OTHER = "whsec_" + base64.b64encode(b"another secret of 32 bytes long!").decode()
NOW_S = 1_800_000_000
NOW_MS = NOW_S * 1_000 + 999
BODY = b'{"type": "consent.updated"}'
KEYS = WebhookKeys({"standard": [SECRET], "rotating": [OTHER, SECRET]})
Headers = dict[bytes, bytes]


def sign(body: bytes, webhook_id: bytes, timestamp: bytes, secret: str = SECRET) -> bytes:
    """A signature made without the code under test."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.digest(key, webhook_id + b"." + timestamp + b"." + body, hashlib.sha256)
    return b"v1," + base64.b64encode(signed)


def headers(
    body: bytes = BODY, webhook_id: bytes = b"msg_1", timestamp: bytes = b"%d" % NOW_S, secret: str = SECRET
) -> Headers:
    """The three headers of a well signed body."""
    return {
        b"webhook-id": webhook_id,
        b"webhook-timestamp": timestamp,
        b"webhook-signature": sign(body, webhook_id, timestamp, secret),
    }


def verified(sent: Headers, body: bytes = BODY, provider: str = "standard") -> str | None:
    """The id, or None for the one refusal there is. Anything else raised fails the test."""
    try:
        return KEYS.verify(provider, sent, body, NOW_MS)
    except NotAuthenticated as refused:
        assert (refused.detail, refused.errors, dict(refused.extra)) == (
            "The webhook is not signed as it must be.",
            (),
            {},
        )
        return None


@given(st.text(), st.from_regex(r"[A-Za-z0-9_-]{1,60}", fullmatch=True), st.integers(NOW_S - 300, NOW_S + 300))
def test_what_the_library_of_the_standard_signs_is_taken(text: str, webhook_id: str, timestamp: int) -> None:
    body = text.encode("utf-8", "replace")
    signature = Webhook(SECRET).sign(webhook_id, datetime.fromtimestamp(timestamp, UTC), body.decode())
    sent = {
        b"webhook-id": webhook_id.encode(),
        b"webhook-timestamp": b"%d" % timestamp,
        b"webhook-signature": signature.encode(),
    }
    assert verified(sent, body) == webhook_id
    assert verified(sent, body + b" ") is None


def test_a_body_that_is_no_text_is_verified_too() -> None:
    assert verified(headers(b"\xff\xfe\x00"), b"\xff\xfe\x00") == "msg_1"


@pytest.mark.parametrize("seconds", [-301, -300, -1, 0, 1, 300, 301])
def test_five_minutes_either_way_are_fresh(seconds: int) -> None:
    fresh = verified(headers(timestamp=b"%d" % (NOW_S + seconds)))
    assert fresh == ("msg_1" if abs(seconds) <= 300 else None)


TIMES = [b"", b"nan", b"inf", b"-inf", b"1e9", b"soon", b"0", b"00", b"%d.5" % NOW_S, b"+%d" % NOW_S, b"-%d" % NOW_S]
TIMES += [b"0%d" % NOW_S, b" %d" % NOW_S, b"%d " % NOW_S, b"%d, %d" % (NOW_S, NOW_S), b"%d" % NOW_MS, b"1_800_000_000"]
TIMES += [hex(NOW_S).encode(), b"2027-01-15T08:00:00Z", b"1" * 5_000]
TIMES += ["".join(chr(0x660 + int(digit)) for digit in str(NOW_S)).encode()]


@pytest.mark.parametrize("timestamp", TIMES)
def test_a_time_is_whole_seconds_or_nothing_well_signed_as_it_may_be(timestamp: bytes) -> None:
    assert verified(headers(timestamp=timestamp)) is None


@pytest.mark.parametrize(
    "webhook_id", [b"", b" ", b"a b", b"a.b", b"msg_\xff", "é".encode(), b"m" * 256, b"msg_1, msg_1", b"a\tb", b"a\0b"]
)
def test_an_id_is_printable_and_short_and_can_not_run_into_the_time(webhook_id: bytes) -> None:
    assert verified(headers(webhook_id=webhook_id)) is None


GOOD = headers()[b"webhook-signature"]
B64 = GOOD[3:]
HOSTILE = [
    b"",
    b" ",
    b",",
    b",,,,",
    b" , , ",
    b"v1",
    b"v1,",
    b"v1" + B64,
    B64,
    b"v1,," + B64,
    b"v1  " + B64,
    b"v1, " + B64,
]
HOSTILE += [b"v1,%%%not base64%%%", b"v1," + B64[:-9], b"v1," + B64.rstrip(b"="), b"v1,a", b"v1," + B64.swapcase()]
HOSTILE += [b"v2," + B64, b"v1a," + B64, b"V1," + B64, b"v1," + base64.b64decode(B64).hex().encode(), b"v1,\xff\xfe"]
HOSTILE += ["v1,é漢字".encode(), b"v1 v1, ,v1 v2,x junk", b" ".join([b"v1,AAAA"] * 1_000), b'{"v1": 1}', b"v1,\t" + B64]
HOSTILE += [GOOD + b"x", GOOD + b",x", b"x" + GOOD, GOOD + b", " + GOOD, GOOD + b"\0", GOOD + b"\n", b"v1,=" + B64[1:]]
HOSTILE += [sign(BODY, b"msg_1", b"%d" % NOW_S, OTHER), sign(BODY, b"msg_2", b"%d" % NOW_S)]
HOSTILE += [sign(BODY, b"msg_1", b"%d" % (NOW_S - 1)), sign(BODY + b" ", b"msg_1", b"%d" % NOW_S), b"v1," + b"=" * 44]


@pytest.mark.parametrize("signature", HOSTILE)
def test_a_hostile_signature_is_refused_like_any_other(signature: bytes) -> None:
    assert verified({**headers(), b"webhook-signature": signature}) is None


@pytest.mark.parametrize("name", list(headers()))
def test_a_missing_header_is_refused_like_any_other(name: bytes) -> None:
    sent = headers()
    del sent[name]
    assert verified(sent) is None


@given(st.dictionaries(st.sampled_from(list(headers())), st.binary(max_size=80)))
def test_whatever_headers_hold_nothing_else_is_raised(sent: Headers) -> None:
    assert verified(sent) is None


@given(st.data())
def test_a_well_signed_webhook_with_one_byte_changed_is_refused(data: st.DataObject) -> None:
    sent = headers()
    name = data.draw(st.sampled_from(list(sent)))
    at = data.draw(st.integers(0, len(sent[name]) - 1))
    changed = data.draw(st.integers(0, 255).filter(lambda byte: byte != sent[name][at]))
    sent[name] = sent[name][:at] + bytes([changed]) + sent[name][at + 1 :]
    assert verified(sent) is None


@given(st.lists(st.sampled_from([text for text in HOSTILE if b", " not in text + b" "]), max_size=6), st.integers(0, 6))
def test_one_right_signature_among_others_is_enough(others: list[bytes], place: int) -> None:
    others.insert(place, GOOD)
    assert verified({**headers(), b"webhook-signature": b" ".join(others)}) == "msg_1"


def test_every_secret_of_a_provider_is_tried_and_those_of_others_are_not() -> None:
    for secret in (OTHER, SECRET):
        assert verified(headers(secret=secret), provider="rotating") == "msg_1"
    third = "whsec_" + base64.b64encode(b"y" * 32).decode()
    assert verified(headers(secret=third), provider="rotating") is None
    assert verified(headers(secret=OTHER)) is None
    assert verified(headers(), provider="nobody") is None
    assert [KEYS.has(provider) for provider in ("standard", "nobody")] == [True, False]
    assert not WebhookKeys({"standard": []}).has("standard")


@pytest.mark.parametrize("size", [0, 1, 23, 24, 64])
def test_a_short_secret_refuses_to_start(size: int) -> None:
    secret = "whsec_" + base64.b64encode(b"k" * size).decode()
    if size >= 24:
        assert WebhookKeys({"standard": [SECRET, secret]}).has("standard")
        return
    with pytest.raises(StartRefused, match="24 bytes") as refused:
        WebhookKeys({"standard": [SECRET, secret]})
    assert not size or secret not in str(refused.value)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_%%%", "whsec_é", SECRET[:-1], SECRET.removeprefix("whsec_"), "\ud800"]
)
def test_what_is_no_secret_refuses_to_start(secret: str) -> None:
    with pytest.raises(StartRefused):
        WebhookKeys({"standard": [secret]})

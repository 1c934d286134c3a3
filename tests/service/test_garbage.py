"""Garbage is refused clearly, leaves nothing behind, and none of it is found in a log."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.instances import Api, Json, Reply, fresh, link, named
from tests.service.watch import Watch, mark


async def at_every_door(api: Api, identifier: Json) -> list[Reply]:
    """The same identifier through every call that takes one in its body."""
    profile = "prf_" + "a" * 24
    return [
        await api.post("/v1/links", link(fresh(), fresh()) | {"a": identifier}),
        await api.post("/v1/links", link(fresh(), fresh()) | {"b": identifier}),
        await api.post(f"/v1/profiles/{profile}/split", {"identifiers": [identifier], "reason": "r"}),
        await api.post("/v1/revocations", {"identifier": identifier, "scope": "linking"}),
    ]


# ---- blocked values

BLOCKED = ("null", "undefined", "none", "unknown", "anonymous", "0", "-1", "00000000-0000-0000-0000-000000000000")
PLAIN_NAMESPACES = ("crm_id", "login_id", "device_id", "cookie_id", "session_id", "household_id")
HASHED = ("email_sha256", "phone_sha256")


def disguises(value: str) -> set[str]:
    """The value as it comes out of careless code."""
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in value)
    spaced = {f" {value}", f"{value}\t", f"\r\n{value}\n", f"\u00a0{value}\u00a0", f"\u3000{value}", " ".join(value)}
    return {value, value.upper(), value.title(), value.swapcase(), wide, wide.upper(), *spaced}


@pytest.mark.parametrize("value", BLOCKED)
async def test_a_blocked_value_is_refused_in_every_disguise(api: Api, watch: Watch, value: str) -> None:
    for number, seen in enumerate(sorted(disguises(value))):
        namespace = PLAIN_NAMESPACES[number % len(PLAIN_NAMESPACES)]
        for reply in await at_every_door(api, {"namespace": namespace, "value": seen}):
            watch.refused(reply, 422)
            assert [pointer.rpartition("/")[2] for pointer in reply.pointers] == ["value"], (seen, namespace)
        watch.refused(await api.lookup(f"{namespace}:{seen}"), 422)
        found = await api.post("/v1/profiles/lookup", {"identifiers": [{"namespace": namespace, "value": seen}]})
        assert found.results[0]["error"]["status"] == 422


@pytest.mark.parametrize("value", ["", " ", "\t\r\n", "0", "000", "0000-0000", "{0}", "0:0"])
@pytest.mark.parametrize("namespace", ["device_id", "login_id"])
async def test_nothing_and_all_zeros_are_nobody(api: Api, watch: Watch, namespace: str, value: str) -> None:
    for reply in await at_every_door(api, {"namespace": namespace, "value": value}):
        watch.refused(reply, 422)


@pytest.mark.parametrize("value", [*BLOCKED, ""])
async def test_the_digest_of_a_blocked_value_is_blocked(api: Api, watch: Watch, value: str) -> None:
    for spelled in {value, value.upper(), value.capitalize(), f"{value}\n"}:
        digest = hashlib.sha256(spelled.encode()).hexdigest()
        for seen in (digest, digest.upper(), f" {digest} "):
            for namespace in HASHED:
                for reply in await at_every_door(api, {"namespace": namespace, "value": seen}):
                    watch.refused(reply, 422)
                watch.refused(await api.lookup(f"{namespace}:{seen}"), 422)
    for seen in (value, value.upper(), f" {value} "):
        for reply in await at_every_door(api, {"namespace": "email_sha256", "value": seen, "plain": True}):
            watch.refused(reply, 422)


NO_DIGESTS = ["f" * 63, "f" * 65, "g" * 64, "0" * 64, "0x" + "f" * 62, "jane@example.com", "é" * 64]


@pytest.mark.parametrize("value", NO_DIGESTS)
async def test_what_is_no_digest_is_refused_where_one_is_due(api: Api, watch: Watch, value: str) -> None:
    for namespace in HASHED:
        for reply in await at_every_door(api, {"namespace": namespace, "value": value}):
            watch.refused(reply, 422)


# ---- characters

ODD = ["\x00", "\x01", "\x1b[2J", "\x1f", "\x7f", "\x85", "\u2028"]
ODD += ["\u200b", "\u202e", "\ufeff", "\u00ad", "\ufffe", "\U000e0041"]


@pytest.mark.parametrize("odd", ODD)
async def test_control_and_invisible_characters_are_refused(api: Api, watch: Watch, odd: str) -> None:
    for value in (f"{watch.new()}{odd}{mark()}", f"{odd}{watch.new()}", odd):
        for reply in await at_every_door(api, {"namespace": "device_id", "value": value}):
            watch.refused(reply, 422)
        watch.refused(await api.lookup(f"device_id:{value}"), 422)


@pytest.mark.parametrize("odd", ["\x00", "\x1b[31m"])
async def test_control_characters_are_refused_in_every_text(api: Api, watch: Watch, odd: str) -> None:
    text, ids = f"{watch.new()}{odd}", ["prf_aaaa", "prf_bbbb"]
    for field in ("source", "rule", "rule_version"):
        watch.refused(await api.post("/v1/links", link(fresh(), fresh("device_id")) | {field: text}), 422)
    watch.refused(await api.post("/v1/profiles/merge", {"profiles": ids, "reason": text}), 422)
    watch.refused(await api.post("/v1/assertions/ast_a/undo", {"reason": text}), 422)
    for field in ("reason", "source"):
        body = {"identifier": named(fresh()), "scope": "linking"}
        watch.refused(await api.post("/v1/revocations", {**body, field: text}), 422)
    watch.refused(await api.call("DELETE", "/v1/links/lnk_a", params={"reason": text}), 422)


async def send(api: Api, path: str, content: bytes, kind: str = "application/json") -> Reply:
    """A body as it is."""
    return await api.call("POST", path, content=content, headers={"content-type": kind})


@pytest.mark.parametrize("half", [b"\\ud800", b"\\udfff", b"\\uD83D", b"\\udc00\\ud800"])
async def test_half_a_surrogate_pair_is_no_text(api: Api, watch: Watch, half: bytes) -> None:
    text = watch.new().encode() + half
    good = json.dumps(link(fresh(), fresh("device_id"))).encode()
    for content in (
        good.replace(b'"crm"', b'"' + text + b'"'),
        good.replace(b'"source"', b'"' + text + b'"'),
        good[:-1] + b', "evidence": {"deep": [{"x": "' + text + b'"}]}}',
        b'{"links": [' + good + b', {"a": {"namespace": "device_id", "value": "' + text + b'"}}]}',
    ):
        watch.refused(await send(api, "/v1/links", content), 400)


@pytest.mark.parametrize("raw", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x28\xa1"])
async def test_what_is_not_utf_8_is_malformed(api: Api, watch: Watch, raw: bytes) -> None:
    content = json.dumps(link(fresh(), f"device_id:{watch.new()}")).encode()
    watch.refused(await send(api, "/v1/links", content.replace(b'"device_id"', b'"device_id' + raw + b'"')), 400)
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        watch.refused(await send(api, "/v1/links", content.decode().encode(encoding)), 400)


# ---- sizes and numbers


async def test_a_megabyte_of_text_is_too_long_wherever_it_stands(api: Api, watch: Watch) -> None:
    long = watch.new() + "x" * (1 << 20)
    for namespace in ("device_id", "crm_id", "email_sha256", long):
        for reply in await at_every_door(api, {"namespace": namespace, "value": long}):
            watch.refused(reply, 422)
    plain = {"namespace": "email_sha256", "value": f"{long}@example.com", "plain": True}
    for reply in await at_every_door(api, plain):
        watch.refused(reply, 422)
    for field in ("source", "rule", "rule_version", "method", "observed_at", "confidence", "evidence", long):
        watch.refused(await api.post("/v1/links", link(fresh(), fresh("device_id")) | {field: long}), 422)
    body = link(fresh(), fresh("device_id"))
    watch.refused(await api.post("/v1/links", body | {"evidence": {"x": long}}), 422)
    watch.refused(await api.post("/v1/links", body | {"evidence": {long: 1}}), 422)
    merge = {"profiles": ["prf_a", "prf_b"], "reason": "r"}
    for field in ("reason", "survivor", long):
        watch.refused(await api.post("/v1/profiles/merge", merge | {field: long}), 422)
    watch.refused(await api.post("/v1/profiles/lookup", {"identifiers": [], "purpose": long}), 422)


def nested(levels: int, opens: bytes = b"[", closes: bytes = b"]") -> bytes:
    """So many levels of JSON."""
    return opens * levels + closes * levels


async def test_deep_json_is_malformed(api: Api, watch: Watch) -> None:
    for levels in (33, 1_000, 100_000, 1_000_000):
        watch.refused(await send(api, "/v1/links", nested(levels)), 400)
        watch.refused(await send(api, "/v1/links", b'{"evidence": ' + nested(levels) + b"}"), 400)
    watch.refused(await send(api, "/v1/links", nested(50_000, b'{"a":', b"}").replace(b":}", b":1}")), 400)
    watch.refused(await send(api, "/v1/links", b"[" * 2_000_000), 400)


async def test_a_key_that_comes_twice_is_malformed(api: Api, watch: Watch) -> None:
    text = json.dumps(link(fresh(), f"device_id:{watch.new()}"))
    for twice in (
        text[:-1] + ', "source": "crm"}',
        text.replace('"namespace": "device_id"', '"namespace": "device_id", "namespace": "crm_id"'),
        text.replace('"value"', '"valu\\u0065": "x", "value"', 1),
        text[:-1] + ', "evidence": {"a": {"b": 1, "b": 2}}}',
    ):
        watch.refused(await send(api, "/v1/links", twice.encode()), 400)


LARGE = ["9223372036854775808", "-9223372036854775809", "1" * 400, "1e309", "-1e999", "NaN", "Infinity", "-Infinity"]


@pytest.mark.parametrize("number", LARGE)
async def test_a_number_beyond_64_bits_is_malformed(api: Api, watch: Watch, number: str) -> None:
    text = json.dumps(link(fresh(), f"device_id:{watch.new()}"))
    for body in (text.replace("0.93", number), text[:-1] + f', "evidence": {{"n": [{number}]}}}}'):
        watch.refused(await send(api, "/v1/links", body.encode()), 400)


@pytest.mark.parametrize("number", ["9223372036854775807", "-1", "1.0000001", "2", "-0.1", "1e308"])
async def test_a_confidence_out_of_range_is_invalid(api: Api, watch: Watch, number: str) -> None:
    text = json.dumps(link(fresh(), f"device_id:{watch.new()}"))
    watch.refused(await send(api, "/v1/links", text.replace("0.93", number).encode()), 422)


KINDS = ["text/json", "application/jsonp", "multipart/form-data; boundary=x", "application/json;charset=utf-16", "*/*"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wrong_content_type_is_refused_before_the_body_is_read(api: Api, watch: Watch, kind: str) -> None:
    content = json.dumps(link(fresh(), f"device_id:{watch.new()}")).encode()
    for path in ("/v1/links", "/v1/profiles/lookup", "/v1/profiles/merge", "/v1/revocations"):
        watch.refused(await send(api, path, content, kind), 415)


# ---- shapes: anything at all


DOORS = ("/v1/links", "/v1/profiles/lookup", "/v1/profiles/merge", "/v1/profiles/prf_a/split", "/v1/revocations")


def anything() -> st.SearchStrategy[Any]:
    """Any JSON."""
    numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    names = st.sampled_from(["a", "b", "namespace", "value", "links", "identifiers", "plain", "reason", "profiles"])

    def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.lists(inner, max_size=4) | st.dictionaries(names | st.text(max_size=3), inner, max_size=5)

    return st.recursive(st.none() | st.booleans() | numbers | st.text(max_size=9), around)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=anything())
async def test_any_json_at_any_door_is_answered_clearly(api: Api, body: object) -> None:
    for path in DOORS:
        reply = await api.post(path, body)
        assert reply.status in (200, 404, 413, 422), reply
        if reply.status == 200:  # a batch whose items are refused in their places
            assert all(item.get("status") == "rejected" or "error" in item for item in reply.results)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=st.text(min_size=1, max_size=20), namespace=st.sampled_from([*PLAIN_NAMESPACES[1:], "email_sha256"]))
async def test_any_text_is_refused_or_found_again(api: Api, value: str, namespace: str) -> None:
    """Refused alike by every call, or stored so that the same text finds it; never half of each."""
    if any("\ud800" <= c <= "\udfff" for c in value):
        return
    suffix = "" if namespace == "email_sha256" else secrets.token_hex(4)
    identifier = {"namespace": namespace, "value": value + suffix}
    reply = await api.post("/v1/links", link(fresh(), fresh()) | {"b": identifier})
    looked_up = (await api.post("/v1/profiles/lookup", {"identifiers": [identifier]})).results[0]
    if reply.status == 422:
        assert looked_up["error"]["status"] == 422
        return
    assert reply.results[0]["status"] == "linked"
    if namespace != "household_id":
        assert looked_up["profile_id"] == reply.results[0]["profile_id"]
        url = await api.get("/v1/profiles", **identifier)
        assert url.status == 200 or url.json["code"] == "personal_value_in_url"

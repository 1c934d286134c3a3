"""Signals and whole consent records through HTTP on real stores."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from service.model.times import parse_rfc3339, rfc3339
from tests.service.instances import Api, Json, Reply, fresh, link, named, refused
from tests.unit.signal_strings import Tc, UsNat, gpp

DAY_MS = 86_400_000
TODAY_MS = time.time_ns() // 1_000_000 // DAY_MS * DAY_MS
TC = Tc(
    created=TODAY_MS // 100,
    last_updated=TODAY_MS // 100,
    consents=range(1, 12),
    vendor_consents=[755],
    disclosed=[755],
)


def ago(seconds: float) -> str:
    return rfc3339(time.time_ns() // 1_000_000 - int(seconds * 1_000))


async def capture(api: Api, key: str, kind: str | None = None, value: object = None, **more: Any) -> Reply:
    """A consent record of a signal, or of what `more` says."""
    body: Json = {"identifier": named(key), "source": "web", "at": ago(60)} | more
    if kind is not None:
        body["signal"] = {"kind": kind, "value": value}
    return await api.post("/v1/consents", body)


async def person(api: Api) -> str:
    key = fresh("email_sha256")
    await api.links(link(key, fresh("crm_id")))
    return key


async def decided(api: Api, key: str, regulation: str | None = None) -> tuple[str, list[str]]:
    body = {"identifier": named(key), "destination": "meta_ads", "regulation": regulation}
    reply = (await api.post("/v1/decisions", {k: v for k, v in body.items() if v is not None})).json
    return reply["outcome"], reply["reasons"]


async def kept(api: Api, key: str) -> dict[tuple[str, str | None], Json]:
    items = (await api.get("/v1/consents", **named(key))).json["items"]
    return {(item["purpose"], item["regulation"]): item for item in items}


async def test_a_tc_string_is_decoded_under_the_policy_and_kept_as_it_came(api: Api) -> None:
    key = await person(api)
    reply = await capture(api, key, "tcf", TC.text(), notice={"id": "banner", "version": "7", "language": "de"})
    assert reply.status == 200 and reply.json["signal"] == "read" and len(reply.json["consent_ids"]) == 3
    assert await decided(api, key) == ("allow", ["ok"])
    item = (await kept(api, key))["advertising", "GDPR"]
    assert (item["state"], item["basis"], item["method"], item["source"]) == ("granted", "consent", "signal:tcf", "web")
    assert item["signal"] == {"kind": "tcf", "value": TC.text(), "readable": True}
    assert item["notice"] == {"id": "banner", "version": "7", "language": "de"}
    assert parse_rfc3339(item["expires_at"]) == TODAY_MS + 390 * DAY_MS
    assert item["received_at"] > item["at"]


@pytest.mark.parametrize(
    "value", [TC.text()[:-5], TC.text()[:20], "", "nonsense", 7, None, [], replace(TC, disclosed=None).text()]
)
async def test_what_can_not_be_read_is_a_no_and_says_so(api: Api, value: object) -> None:
    key = await person(api)
    assert (await capture(api, key, purposes={"advertising": "granted"}, regulation="GDPR", at=ago(90))).status == 200
    assert await decided(api, key) == ("allow", ["ok"])
    reply = await capture(api, key, "tcf", value)
    assert reply.status == 200 and reply.json["signal"] == "unreadable"
    outcome, reasons = await decided(api, key)
    assert outcome == "withhold" and reasons[0] == "signal_unreadable"
    for (_, regulation), item in (await kept(api, key)).items():
        assert (item["state"], regulation) == ("denied", "GDPR")
        assert item["signal"]["readable"] is False and item["signal"]["value"] == value
    assert (await api.lookup(key)).json["consent"]["advertising"]["state"] == "denied"
    assert (await capture(api, key, "tcf", TC.text(), at=ago(0))).json["signal"] == "read"
    assert await decided(api, key) == ("allow", ["ok"])


async def test_very_long_ones_are_kept_by_their_beginning_and_larger_ones_not_at_all(api: Api) -> None:
    key, long = await person(api), "C" * 40_000
    assert (await capture(api, key, "tcf", long)).json["signal"] == "unreadable"
    signal = (await kept(api, key))["advertising", "GDPR"]["signal"]
    assert signal["sha256"] == hashlib.sha256(json.dumps(long).encode()).hexdigest()
    assert 1_000 < len(signal["value"]) < 20_000
    began = time.perf_counter()
    reply = await capture(api, key, "tcf", "C" * 200_000)
    assert time.perf_counter() - began < 1
    assert refused(reply, 422)["errors"][0]["pointer"] == "/signal/value"


async def test_the_stricter_counts_where_signal_and_purposes_speak_of_one_thing(api: Api) -> None:
    for state, outcome in (("denied", "withhold"), ("granted", "allow")):
        key = await person(api)
        reply = await capture(api, key, "tcf", TC.text(), purposes={"advertising": state}, regulation="GDPR")
        assert len(reply.json["consent_ids"]) == 4
        assert (await decided(api, key))[0] == outcome
    key = await person(api)
    reply = await capture(api, key, "tcf", "x", purposes={"advertising": "granted"}, regulation="GDPR")
    assert (reply.json["signal"], (await decided(api, key))[0]) == ("unreadable", "withhold")


async def test_gpp_and_gpc_speak_under_the_regulation_that_the_policy_gives_them(api: Api) -> None:
    for kind, value, outcome in (
        ("gpp", gpp(_7=UsNat().text()), "allow"),
        ("gpp", gpp(_7=UsNat(sale=1).text()), "withhold"),
        ("gpp", gpp(_7=UsNat(gpc=True).text()), "withhold"),
        ("gpc", "1", "withhold"),
        ("google_consent_mode", {"ad_storage": "granted"}, "allow"),
    ):
        key = await person(api)
        assert (await capture(api, key, kind, value)).status == 200
        assert (await decided(api, key, "CCPA"))[0] == outcome
        expected = "GDPR" if kind == "google_consent_mode" else "CCPA"
        assert {regulation for _, regulation in await kept(api, key)} == {expected}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/purposes"),
        ({"purposes": {}}, "/purposes"),
        ({"signal": {"kind": "gpc", "value": "0"}}, "/signal"),
        ({"signal": {"kind": "gpp", "value": "DBAA"}}, "/signal"),
        ({"signal": {"kind": "fax", "value": "x"}}, "/signal/kind"),
        ({"signal": {"kind": "tcf"}}, "/signal/value"),
        ({"signal": "C"}, "/signal"),
        ({"purposes": {"advertising": "granted"}, "notice": {"nickname": "x"}}, "/notice/nickname"),
        ({"purposes": {"advertising": "granted"}, "notice": {"version": 1}}, "/notice/version"),
        ({"purposes": {"advertising": "granted"}, "at": ago(-7_200)}, "/at"),
        ({"signal": {"kind": "tcf", "value": TC.text()}, "at": ago(-7_200)}, "/at"),
    ],
)
async def test_what_says_nothing_or_can_not_be_is_refused_with_its_place(api: Api, body: Json, pointer: str) -> None:
    key = await person(api)
    reply = await capture(api, key, **body)
    assert refused(reply, 422) and reply.pointers[0].startswith(pointer)
    assert await kept(api, key) == {}


async def test_a_record_has_what_it_was_given(api: Api) -> None:
    key = fresh("crm_id")
    given: Json = {
        "purposes": {"email_marketing": "granted"},
        "regulation": "GDPR",
        "basis": "consent",
        "at": ago(30),
        "expires_at": ago(-3_600),
        "notice": "v1",
        "method": "web_form",
    }
    assert (await capture(api, key, **given)).json["signal"] is None
    item = (await kept(api, key))["email_marketing", "GDPR"]
    assert {name: item[name] for name in given if name != "purposes"} == {
        n: v for n, v in given.items() if n != "purposes"
    }
    assert item["signal"] is None and item["consent_id"].startswith("con_")

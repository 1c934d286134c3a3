"""Vendors' webhooks on real stores: proven, translated, in force at the answer, once; and old ids forgotten."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import neo4j
import pytest

from service.api.app import create_app
from service.api.asgi import request_ids
from service.api.webhook_signature import WebhookKeys
from service.commands.forget import KEPT_MS
from service.graph.answers import GraphAnswers
from service.local import Stores
from service.model.times import rfc3339
from tests.service.documented import Document
from tests.service.instances import Api, Instance, Json, Reply, named
from tests.service.test_webhooks import said
from tests.unit.test_vendor_payloads import DEFAULT, WEBHOOKS, compile_policy, fixture

TOKEN = "token-of-a-vendor-" + secrets.token_hex(8)
WEEK_MS = 7 * 24 * 3_600_000
BEARER = {"authorization": f"Bearer {TOKEN}"}
NAMES = {
    "didomi": "didomi_event_created",
    "ketch": "ketch_consent_request",
    "onetrust": "onetrust_receipt",
    "segment": "segment_consent_updated",
    "usercentrics": "usercentrics_updated_consent",
}


@pytest.fixture(scope="module")
async def vendors(instance: Instance, api: Api) -> AsyncIterator[Api]:
    """The same instance, with secrets of vendors and a policy that knows their names."""
    services = instance.assembled.services
    told = replace(
        services,
        policy=lambda: compile_policy({**DEFAULT, "webhooks": WEBHOOKS}, services.policy().version),
        webhook_keys=WebhookKeys(
            {name: [f"bearer:{TOKEN}"] for name in NAMES} | {"segment": [f"hmac-sha1:{TOKEN}", f"bearer:{TOKEN}"]}
        ),
    )
    transport = httpx.ASGITransport(app=create_app(told, request_ids("vendors")))
    async with httpx.AsyncClient(transport=transport, base_url="http://vendors", timeout=60) as http:
        yield Api(http, Document((await http.get("/openapi.json")).json()))


async def send(api: Api, provider: str, body: object, **headers: str) -> Reply:
    raw = json.dumps(body).encode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.as_(None).call("POST", f"/v1/webhooks/consent/{provider}", content=raw, headers=given or BEARER)


def payload(provider: str) -> tuple[Json, str, str]:
    """A fixture about somebody new, dated a moment ago; the identifier; and a purpose that it refuses."""
    body, now_s = fixture(NAMES[provider]), time.time_ns() // 1_000_000_000
    now, mark = rfc3339(now_s * 1_000), secrets.token_hex(8)
    email = "email_sha256:" + hashlib.sha256(f"{mark}@example.org".encode()).hexdigest()
    if provider == "didomi":
        body["parameters"]["entity"]["created_at"] = now
        body["parameters"]["entity"]["user"]["organization_user_id"] = f"{mark}@example.org"
        return body, email, "advertising"
    if provider == "ketch":
        body["metadata"]["uid"] = mark
        body["request"] |= {"collectedAt": now_s}
        body["request"]["identities"][0]["identityValue"] = mark
        return body, f"crm_id:{mark}", "email_marketing"
    if provider == "onetrust":
        body |= {"identifier": f"{mark}@example.org", "interactionDate": now}
        return body, email, "email_marketing"
    if provider == "segment":
        return body | {"messageId": mark, "userId": mark, "timestamp": now}, f"login_id:{mark}", "advertising"
    return body | {"controllerId": mark}, f"cookie_id:{mark}", "advertising"


async def states(api: Api, key: str) -> dict[str, str]:
    items = (await api.get("/v1/consents", **named(key))).json["items"]
    return {item["purpose"]: item["state"] for item in items}


@pytest.mark.parametrize("provider", sorted(NAMES))
async def test_a_documented_payload_is_applied_once(vendors: Api, provider: str) -> None:
    body, key, purpose = payload(provider)
    for headers in ({"authorization": f"Bearer {TOKEN}x"}, {"authorization": "Bearer"}, {"x-signature": "0" * 40}):
        assert said(await send(vendors, provider, body, **headers)) == (401, "not_authenticated")
    assert await states(vendors, key) == {}
    assert said(await send(vendors, provider, body)) == (200, "applied")
    assert (await states(vendors, key))[purpose] in ("denied", "withdrawn")
    kept = (await vendors.get("/v1/consents", **named(key))).json["items"]
    assert {item["source"] for item in kept} == {f"webhook:{provider}"}
    assert said(await send(vendors, provider, body)) == (200, "duplicate")
    if provider in ("ketch", "segment"):
        assert said(await send(vendors, provider, body | {"more": 1})) == (409, "webhook_id_reused")


async def test_segment_signs_the_body(vendors: Api) -> None:
    body, key, _ = payload("segment")
    signed = hmac.new(TOKEN.encode(), json.dumps(body).encode(), hashlib.sha1).hexdigest()
    assert said(await send(vendors, "segment", body | {"more": 1}, x_signature=signed)) == (401, "not_authenticated")
    assert said(await send(vendors, "segment", body, x_signature=signed)) == (200, "applied")
    assert (await states(vendors, key))["advertising"] == "denied"


async def test_what_says_nothing_about_consent_changes_nothing(vendors: Api) -> None:
    assert said(await send(vendors, "didomi", fixture("didomi_user_updated"))) == (200, "applied")
    assert said(await send(vendors, "segment", fixture("segment_page"))) == (200, "applied")


async def test_names_that_are_not_mapped_are_kept_for_inspection(vendors: Api, stores: Stores) -> None:
    body, key, _ = payload("ketch")
    body["request"]["purposes"]["unheard_of"] = "denied"
    reply = await send(vendors, "ketch", body)
    assert (reply.status, reply.json["code"], reply.pointers) == (422, "unreadable_webhook", ["/request/purposes"])
    assert await states(vendors, key) == {}
    auth = (stores.neo4j_user, stores.neo4j_password)
    async with neo4j.AsyncGraphDatabase.driver(stores.neo4j_uri, auth=auth, telemetry_disabled=True) as driver:
        found = await driver.execute_query(
            "MATCH (u:Unreadable {webhook_id: $id}) RETURN u.why AS why", id=body["metadata"]["uid"]
        )
    assert [row["why"] for row in found.records] == [["/request/purposes is not listed in the policy's mapping"]]


async def test_ids_are_remembered_for_a_week_and_then_forgotten_in_small_turns(vendors: Api, stores: Stores) -> None:
    auth = (stores.neo4j_user, stores.neo4j_password)
    async with neo4j.AsyncGraphDatabase.driver(stores.neo4j_uri, auth=auth, telemetry_disabled=True) as driver:
        ages = {"week": WEEK_MS, "almost": KEPT_MS - 60_000, **{f"old{i}": KEPT_MS + 60_000 for i in range(5)}}
        for name, age in ages.items():
            await driver.execute_query(
                "CREATE (:Answer {key: $key, fingerprint: '', status: 200, at: timestamp() - $age})",
                key=f"forget-{name}", age=age,
            )  # fmt: skip
        answers = GraphAnswers(driver, stores.neo4j_database)
        assert KEPT_MS >= WEEK_MS
        assert await answers.forget(KEPT_MS, 3) <= 3
        while await answers.forget(KEPT_MS, 3):
            pass
        left = await driver.execute_query(
            "MATCH (x:Answer) WHERE x.key STARTS WITH 'forget-' RETURN collect(x.key) AS keys"
        )
        assert sorted(left.records[0]["keys"]) == ["forget-almost", "forget-week"]
        await driver.execute_query("MATCH (x:Answer) WHERE x.key STARTS WITH 'forget-' DELETE x")

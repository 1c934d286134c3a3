"""Consent webhooks on real stores: only what is signed and new has an effect, exactly one, before the 200."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import json
import logging
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import neo4j
import pytest
import structlog

from service.local import Stores
from service.local.secrets import webhook_secrets
from service.model.times import rfc3339
from service.settings import Settings
from service.telemetry import METRICS, configure_logs
from tests.service.instances import Api, Instance, Json, Reply, fresh, link, named, opened, served
from tests.service.redis_server import PrivateRedis

PATH = "/v1/webhooks/consent/standard"
NEW = "whsec_" + base64.b64encode(b"the new secret, of 32 bytes long").decode()


def ago(seconds: float) -> str:
    """So many seconds ago, RFC 3339."""
    return rfc3339(time.time_ns() // 1_000_000 - int(seconds * 1_000))


def body(*keys: str, kind: str = "consent.updated", **data: Any) -> bytes:
    """A webhook about identifiers that withdraws advertising, unless it is told otherwise; None leaves a field out."""
    given = {"identifiers": [named(key) for key in keys], "purposes": {"advertising": "withdrawn"}, "at": ago(0)} | data
    told = {name: value for name, value in given.items() if value is not None}
    return json.dumps({"type": kind, "timestamp": ago(0), "data": told}).encode()


@dataclass(frozen=True, slots=True)
class Hooks:
    """Sends webhooks signed with one secret to one instance, which is given no key."""

    api: Api
    secret: str

    def headers(self, raw: bytes, webhook_id: str, at: int | None = None) -> dict[str, Any]:
        """The three headers; `at` in seconds."""
        sent_at = int(time.time()) if at is None else at
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        signed = hmac.digest(key, f"{webhook_id}.{sent_at}.".encode() + raw, hashlib.sha256)
        signature = "v1," + base64.b64encode(signed).decode()
        return {"webhook-id": webhook_id, "webhook-timestamp": str(sent_at), "webhook-signature": signature}

    async def send(self, raw: bytes, under: str | None = None, path: str = PATH, **changed: Any) -> Reply:
        """A delivery; `changed` headers go before the right ones, None leaves one out."""
        headers = self.headers(raw, under or new_id())
        headers |= {name.replace("_", "-"): value for name, value in changed.items()}
        given = {name: value for name, value in headers.items() if value is not None}
        return await self.api.as_(None).call("POST", path, content=raw, headers=given)


def new_id() -> str:
    return f"msg_{secrets.token_hex(8)}"


def said(reply: Reply) -> tuple[int, str]:
    """Status, and what it says: the status of the webhook or the code of the error."""
    return reply.status, reply.json.get("status") if reply.status == 200 else reply.json["code"]


async def state_of(api: Api, key: str, purpose: str = "advertising") -> str:
    """What a look-up says of a purpose."""
    return str((await api.lookup(key)).json["consent"][purpose]["state"])


async def person(api: Api) -> str:
    """A linked identifier whose person granted advertising ten minutes ago."""
    a, b = fresh(), fresh("device_id")
    await api.links(link(a, b))
    granted = {"identifier": named(a), "purposes": {"advertising": "granted"}, "regulation": "GDPR", "at": ago(600)}
    assert (await api.post("/v1/consents", granted)).status == 200
    assert await state_of(api, a) == "granted"
    return a


async def recorded(api: Api, key: str) -> int:
    """How many entries of the audit are about an identifier."""
    return len((await api.get("/v1/audit", subject=key)).json["items"])


@pytest.fixture(scope="module")
def secret(instance_settings: Settings) -> str:
    return webhook_secrets(instance_settings)["standard"][0]


@pytest.fixture(scope="module")
def hooks(api: Api, secret: str) -> Hooks:
    return Hooks(api, secret)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of webhooks that can't be read."""

    driver: neo4j.AsyncDriver

    async def of(self, webhook_id: str) -> list[Json]:
        """All that came under an id."""
        found = await self.driver.execute_query(
            "MATCH (u:Unreadable {webhook_id: $id}) RETURN properties(u) AS kept", id=webhook_id
        )
        return [row["kept"] for row in found.records]


@pytest.fixture(scope="module")
async def kept(stores: Stores) -> AsyncIterator[Kept]:
    auth = (stores.neo4j_user, stores.neo4j_password)
    async with neo4j.AsyncGraphDatabase.driver(stores.neo4j_uri, auth=auth, telemetry_disabled=True) as driver:
        yield Kept(driver)


# ---- what it does


async def test_a_withdrawal_is_in_force_when_it_is_answered_and_a_newer_grant_too(api: Api, hooks: Hooks) -> None:
    key = await person(api)
    reply = await hooks.send(body(key, regulation="GDPR"))
    assert (reply.status, reply.json) == (200, {"status": "applied", "enforced": True})
    consent = (await api.lookup(key)).json["consent"]["advertising"]
    assert (consent["state"], consent["source"]) == ("withdrawn", "webhook:standard")
    late = body(key, purposes={"advertising": "granted"}, regulation="GDPR", at=ago(300))
    assert said(await hooks.send(late)) == (200, "applied")
    assert await state_of(api, key) == "withdrawn"  # the newest `at` counts, not what came last
    await hooks.send(body(key, purposes={"advertising": "granted"}, regulation="GDPR"))
    assert await state_of(api, key) == "granted"


async def test_all_identifiers_of_a_webhook_and_those_nobody_has_seen(api: Api, hooks: Hooks) -> None:
    keys = [await person(api), await person(api), fresh()]
    assert said(await hooks.send(body(*keys, kind="consent.revoked", purposes=["advertising"]))) == (200, "applied")
    await api.links(link(keys[2], fresh("device_id")))
    assert [await state_of(api, key) for key in keys] == ["withdrawn"] * 3
    many = [fresh() for _ in range(100)]
    assert said(await hooks.send(body(*many))) == (200, "applied")


async def test_revoked_without_purposes_is_all_of_them(api: Api, hooks: Hooks) -> None:
    key = await person(api)
    assert len((await api.lookup(key)).json["identifiers"]) == 2
    assert said(await hooks.send(body(key, kind="consent.revoked", purposes=None))) == (200, "applied")
    profile = (await api.lookup(key)).json
    assert {consent["state"] for consent in profile["consent"].values()} == {"withdrawn"}
    assert len(profile["identifiers"]) == 1  # linking is a purpose too


# ---- once


async def test_fifty_deliveries_at_once_on_two_instances_have_one_effect(
    api: Api, second: Instance, hooks: Hooks
) -> None:
    key, others = await person(api), replace(hooks, api=second.api)
    before, raw, webhook_id = await recorded(api, key), body(key), new_id()
    replies = await asyncio.gather(*((hooks, others)[i % 2].send(raw, webhook_id) for i in range(50)))
    assert sorted(said(reply) for reply in replies) == [(200, "applied")] + [(200, "duplicate")] * 49
    assert all(reply.json["enforced"] is True for reply in replies)
    assert await recorded(api, key) == before + 1
    assert await state_of(second.api, key) == await state_of(api, key) == "withdrawn"
    # a retry is newly signed, and no news
    await hooks.send(body(key, purposes={"advertising": "granted"}))
    old = hooks.headers(raw, webhook_id, int(time.time()) - 60)
    again = await api.as_(None).call("POST", PATH, content=raw, headers=old)
    assert (said(again), await state_of(api, key)) == ((200, "duplicate"), "granted")


async def test_another_body_under_the_same_id_is_409_and_changes_nothing(
    api: Api, second: Instance, hooks: Hooks, kept: Kept
) -> None:
    a, b, webhook_id = await person(api), await person(api), new_id()
    bodies, others = [body(a), body(b)], replace(hooks, api=second.api)
    replies = await asyncio.gather(*((hooks, others)[i // 2 % 2].send(bodies[i % 2], webhook_id) for i in range(20)))
    by_body = [{reply.status for reply in replies[i::2]} for i in (0, 1)]
    assert sorted(map(sorted, by_body)) == [[200], [409]]
    assert sorted([await state_of(api, a), await state_of(api, b)]) == ["granted", "withdrawn"]
    assert said(await hooks.send(body(fresh()), webhook_id)) == (409, "webhook_id_reused")
    assert said(await hooks.send(b"withdrawn", webhook_id)) == (409, "webhook_id_reused")
    assert await kept.of(webhook_id) == []


# ---- who may


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook_signature": None},
        {"webhook_id": None},
        {"webhook_timestamp": None},
        {"webhook_signature": b"v1,\xff\xfe"},
        {"webhook_signature": "v1  v1"},
        {"webhook_signature": "v1,%%%"},
        {"webhook_timestamp": "nan"},
        {"webhook_timestamp": str(int(time.time()) * 1_000)},
        {"webhook_id": "msg_other"},
    ],
)
async def test_what_is_not_signed_is_401_and_leaves_nothing_behind(
    api: Api, hooks: Hooks, kept: Kept, changed: dict[str, Any]
) -> None:
    key, webhook_id = await person(api), new_id()
    for raw in (body(key), b"\xff\xfe", b""):
        reply = await hooks.send(raw, webhook_id, **changed)
        assert said(reply) == (401, "not_authenticated")
        assert reply.json["detail"] == "The webhook is not signed as it must be."
    assert (await state_of(api, key), await kept.of(webhook_id)) == ("granted", [])
    assert said(await hooks.send(body(key), webhook_id)) == (200, "applied")  # the id was not used up


async def test_no_key_stands_in_for_a_signature(api: Api) -> None:
    assert said(await api.call("POST", PATH, content=body(fresh()))) == (401, "not_authenticated")


@pytest.mark.parametrize("seconds", [-301, -299, 299, 302])
async def test_a_delivery_is_fresh_for_five_minutes(api: Api, hooks: Hooks, seconds: int) -> None:
    raw = body(fresh())
    headers = hooks.headers(raw, new_id(), int(time.time()) + seconds)
    reply = await api.as_(None).call("POST", PATH, content=raw, headers=headers)
    assert reply.status == (200 if abs(seconds) < 300 else 401)


@pytest.mark.parametrize("provider", ["no-such", "STANDARD", "standard%00", "a" * 300, "onetrust"])
async def test_an_unknown_provider_is_404(hooks: Hooks, provider: str) -> None:
    reply = await hooks.send(body(fresh()), path=f"/v1/webhooks/consent/{provider}")
    assert said(reply) == (404, "unknown_provider")


async def test_while_secrets_are_exchanged_both_count_and_then_only_the_new_one(
    instance_settings: Settings, stores: Stores, secret: str
) -> None:
    for accepted, statuses in (([NEW, secret], [200, 200]), ([NEW], [200, 401])):
        given = instance_settings.model_copy(update={"webhook_secrets": {"standard": accepted}})
        async with opened(given, stores) as made:
            assert [(await Hooks(made.api, s).send(body(fresh()))).status for s in (NEW, secret)] == statuses
    given = instance_settings.model_copy(update={"webhook_secrets": {"onetrust": [NEW]}})
    async with opened(given, stores) as made:
        assert said(await Hooks(made.api, NEW).send(body(fresh()))) == (404, "unknown_provider")


# ---- what can't be read


async def test_well_signed_and_unreadable_is_422_and_kept_once(
    api: Api, second: Instance, hooks: Hooks, kept: Kept
) -> None:
    key, webhook_id = await person(api), new_id()
    bad = body(key, f"email_sha256:{webhook_id}@example.com")
    others = replace(hooks, api=second.api)
    replies = await asyncio.gather(*((hooks, others)[i % 2].send(bad, webhook_id) for i in range(10)))
    assert {said(reply) for reply in replies} == {(422, "unreadable_webhook")}
    assert replies[0].pointers == ["/data/identifiers/1/value"]
    assert webhook_id not in replies[0].body.decode()
    [found] = await kept.of(webhook_id)
    assert (found["provider"], found["code"], bytes(found["body"])) == ("standard", "unreadable_webhook", bad)
    assert abs(found["received_at"] / 1_000 - time.time()) < 60 and found["bytes"] == len(bad)
    assert found["why"] == ["/data/identifiers/1/value is not a SHA-256 digest in hexadecimal"]
    assert hashlib.sha256(bad).hexdigest() not in found["digest"]  # keyed
    assert await state_of(api, key) == "granted"  # nothing by half
    assert said(await hooks.send(body(key), webhook_id)) == (200, "applied")


UNREADABLE = [
    b"",
    b"withdrawn",
    b"[]",
    b"null",
    b'{"type": "\xff"}',
    b'{"type": "consent.updated", "type": 1}',
    b"[" * 100_000,
]
UNREADABLE += [body("crm_id:later", at=ago(-86_400)), body("crm_id:n", purposes={"no_such": "withdrawn"})]
UNREADABLE += [body("crm_id:\ud800"), body("crm_id:n").replace(b"crm_id", b"\xff")]


@pytest.mark.parametrize("raw", UNREADABLE)
async def test_whatever_is_signed_and_is_no_webhook_is_422(hooks: Hooks, kept: Kept, raw: bytes) -> None:
    webhook_id = new_id()
    assert said(await hooks.send(raw, webhook_id)) == (422, "unreadable_webhook")
    [found] = await kept.of(webhook_id)
    assert bytes(found["body"]) == raw[:32_768] and found["bytes"] == len(raw) and found["why"]


async def test_erasure_is_in_force_when_it_is_answered_and_sent_again_it_is_a_duplicate(api: Api, hooks: Hooks) -> None:
    key, webhook_id = await person(api), new_id()
    raw = body(key, kind="person.erased", purposes=None)
    assert said(await hooks.send(raw, webhook_id)) == (200, "applied")
    assert (await api.lookup(key)).status == 404
    assert said(await hooks.send(raw, webhook_id)) == (200, "duplicate")


async def test_a_body_over_a_mebibyte_is_413(hooks: Hooks) -> None:
    assert said(await hooks.send(b" " * (1 << 20) + b"1")) == (413, "body_too_large")


async def test_the_media_type_does_not_matter_since_the_bytes_are_signed(hooks: Hooks) -> None:
    for media_type in ("text/plain", "application/json; charset=latin-1"):
        assert said(await hooks.send(body(fresh()), content_type=media_type)) == (200, "applied")


# ---- what is told of it


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All logs of the service, as they would be written, at the most talkative level."""
    root = logging.getLogger()
    handlers, level, stream = list(root.handlers), root.level, io.StringIO()
    configure_logs("DEBUG", stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


async def test_logs_and_answers_name_nobody_and_metrics_count(hooks: Hooks, logged: io.StringIO) -> None:
    def count(result: str) -> float:
        return (
            METRICS.registry.get_sample_value("fabric_webhooks_total", {"provider": "standard", "result": result}) or 0
        )

    results = ["applied", "duplicate", "not_authenticated", "webhook_id_reused", "unreadable_webhook"]
    before = [count(result) for result in results]
    mark, webhook_id = f"Zq{secrets.token_hex(6)}", new_id()
    raw = body(f"crm_id:{mark}")
    replies = [await hooks.send(raw, webhook_id), await hooks.send(raw, webhook_id)]
    replies.append(await hooks.send(raw, webhook_id, webhook_signature="v1,x"))
    replies.append(await hooks.send(body(f"crm_id:{mark}", regulation="CCPA"), webhook_id))
    replies.append(await hooks.send(body(f"{mark}:{mark}", regulation=mark, purposes={"advertising": mark})))
    assert [reply.status for reply in replies] == [200, 200, 401, 409, 422]
    assert [count(result) for result in results] == [value + 1 for value in before]
    lines = logged.getvalue()
    assert lines.count('"route":"/v1/webhooks/consent/{provider}"') == 5 and '"caller":"webhook:standard"' in lines
    for text in (mark, webhook_id, hashlib.sha256(raw).hexdigest()):
        assert text.casefold() not in lines.casefold()
        assert all(text not in reply.body.decode() for reply in replies)


async def test_the_example_of_the_page_works_as_it_stands(
    instance: Instance, api: Api, secret: str, tmp_path: Path
) -> None:
    if shutil.which("openssl") is None or shutil.which("curl") is None:
        pytest.skip("needs openssl and curl")
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    found = re.search(r"```sh\n(.*?)```", page, re.DOTALL)
    assert found is not None
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "webhook-secrets.json").write_text(json.dumps({"standard": [secret]}))
    async with served(instance.assembled) as port:
        script = found[1].replace("127.0.0.1:8080", f"127.0.0.1:{port}")
        ran = await asyncio.to_thread(
            subprocess.run, ["bash", "-euc", script], cwd=tmp_path, capture_output=True, timeout=60, check=True
        )
    assert json.loads(ran.stdout) == {"status": "applied", "enforced": True}


# ---- stores away


async def test_without_redis_it_is_503_until_it_is_in_force(
    instance_settings: Settings, stores: Stores, secret: str, tmp_path: Path
) -> None:
    server = PrivateRedis(tmp_path)
    server.start()
    try:
        async with opened(instance_settings, replace(stores, redis_url=server.url)) as made:
            hooks, key, webhook_id = Hooks(made.api, secret), await person(made.api), new_id()
            raw = body(key)
            server.kill()
            for _ in range(2):
                reply = await hooks.send(raw, webhook_id)
                assert said(reply) == (503, "not_yet_enforced") and int(reply.headers["retry-after"]) > 0
                assert "same id" in reply.json["detail"]
            assert await state_of(made.api, key) == "withdrawn"
            server.start()
            for _ in range(500):
                if made.assembled.cache.is_up:
                    break
                await asyncio.sleep(0.02)
            assert said(await hooks.send(raw, webhook_id)) == (200, "duplicate")
    finally:
        server.kill()

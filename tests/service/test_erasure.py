"""Erasure: at the answer nobody finds the person by any route or in any store, and nothing brings them back."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from typing import Any

import neo4j
import pytest

from service.local.journal import FILE
from service.local.secrets import webhook_secrets
from service.model.times import rfc3339
from service.settings import Settings
from tests.service.instances import Api, Instance, Json, Reply, fresh, link, named, refused
from tests.service.test_webhooks import Hooks, body
from tests.service.watch import Shelf


def at(seconds: float = 0) -> str:
    return rfc3339(time.time_ns() // 1_000_000 + int(seconds * 1_000))


def value_of(key: str) -> str:
    return key.partition(":")[2]


async def consent(api: Api, key: str, state: str = "granted", when: str | None = None, **more: Any) -> Reply:
    asked = {"identifier": named(key), "purposes": {"advertising": state}, "regulation": "GDPR", "source": "cmp"}
    return await api.post("/v1/consents", asked | {"at": when or at()} | more)


async def erase(api: Api, key: str, **more: Any) -> Json:
    asked = {"identifier": named(key), "scope": "erase", "source": "cmp", "reason": f"{value_of(key)} asked for it"}
    reply = await api.post("/v1/revocations", asked | more)
    assert reply.status == 200 and reply.json["enforced"] is True, reply
    found: Json = reply.json
    return found


async def decide(api: Api, key: str, destination: str = "meta_ads", **headers: str) -> Reply:
    return await api.post("/v1/decisions", {"identifier": named(key), "destination": destination}, **headers)


async def everything(shelf: Shelf) -> str:
    """All that both stores hold, as one text."""
    whole = neo4j.Query(  # of a graph that other tests have filled: longer than the server gives anybody by itself
        "MATCH (n) RETURN properties(n) AS p UNION ALL MATCH ()-[r]->() RETURN properties(r) AS p", timeout=120
    )
    found = await shelf.driver.execute_query(whole)
    texts = [
        str({k: bytes(v) if isinstance(v, bytearray) else v for k, v in row["p"].items()}) for row in found.records
    ]
    async for key in shelf.cache.scan_iter(count=1_000):
        texts.append(str(key))
        if await shelf.cache.type(key) == b"hash":
            texts.append(str(await shelf.cache.hgetall(key)))
    return "\n".join(texts)


@pytest.fixture
def hooks(api: Api, instance_settings: Settings) -> Hooks:
    return Hooks(api, webhook_secrets(instance_settings)["standard"][0])


async def test_at_the_answer_no_route_and_no_store_names_the_person(
    api: Api, second: Instance, shelf: Shelf, instance_settings: Settings
) -> None:
    gone, crm, device, other = fresh("email_sha256"), fresh(), fresh("device_id"), fresh("login_id")
    value = value_of(gone)
    sent = link(crm, gone, observed_at=at(-60))
    [first, *_] = await api.links(sent, link(gone, device, observed_at=at(-60)), link(other, fresh("device_id")))
    await api.links(link(gone, fresh("crm_id"), method="probabilistic", confidence=0.7))  # waits for a steward
    await consent(api, gone, when=at(-50))
    await consent(api, gone, "withdrawn", when=at(-49), regulation="CCPA")
    await api.post("/v1/revocations", {"identifier": named(gone), "scope": "purposes", "purposes": ["analytics"]})
    await consent(api, gone, when=at(-40), regulation="CCPA")
    told = (await decide(api, gone, idempotency_key=(once := secrets.token_hex(8)))).json
    assert value in json.dumps(told)
    profile = await api.profile_id(gone)
    join = {"profiles": [profile, await api.profile_id(other)], "reason": f"{value} signed both"}
    merged = await api.post("/v1/profiles/merge", join, idempotency_key=once + "m")
    split = await api.post(f"/v1/profiles/{profile}/split", {"identifiers": [named(device)], "reason": "r"})
    assert merged.status == split.status == 200 and value in merged.body.decode()
    for caller in (api, second.api):
        assert (await caller.lookup(gone)).status == (await caller.lookup(crm)).status == 200
    assert value in await everything(shelf)

    erased = await erase(api, gone)
    assert value not in await everything(shelf)
    assert value not in (instance_settings.data_dir / FILE).read_text()
    for caller in (api, second.api):
        refused(await caller.lookup(gone), 404, "unknown_identifier")
        refused(await caller.get(f"/v1/decisions/{told['decision_id']}"), 410, "erased")
        refused(await decide(caller, gone, idempotency_key=once), 410, "erased")
        refused(await caller.post("/v1/profiles/merge", join, idempotency_key=once + "m"), 410, "erased")
        assert (await decide(caller, gone)).json["reasons"] == ["erased"]
        n_v = named(gone)
        for path, asked in {
            f"/v1/links/{first['link_id']}": {},
            f"/v1/profiles/{profile}": {},
            f"/v1/profiles/{profile}/history": {},
            f"/v1/profiles/{profile}/graph": {},
            f"/v1/profiles/{await caller.profile_id(other)}/history": {},
            f"/v1/revocations/{erased['revocation_id']}": {},
            "/v1/assertions": {"identifier": gone},
            "/v1/explain": {"a": gone, "b": crm},
            "/v1/reviews": {"status": "open", "limit": 500},
            "/v1/changes": {"after": 0, "limit": 1000},
            "/v1/consents": n_v,
            "/v1/audit": {"subject": gone},
            "/v1/profiles": {**named(crm), "as_of": at(-0.5)},
        }.items():
            reply = await caller.get(path, **asked)
            assert reply.status < 500 and value not in reply.body.decode(), (path, reply)
        several = await caller.post("/v1/profiles/lookup", {"identifiers": [named(gone), named(crm)]})
        assert value not in json.dumps(several.json["results"][1])
    assert (await api.get("/v1/audit/verify")).json["ok"] is True


async def test_the_audit_still_answers_who_did_what_of_the_person(api: Api) -> None:
    key = fresh("email_sha256")
    await api.links(link(key, fresh("device_id")))
    await consent(api, key)
    await decide(api, key)
    erased = await erase(api, key)
    found = (await api.get("/v1/audit", subject=key)).json["items"]
    assert [entry["action"] for entry in found] == ["consent.revoked.erase", "decision", "consent.recorded"]
    assert value_of(key) not in json.dumps(found)
    path = f"/v1/revocations/{erased['revocation_id']}"
    told = (await api.get(path)).json
    assert told["physical"]["cache"]["state"] == "done"
    async with asyncio.timeout(15):
        while told["physical"]["record"]["state"] != "done":
            await asyncio.sleep(0.1)
            told = (await api.get(path)).json
    assert told["physical"]["graph"]["state"] == "pending" and told["scope"] == "erase"


async def test_late_evidence_does_not_bring_the_person_back_and_fresh_consent_begins_a_new_one(api: Api) -> None:
    key, device = fresh("email_sha256"), fresh("device_id")
    sent = link(key, device, observed_at=at(-60))
    await api.links(sent)
    former = await api.profile_id(key)
    await erase(api, key)
    for again in (sent, link(key, device, observed_at=at(), rule="late")):
        [alone] = (await api.post("/v1/links", again)).results
        assert (alone["status"], alone["link_id"]) == ("rejected", None)
    [alone, fine] = await api.links(sent, link(fresh(), fresh("device_id")))
    assert (alone["status"], fine["status"]) == ("rejected", "linked")
    assert value_of(key) not in json.dumps(alone)
    assert (await consent(api, key, when=at(-30))).status == 200
    assert (await api.get("/v1/consents", **named(key))).json["items"] == []
    refused(await api.lookup(key), 404)

    assert (await consent(api, key, when=at(1))).status == 200
    refused(await api.lookup(key), 404)  # consent alone makes nobody known
    assert (await decide(api, key)).json["reasons"] == ["unknown_identifier"]
    assert (await api.post("/v1/links", sent)).results[0]["status"] == "rejected"
    newer = fresh("device_id")
    await api.links(link(key, newer, observed_at=at(2)))
    found = await api.lookup(key)
    assert found.names == sorted([key, newer]) and found.json["profile_id"] != former
    refused(await api.get(f"/v1/profiles/{former}"), 404)
    assert (await decide(api, key)).json["outcome"] == "allow"


async def test_what_was_refused_after_the_erasure_counts_when_a_new_person_begins(api: Api) -> None:
    key = fresh("email_sha256")
    await erase(api, key)
    await consent(api, key, "denied", when=at(4))
    await consent(api, key, when=at(2), purposes={"advertising": "granted", "email_marketing": "granted"})
    kept = {item["purpose"]: item["state"] for item in (await api.get("/v1/consents", **named(key))).json["items"]}
    assert kept == {"advertising": "denied", "email_marketing": "granted"}


async def test_a_household_is_erased_like_a_person(api: Api, shelf: Shelf) -> None:
    home, crm = fresh("household_id"), fresh()
    await api.links(link(crm, home), link(crm, fresh("device_id")))
    assert (await api.lookup(crm)).json["households"] == [named(home)]
    await erase(api, home)
    assert (await api.lookup(crm)).json["households"] == []
    assert value_of(home) not in await everything(shelf)


async def test_the_id_that_a_merge_handed_on_goes_with_the_one_it_went_to(api: Api, shelf: Shelf) -> None:
    a, b = fresh(), fresh()
    await api.links(link(a, fresh("device_id")), link(b, fresh("device_id")))
    ids = [await api.profile_id(a), await api.profile_id(b)]
    merged = await api.post("/v1/profiles/merge", {"profiles": ids, "survivor": ids[1], "reason": "r"})
    gone = a if await api.profile_id(a) == ids[1] and a < b else b
    await erase(api, a)
    await erase(api, b)
    for profile in ids:
        refused(await api.get(f"/v1/profiles/{profile}"), 404)
        refused(await api.post("/v1/profiles/merge", {"profiles": ids, "reason": "r"}), 404)
    undone = await api.post(f"/v1/assertions/{merged.json['assertion_id']}/undo", {"reason": "r"})
    assert undone.status == 200 and value_of(gone) not in undone.body.decode()
    text = await everything(shelf)
    assert value_of(a) not in text and value_of(b) not in text


async def test_an_unreadable_webhook_that_names_the_person_is_blanked(api: Api, hooks: Hooks, shelf: Shelf) -> None:
    plain = f"someone-{secrets.token_hex(4)}@example.com"
    key = f"email_sha256:{hashlib.sha256(plain.encode()).hexdigest()}"
    raw = body(key, purposes={"no_such": "denied"})
    other = json.dumps({"type": "consent.updated", "data": {"identifiers": plain}}).encode()
    for sent in (raw, other):
        assert (await hooks.send(sent)).status == 422
    assert plain in await everything(shelf)
    await erase(api, key)
    text = await everything(shelf)
    assert plain not in text and value_of(key) not in text


async def test_many_of_one_profile_are_erased_in_one_webhook(api: Api, hooks: Hooks) -> None:
    crm, device, mail = fresh(), fresh("device_id"), fresh("email_sha256")
    await api.links(link(crm, device), link(crm, mail))
    profile = await api.profile_id(crm)
    start = (await api.get("/v1/changes", after=0, limit=1000)).json["next"]
    while (page := (await api.get("/v1/changes", after=start, limit=1000)).json)["items"]:
        start = page["next"]
    assert (await hooks.send(body(crm, mail, kind="person.erased", purposes=None))).status == 200
    assert (await api.lookup(device)).names == [device]
    told = (await api.get("/v1/changes", after=start, limit=1000)).json["items"]
    assert [item["profile_id"] for item in told if item["type"] == "person.erased"] == [profile]
    assert value_of(mail) not in json.dumps(told) and value_of(crm) not in json.dumps(told)


# ---- OpenDSR


def request(kind: str, *identities: tuple[str, str, str]) -> Json:
    return {
        "regulation": "gdpr",
        "subject_request_id": secrets.token_hex(16),
        "subject_request_type": kind,
        "submitted_time": at(-5),
        "subject_identities": [
            {"identity_type": t, "identity_value": v, "identity_format": f} for t, v, f in identities
        ],
        "status_callback_urls": ["https://example.com/opendsr"],
        "api_version": "2.0",
    }


async def test_opendsr_erases(api: Api, shelf: Shelf) -> None:
    mail, crm = fresh("email_sha256"), fresh()
    await api.links(link(mail, crm))
    asked = request("erasure", ("email", value_of(mail), "sha256"))
    for _ in range(2):
        taken = await api.post("/v1/opendsr/requests", asked)
        assert taken.status == 201 and taken.json["subject_request_id"] == asked["subject_request_id"]
    assert value_of(mail) not in await everything(shelf)
    refused(await api.lookup(mail), 404)
    assert (await api.lookup(crm)).status == 200
    found = (await api.get(f"/v1/opendsr/requests/{asked['subject_request_id']}")).json
    assert (found["request_status"], found["results_url"]) == ("completed", None)
    refused(await api.get(f"/v1/opendsr/requests/{asked['subject_request_id']}/results"), 404)
    refused(await api.post("/v1/opendsr/requests", asked | {"regulation": "ccpa"}), 409, "subject_request_id_reused")


async def test_opendsr_gives_access_and_nothing_of_somebody_erased_since(api: Api) -> None:
    plain, crm = f"someone-{secrets.token_hex(4)}@example.com", fresh()
    await api.post(
        "/v1/links", link(crm, fresh("device_id")) | {"b": {**named(f"email_sha256:{plain}"), "plain": True}}
    )
    await consent(api, crm)
    asked = request("access", ("email", plain, "raw"), ("controller_customer_id", value_of(crm), "raw"))
    assert (await api.post("/v1/opendsr/requests", asked)).status == 201
    status = (await api.get(f"/v1/opendsr/requests/{asked['subject_request_id']}")).json
    told = (await api.get(status["results_url"])).json["data"]
    assert sorted(entry["identifier"]["namespace"] for entry in told) == ["crm_id", "email_sha256"]
    [mine] = [entry for entry in told if entry["identifier"] == named(crm)]
    assert [record["state"] for record in mine["consents"]] == ["granted"] and len(mine["links"]) == 1
    audited = (await api.get("/v1/audit", subject=crm, action="subject.disclosed")).json["items"]
    assert [entry["outcome"] for entry in audited] == ["access"]
    await erase(api, crm)
    told = (await api.get(status["results_url"])).json["data"]
    assert [entry["identifier"]["namespace"] for entry in told] == ["email_sha256"]
    assert value_of(crm) not in json.dumps(told)


@pytest.mark.parametrize(
    ("identity", "place"),
    [
        (("no_such", "x", "raw"), "identity_type"),
        (("email", "x", "md5"), "identity_format"),
        (("crm_id", "x-1", "sha256"), "identity_format"),
        (("email", "not a digest", "sha256"), "identity_value"),
    ],
)
async def test_opendsr_refuses_what_it_can_not_tell(api: Api, identity: tuple[str, str, str], place: str) -> None:
    reply = await api.post("/v1/opendsr/requests", request("erasure", identity))
    refused(reply, 422, "invalid")
    assert reply.pointers == [f"/subject_identities/0/{place}"]

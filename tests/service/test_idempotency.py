"""Idempotency-Key: the same request happens once, on whichever instance and however often it is sent."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from tests.service.instances import Api, Instance, Json, fresh, link, named, refused


def token() -> str:
    """A key nobody has used."""
    return secrets.token_urlsafe(12)


async def test_the_same_key_and_body_give_the_stored_answer_on_any_instance(api: Api, second: Instance) -> None:
    body, key = link(fresh(), fresh("device_id")), token()
    first = await api.post("/v1/links", body, idempotency_key=key)
    again = [await who.post("/v1/links", body, idempotency_key=key) for who in (api, second.api)]
    assert "idempotency-replayed" not in first.headers
    assert [reply.headers["idempotency-replayed"] for reply in again] == ["true", "true"]
    assert {reply.body for reply in again} == {first.body} and first.results[0]["status"] == "linked"


async def test_a_merge_a_split_an_undo_and_a_revocation_happen_once(api: Api, second: Instance) -> None:
    a, b, c, d = fresh(), fresh("device_id"), fresh(), fresh("device_id")
    await api.links(link(a, b), link(c, d))
    profiles = [await api.profile_id(a), await api.profile_id(c)]

    async def twice(path: str, body: Json) -> Json:
        key = token()
        first, again = [await who.post(path, body, idempotency_key=key) for who in (api, second.api)]
        assert first.status == again.status == 200 and first.body == again.body, (first, again)
        assert again.headers["idempotency-replayed"] == "true" and "idempotency-replayed" not in first.headers
        found: Json = first.json
        return found

    merged = await twice("/v1/profiles/merge", {"profiles": profiles, "reason": "r"})
    [after] = merged["after"]
    split = await twice(f"/v1/profiles/{after['profile_id']}/split", {"identifiers": [named(d)], "reason": "r"})
    undone = await twice(f"/v1/assertions/{split['assertion_id']}/undo", {"reason": "r"})
    assert undone["applied"] is True
    assert (await api.lookup(d)).names == sorted([a, b, c, d])
    revoked = await twice("/v1/revocations", {"identifier": named(d), "scope": "linking"})
    assert (await api.lookup(d)).names == [d]
    assert (await api.get(f"/v1/revocations/{revoked['revocation_id']}")).json["scope"] == "linking"


async def test_the_same_key_with_another_body_is_refused_and_changes_nothing(api: Api, second: Instance) -> None:
    body, other, key = link(fresh(), fresh("device_id")), link(fresh(), fresh("device_id")), token()
    await api.post("/v1/links", body, idempotency_key=key)
    for who in (api, second.api):
        refused(await who.post("/v1/links", other, idempotency_key=key), 422, "idempotency_key_reused")
    refused(await api.lookup(f"crm_id:{other['a']['value']}"), 404)


async def test_a_key_belongs_to_its_caller_and_path(api: Api) -> None:
    key, a, b = token(), fresh(), fresh("device_id")
    first = await api.role("collector").post("/v1/links", link(a, b), idempotency_key=key)
    other = await api.post("/v1/links", link(a, b, rule="another"), idempotency_key=key)
    assert first.results[0]["status"] == other.results[0]["status"] == "linked"
    revoked = await api.post("/v1/revocations", {"identifier": named(a), "scope": "linking"}, idempotency_key=key)
    assert revoked.status == 200 and "idempotency-replayed" not in revoked.headers


async def test_an_error_uses_no_key_up(api: Api) -> None:
    key, a, b = token(), fresh(), fresh("device_id")
    refused(await api.post("/v1/links", link(a, "device_id:null"), idempotency_key=key), 422)
    reply = await api.post("/v1/links", link(a, b), idempotency_key=key)
    assert reply.results[0]["status"] == "linked" and "idempotency-replayed" not in reply.headers
    profile, other = await api.profile_id(a), (await api.links(link(fresh(), fresh("device_id"))))[0]["profile_id"]
    key, body = token(), {"profiles": [profile, "prf_none"], "reason": "r"}
    refused(await api.post("/v1/profiles/merge", body, idempotency_key=key), 404)
    reply = await api.post("/v1/profiles/merge", {**body, "profiles": [profile, other]}, idempotency_key=key)
    assert reply.status == 200 and reply.json["applied"] is True


async def test_a_preview_uses_no_key_up_and_changes_nothing(api: Api) -> None:
    a, c, key = fresh(), fresh(), token()
    found = await api.links(link(a, fresh("device_id")), link(c, fresh("device_id")))
    body = {"profiles": [item["profile_id"] for item in found], "reason": "r", "preview": True}
    foreseen = await api.post("/v1/profiles/merge", body, idempotency_key=key)
    assert foreseen.json["applied"] is False and foreseen.json["assertion_id"] is None
    assert await api.profile_id(a) != await api.profile_id(c)
    done = await api.post("/v1/profiles/merge", {**body, "preview": False}, idempotency_key=key)
    assert done.json["applied"] is True and done.json["after"] == foreseen.json["after"]


@pytest.mark.parametrize("what", ["a merge", "links"])
async def test_one_key_many_times_at_once_over_two_instances_happens_once(
    api: Api, second: Instance, what: str
) -> None:
    key = token()
    if what == "a merge":
        found = await api.links(*(link(fresh(), fresh("device_id")) for _ in range(2)))
        path = "/v1/profiles/merge"
        body: Json = {"profiles": [item["profile_id"] for item in found], "reason": "r"}
    else:
        customer, path = fresh(), "/v1/links"
        body = {"links": [link(customer, fresh("device_id")) for _ in range(200)]}
    callers = [api, second.api] * 6
    replies = await asyncio.gather(*(who.post(path, body, idempotency_key=key) for who in callers))
    answered = [reply for reply in replies if reply.status == 200]
    assert answered and all(reply.status in (200, 409) for reply in replies)
    assert len({reply.body for reply in answered}) == 1
    assert sum(reply.headers.get("idempotency-replayed") != "true" for reply in answered) == 1
    later = await second.api.post(path, body, idempotency_key=key)
    assert later.body == answered[0].body and later.headers["idempotency-replayed"] == "true"


async def test_one_key_with_two_bodies_at_once_answers_one_of_them(api: Api, second: Instance) -> None:
    key, bodies = token(), [link(fresh(), fresh("device_id")) for _ in range(2)]
    sends = [who.post("/v1/links", body, idempotency_key=key) for who in (api, second.api) for body in bodies]
    replies = await asyncio.gather(*sends)
    assert sorted(reply.status for reply in replies) == [200, 200, 422, 422]
    known = [(await api.lookup(f"crm_id:{body['a']['value']}")).status for body in bodies]
    assert sorted(known) == [200, 404]


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"caf\xc3\xa9", b"a\x00b", b"a\tb"])
async def test_an_unfit_key_is_400(api: Api, key: bytes) -> None:
    headers = {b"idempotency-key": key}
    reply = await api.call("POST", "/v1/links", json=link(fresh(), fresh("device_id")), headers=headers)
    refused(reply, 400, "malformed")

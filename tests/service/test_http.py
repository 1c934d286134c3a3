"""The manners of the API: who may, how errors look, what may be sent how often, and that `/openapi.json` is true.

Every answer of every call here is held against the document, see `documented`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.conftest import BODY_BYTES_MAX
from tests.service.delivery_tour import tour_of_deliveries
from tests.service.instances import ROLES, Api, Instance, Json, Reply, fresh, link, named, refused

LOOKS_UP = {"activation", "steward"}
MAY = {
    ("GET", "/v1/profiles"): LOOKS_UP,
    ("GET", "/v1/profiles/{profile_id}"): LOOKS_UP,
    ("POST", "/v1/profiles/lookup"): LOOKS_UP,
    ("GET", "/v1/households/{namespace}/{value}"): {"steward"},
    ("POST", "/v1/links"): {"collector"},
    ("GET", "/v1/links/{link_id}"): {"collector", "steward"},
    ("DELETE", "/v1/links/{link_id}"): {"collector", "steward"},
    ("POST", "/v1/profiles/merge"): {"steward"},
    ("POST", "/v1/profiles/{profile_id}/split"): {"steward"},
    ("POST", "/v1/assertions/{assertion_id}/undo"): {"steward"},
    ("GET", "/v1/assertions"): {"steward"},
    ("GET", "/v1/profiles/{profile_id}/history"): {"steward"},
    ("GET", "/v1/profiles/{profile_id}/graph"): {"steward"},
    ("GET", "/v1/explain"): {"steward"},
    ("GET", "/v1/reviews"): {"steward"},
    ("POST", "/v1/reviews/{review_id}"): {"steward"},
    ("GET", "/v1/changes"): {"activation", "steward"},
    ("POST", "/v1/revocations"): {"privacy"},
    ("GET", "/v1/revocations/{revocation_id}"): {"privacy"},
    ("GET", "/v1/consents"): {"privacy"},
    ("POST", "/v1/consents"): {"privacy"},
    ("POST", "/v1/decisions"): {"activation"},
    ("GET", "/v1/decisions/{decision_id}"): {"activation", "privacy"},
    ("POST", "/v1/traits"): {"collector"},
    ("POST", "/v1/records"): {"collector"},
    ("GET", "/v1/records"): {"collector"},
    ("DELETE", "/v1/records"): {"collector"},
    ("POST", "/v1/matching/score"): {"steward"},
    ("POST", "/v1/matching/search"): {"steward"},
    ("POST", "/v1/matching/models"): set(),
    ("GET", "/v1/matching/models"): set(),
    ("GET", "/v1/matching/models/{name}/{version}"): set(),
    ("POST", "/v1/events"): {"collector"},
    ("GET", "/v1/quality"): {"collector", "steward"},
    ("POST", "/v1/replays"): set(),
    ("GET", "/v1/replays"): set(),
    ("GET", "/v1/replays/{replay_id}"): set(),
    ("POST", "/v1/replays/{replay_id}/pause"): set(),
    ("POST", "/v1/replays/{replay_id}/resume"): set(),
    ("POST", "/v1/replays/{replay_id}/cancel"): set(),
    ("GET", "/v1/events/{source}/{event_id}/lineage"): {"steward", "privacy"},
    ("GET", "/v1/lineage"): {"steward", "privacy"},
    ("GET", "/v1/senders"): {"collector", "steward"},
    ("GET", "/v1/quarantine"): {"collector", "steward"},
    ("POST", "/v1/quarantine/{quarantine_id}/resubmit"): {"collector"},
    ("GET", "/v1/schemas"): {"collector", "steward", "privacy"},
    ("GET", "/v1/schemas/{type}/{version}"): {"collector", "steward", "privacy"},
    ("POST", "/v1/schemas"): set(),
    ("GET", "/v1/audiences/{name}/members"): {"activation"},
    ("GET", "/v1/policies"): set(),
    ("GET", "/v1/policies/active"): set(),
    ("GET", "/v1/policies/schema"): set(),
    ("GET", "/v1/policies/{version}"): set(),
    ("POST", "/v1/policies"): set(),
    ("POST", "/v1/policies/rollback"): set(),
    ("POST", "/v1/policies/{version}/activate"): set(),
    ("POST", "/v1/policies/{version}/simulate"): set(),
    ("GET", "/v1/opendsr/discovery"): {"privacy"},
    ("POST", "/v1/opendsr/requests"): {"privacy"},
    ("GET", "/v1/opendsr/requests/{request_id}"): {"privacy"},
    ("GET", "/v1/opendsr/requests/{request_id}/results"): {"privacy"},
    ("GET", "/v1/deliveries"): {"privacy"},
    ("GET", "/v1/deliveries/{delivery_id}"): {"privacy"},
    ("POST", "/v1/deliveries/{delivery_id}/retry"): set(),
    ("POST", "/v1/deliveries/preview"): set(),
    ("GET", "/v1/destinations"): set(),
    ("POST", "/v1/destinations/{name}/pause"): set(),
    ("POST", "/v1/destinations/{name}/resume"): set(),
    ("POST", "/v1/legacy/{destination}"): {"collector"},
    ("GET", "/v1/reconciliation/{destination}"): set(),
    ("POST", "/v1/reconciliation/{destination}/explanations"): set(),
    ("GET", "/v1/cutovers/{destination}"): set(),
    ("POST", "/v1/cutovers/{destination}"): set(),
    ("POST", "/v1/cutovers/{destination}/rollback"): set(),
    ("GET", "/v1/proof"): set(),
    ("GET", "/v1/audit"): {"privacy"},
    ("GET", "/v1/audit/verify"): {"privacy"},
}
OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics")}
SIGNED = {("POST", "/v1/webhooks/consent/{provider}")}  # no key; see test_webhooks


NAMED = ("/v1/profiles/", "/v1/policies/")  # paths under which `{…}` of another one takes what is not its own


async def ask(api: Api, method: str, template: str) -> Reply:
    """A call of a documented path with names that lead nowhere, and an empty object as body where one is read."""
    path = re.sub(r"\{(\w+)\}", lambda found: f"{found[1][:3]}_none", template)
    return await api.call(method, path, **({"json": {}} if method == "POST" else {}))


# ---- who may


async def test_every_documented_path_is_open_to_its_roles_and_to_nobody_else(api: Api) -> None:
    operations = {(method, path) for method, path, _ in api.document.operations()}
    assert operations - OPEN - SIGNED <= set(MAY), "a path that this test does not know: add who may call it"
    for method, path in sorted(operations - OPEN - SIGNED):
        refused(await ask(api.as_(None), method, path), 401, "not_authenticated")
        refused(await ask(api.as_("not-a-key"), method, path), 401, "not_authenticated")
        for role in ROLES:
            if (path, role) == ("/v1/policies/rollback", "admin"):
                continue  # it would be done
            reply = await ask(api.role(role), method, path)
            if role in MAY[method, path] | {"admin"}:
                assert reply.status not in (401, 403) and reply.status < 500, (role, method, path, reply)
            else:
                refused(reply, 403, "not_allowed")


async def test_every_path_takes_its_own_methods_only(api: Api) -> None:
    paths: dict[str, set[str]] = {}
    for method, path, _ in api.document.operations():
        paths.setdefault(path, set()).add(method)
    for path, taken in paths.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"} - taken:
            reply = await ask(api, method, path)
            # what `{…}` of another path takes is that one's: GET /v1/profiles/lookup asks for a profile of that name
            assert reply.status == 405 or (path.count("{") == 0 and reply.status == 404), (method, path, reply)
            if reply.status == 405:
                assert method == "HEAD" or refused(reply, 405, "method_not_allowed")
                assert set(reply.headers["allow"].split(", ")) <= taken or path.startswith(NAMED)


async def test_a_text_in_a_query_is_read_as_strictly_as_one_in_a_body(api: Api) -> None:
    for reason in ("x" * 513, "a\x00b", "a\x1bb"):
        reply = await api.call("DELETE", "/v1/links/lnk_none", params={"reason": reason})
        refused(reply, 422, "invalid")
        assert reply.pointers == ["/reason"]


async def test_every_documented_error_is_a_problem(api: Api) -> None:
    for method, path, operation in api.document.operations():
        for status, answer in operation["responses"].items():
            if int(status) >= 400 and path != "/readyz":
                assert list(answer["content"]) == ["application/problem+json"], (method, path, status)


async def test_what_is_open_needs_no_key(api: Api) -> None:
    for method, path in OPEN:
        assert (await ask(api.as_(None), method, path)).status == 200
    for path in ("/openapi.json", "/docs"):
        assert (await api.as_(None).call("GET", path)).status == 200


async def test_a_key_of_two_roles_may_what_either_may(api: Api) -> None:
    both = api.as_("key-of-two")
    assert (await both.links(link(fresh(), fresh("device_id"))))[0]["status"] == "linked"
    refused(await both.lookup(fresh()), 400, "purpose_required")
    refused(await ask(both, "POST", "/v1/profiles/merge"), 403)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic a2V5", "key-of-admin", "Bearer key-of-admin key-of-admin", "Bearer\tx"]
)
async def test_a_header_that_is_no_bearer_key_is_401(api: Api, header: str) -> None:
    reply = await api.as_(None).call("GET", "/v1/profiles", headers={"authorization": header})
    refused(reply, 401, "not_authenticated")
    assert reply.headers["www-authenticate"] == "Bearer"


async def test_the_scheme_is_read_without_case_as_rfc_9110_has_it(api: Api) -> None:
    reply = await api.as_(None).call("GET", "/v1/profiles", headers={"authorization": "bearer key-of-admin"})
    refused(reply, 422)


# ---- how errors look


async def test_what_is_not_there_is_404_with_its_own_code(api: Api) -> None:
    refused(await api.lookup(fresh()), 404, "unknown_identifier")
    refused(await api.get("/v1/profiles/prf_none"), 404, "unknown_profile")
    refused(await api.get("/v1/links/lnk_none"), 404, "unknown_link")
    refused(await api.call("DELETE", "/v1/links/lnk_none"), 404, "unknown_link")
    refused(await api.get("/v1/revocations/rev_none"), 404, "unknown_revocation")
    refused(await api.post("/v1/assertions/ast_none/undo", {"reason": "r"}), 404, "unknown_assertion")
    body: Json = {"profiles": ["prf_none", "prf_neither"], "reason": "r"}
    refused(await api.post("/v1/profiles/merge", body), 404, "unknown_profile")
    body = {"identifiers": [named(fresh())], "reason": "r"}
    refused(await api.post("/v1/profiles/prf_none/split", body), 404, "unknown_profile")
    for path in ("/", "/v1", "/v1/no-such-path", "/v2/links", "/V1/links", "/v1//links"):
        refused(await api.call("GET", path), 404, "not_found")


@pytest.mark.parametrize("path", ["/v1/links", "/v1/profiles/lookup", "/v1/profiles/merge", "/v1/revocations"])
async def test_a_body_must_be_json_in_utf_8(api: Api, path: str) -> None:
    for kind in (None, "", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"):
        headers = {} if kind is None else {"content-type": kind}
        refused(await api.call("POST", path, content=b"{}", headers=headers), 415, "unsupported_media")
    for kind in ("application/json; charset=UTF-8", "application/ld+json", "Application/JSON"):
        refused(await api.call("POST", path, content=b"{}", headers={"content-type": kind}), 422, "invalid")
    for content in (b"", b"{", b'{"a": 1,}', b"\xff\xfe{}", b"NaN", b"{}{}", b"'x'"):
        kinds = {"content-type": "application/json"}
        refused(await api.call("POST", path, content=content, headers=kinds), 400, "malformed_json")


async def test_a_plain_personal_value_in_a_url_is_refused(api: Api) -> None:
    for key in ("email_sha256:jane@example.com", "crm_id:jane@example.com", "phone_sha256:+31 6 1234 5678"):
        reply = await api.lookup(key)
        refused(reply, 400, "personal_value_in_url")
        assert b"jane" not in reply.body and b"1234" not in reply.body
    refused(await api.get("/v1/profiles/jane@example.com"), 400, "personal_value_in_url")


# ---- request ids


async def test_a_request_id_is_echoed_where_it_is_fit_to_be_logged(api: Api) -> None:
    for sent in ("a", "A-1_b", "x" * 64):
        reply = await api.call("GET", "/v1/no-such-path", headers={"x-request-id": sent})
        assert reply.headers["x-request-id"] == refused(reply, 404)["request_id"] == sent
    made = set()
    for unfit in ("", "x" * 65, "two words", "jane@example.com", "é".encode(), b"\x00"):
        reply = await api.call("GET", "/v1/no-such-path", headers={"x-request-id": unfit})
        made.add(refused(reply, 404)["request_id"])
    assert len(made) == 6 and all(re.fullmatch("[A-Za-z0-9_-]{1,64}", found) for found in made)


async def test_answers_are_not_to_be_kept_or_framed(api: Api) -> None:
    for reply in (await api.lookup(fresh()), await api.call("GET", "/healthz"), await api.post("/v1/links", {})):
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]


# ---- how much


async def test_a_batch_holds_a_thousand_and_no_more(api: Api) -> None:
    customer = fresh("household_id")
    links = [link(customer, fresh("device_id")) for _ in range(1_001)]
    assert [found["status"] for found in await api.links(*links[:1_000])] == ["linked"] * 1_000
    refused(await api.post("/v1/links", {"links": links}), 413, "too_many_items")
    assert await api.links() == []
    identifiers = [sent["b"] for sent in links]
    found = (await api.post("/v1/profiles/lookup", {"identifiers": identifiers[:1_000]})).results
    assert [profile["asked"] for profile in found] == identifiers[:1_000]
    refused(await api.post("/v1/profiles/lookup", {"identifiers": identifiers}), 413, "too_many_items")
    assert (await api.post("/v1/profiles/lookup", {"identifiers": []})).results == []
    split = {"identifiers": identifiers, "reason": "r"}
    assert (await api.post("/v1/profiles/prf_aaaa/split", split)).status in (413, 422)


async def test_a_body_is_read_up_to_its_limit_however_it_is_sent(api: Api) -> None:
    head, tail = b'{"links": [', b"]}"
    for size, status in ((BODY_BYTES_MAX, 200), (BODY_BYTES_MAX + 1, 413)):
        content = head + b" " * (size - len(head) - len(tail)) + tail

        async def in_parts(whole: bytes = content) -> AsyncIterator[bytes]:
            for start in range(0, len(whole), 1 << 20):
                yield whole[start : start + (1 << 20)]

        for body in (content, in_parts()):
            headers = {"content-type": "application/json"}
            reply = await api.call("POST", "/v1/links", content=body, headers=headers)
            assert reply.status == status, reply
            if status == 413:
                refused(reply, 413, "body_too_large")


# ---- X-Cache


async def seen_from_cache(api: Api, key: str, **params: object) -> Reply:
    """A hit, after a few tries: an instance that finishes another's drops may do them once more than is needed."""
    for _ in range(40):
        reply = await api.lookup(key, **params)
        if reply.headers["x-cache"] == "hit":
            return reply
        assert reply.headers["x-cache"] == "miss"
        await asyncio.sleep(0.05)
    raise AssertionError("the cache keeps nothing")


async def test_x_cache_says_where_an_answer_came_from(api: Api, second: Instance) -> None:
    a, b, c = fresh(), fresh("device_id"), fresh("cookie_id")
    found = (await api.links(link(a, b)))[0]
    first = await api.lookup(a)
    assert first.headers["x-cache"] == "miss"
    assert (await seen_from_cache(api, a)).body == (await seen_from_cache(second.api, a)).body == first.body
    assert (await api.lookup(a, purpose="analytics")).headers["x-cache"] == "miss"
    assert (await seen_from_cache(api, a, purpose="analytics", min_confidence=0.99)).names == [a]
    assert (await api.get(f"/v1/profiles/{found['profile_id']}")).headers["x-cache"] == "bypass"
    await second.api.links(link(b, c))
    after = await api.lookup(a)
    assert after.headers["x-cache"] == "miss" and after.names == sorted([a, b, c])
    assert (await seen_from_cache(api, a)).body == after.body


# ---- answers in their place


async def test_each_item_of_a_batch_lookup_is_answered_in_its_place(api: Api) -> None:
    a, b, unknown = fresh(), fresh("device_id"), fresh()
    await api.links(link(a, b))
    asked: list[Any] = [named(b), named(unknown), named("crm_id:null"), named(a), {"namespace": "crm_id"}, named(b)]
    asked += ["crm_id:a", {**named(a), "nick": 1}, {"namespace": "email_sha256", "value": "x@y.example", "plain": True}]
    found = (await api.post("/v1/profiles/lookup", {"identifiers": asked})).results
    told = [item["error"]["code"] if "error" in item else item["asked"] for item in found]
    places = ["unknown_identifier", "invalid", named(a), "invalid", named(b), "invalid", "invalid"]
    assert told == [named(b), *places, "unknown_identifier"]
    pointers = [error["pointer"] for item in found if "error" in item for error in item["error"].get("errors", [])]
    assert pointers == ["/identifiers/2/value", "/identifiers/4/value", "/identifiers/6", "/identifiers/7/nick"]


async def test_confidence_is_rounded_alike_in_answer_and_filter(api: Api) -> None:
    a, b, c = fresh(), fresh("device_id"), fresh("cookie_id")
    await api.links(link(a, b, confidence=0.7), link(b, c, confidence=0.9))
    shown = {i["namespace"]: i["confidence"] for i in (await api.lookup(a)).json["identifiers"]}
    assert shown == {"crm_id": 1.0, "device_id": 0.7, "cookie_id": 0.63}
    for ask_of in (api.lookup(a, min_confidence=0.63), api.get("/v1/profiles", **named(a), min_confidence="0.63")):
        assert (await ask_of).names == sorted([a, b, c])
    assert (await api.lookup(a, min_confidence=0.64)).names == sorted([a, b])
    by_id = f"/v1/profiles/{await api.profile_id(a)}"
    assert (await api.get(by_id, min_confidence=0.63)).names == sorted([a, b, c])
    assert (await api.get(by_id, min_confidence=1)).names == [a]


# ---- the document


async def records_tour(api: Api) -> None:
    """What there is about records, once each."""
    told = {"attributes": {"given_name": "Tess", "family_name": f"Tour{fresh()[-6:]}", "postcode": "2600"}}
    key = fresh()
    assert (await api.post("/v1/records", {"identifier": named(key), "source": "crm"} | told)).status == 200
    assert (await api.post("/v1/matching/score", {"a": told, "b": told})).status == 200
    assert (await api.post("/v1/matching/search", told | {"limit": 5})).json["candidates"]
    trains = await api.post("/v1/matching/models", {"name": "tour", "sample": 100})
    assert trains.status == 202
    for model in ("people/1", trains.json["model"]):
        assert (await api.get(f"/v1/matching/models/{model}")).status == 200
    assert (await api.get("/v1/matching/models", limit=1)).json["items"]
    for method in ("GET", "DELETE"):
        found = await api.call(method, "/v1/records", params=named(key) | {"source": "crm"})
        assert found.status == 200


async def test_every_documented_success_has_been_seen(api: Api, tmp_path: Path) -> None:
    """One tour of the service; whatever is documented to succeed has to succeed once, in the documented shape."""
    a, b, c, d = fresh(), fresh("device_id"), fresh(), fresh("cookie_id")
    home = fresh("household_id")
    evidence = {"event_id": "e-1", "nested": {"list": [1, 2.5, None, True]}}
    found = await api.links(
        link(a, b, evidence=evidence, rule_version="4", expires_at="2090-01-01T00:00:00Z"), link(c, d), link(a, home)
    )
    assert (await api.get(f"/v1/links/{found[0]['link_id']}")).json["evidence"] == evidence
    profile = found[0]["profile_id"]
    merged = await api.post("/v1/profiles/merge", {"profiles": [profile, found[1]["profile_id"]], "reason": "r"})
    split = await api.post(f"/v1/profiles/{profile}/split", {"identifiers": [named(c)], "reason": "r"})
    await api.post(f"/v1/assertions/{split.json['assertion_id']}/undo", {"reason": "r"})
    again = await api.post(f"/v1/assertions/{split.json['assertion_id']}/undo", {"reason": "r"})
    assert merged.status == split.status == 200 and again.json["applied"] is False
    revoked = await api.post(
        "/v1/revocations",
        {"identifier": named(d), "scope": "purposes", "purposes": ["analytics"], "regulation": "GDPR", "reason": "r"},
    )
    await api.get(f"/v1/revocations/{revoked.json['revocation_id']}")
    for reply in (await api.lookup(a), await api.get(f"/v1/profiles/{found[1]['profile_id']}")):
        assert reply.status == 200 and reply.json["consent"]["analytics"]["state"] == "withdrawn"
    await api.post("/v1/profiles/lookup", {"identifiers": [named(a), named(fresh())]})
    consent = {"identifier": named(a), "purposes": {"advertising": "granted"}, "regulation": "GDPR", "source": "web"}
    await api.post("/v1/consents", consent)
    decision = (await api.post("/v1/decisions", {"identifier": named(a), "destination": "meta_ads"})).json
    assert (await api.get(f"/v1/decisions/{decision['decision_id']}")).json == decision
    traits = {"identifier": named(a), "traits": {"last_order_at": "2090-01-01T00:00:00Z"}, "source": "crm"}
    assert (await api.post("/v1/traits", traits)).results[0]["status"] == "accepted"
    active = (await api.get("/v1/policies/active")).json
    compares = active["policy"] | {"matching": {"model": "people/1"}}
    version = (await api.post("/v1/policies", compares)).json["version"]
    for act in (f"{version}/simulate", f"{version}/activate"):
        assert (await api.post(f"/v1/policies/{act}", {})).status == 200
    await records_tour(api)
    assert (await api.post("/v1/policies/rollback?wait=5", {})).status == 200
    assert (await api.call("DELETE", f"/v1/links/{found[0]['link_id']}")).json["status"] == "retracted"
    for path in ("/healthz", "/readyz", "/metrics"):
        await api.call("GET", path)
    subject = {"regulation": "gdpr", "subject_request_id": f"tour-{a[-8:]}", "subject_request_type": "access"}
    subject |= {"submitted_time": "2026-01-01T00:00:00Z", "api_version": "2.0"}
    subject["subject_identities"] = [{"identity_type": "crm_id", "identity_value": a[7:], "identity_format": "raw"}]
    assert (await api.post("/v1/opendsr/requests", subject)).status == 201
    erased = await api.post("/v1/revocations", {"identifier": named(fresh()), "scope": "erase"})
    await api.get(f"/v1/revocations/{erased.json['revocation_id']}")
    replay = (await api.post("/v1/replays", {"types": ["lead_submit"], "dry_run": True})).json["replay_id"]
    for act in ("pause", "resume", "cancel"):
        assert (await api.post(f"/v1/replays/{replay}/{act}", {})).status == 200
    data = {"identifiers": [named(a), named(d)], "consent": {"advertising": "granted"}, "regulation": "GDPR"}
    seen_at = {"time": "2026-01-01T00:00:00Z", "dataschema": "page_view/1-0-0", "specversion": "1.0"}
    event = {**seen_at, "id": f"tour-{a[-8:]}", "source": "web", "type": "page_view", "data": data, "sequence": "1"}
    assert (await api.post("/v1/events", event)).results[0]["status"] == "accepted"
    wrong = (await api.post("/v1/events", {**event, "type": "no_such"})).results[0]
    assert (await api.post(f"/v1/quarantine/{wrong['quarantine_id']}/resubmit", event)).status == 200
    schema = {"type": f"tour_{a[-8:]}", "version": "1-0-0", "schema": {"type": "object"}}
    assert (await api.post("/v1/schemas", schema)).status == 201
    await tour_of_deliveries(api, tmp_path)
    tour = {
        ("GET", "/v1/quality"): "/v1/quality",
        ("GET", "/v1/replays"): "/v1/replays?limit=1",
        ("GET", "/v1/replays/{replay_id}"): f"/v1/replays/{replay}",
        ("GET", "/v1/events/{source}/{event_id}/lineage"): f"/v1/events/web/{event['id']}/lineage",
        ("GET", "/v1/lineage"): f"/v1/lineage?link={found[1]['link_id']}",
        ("GET", "/v1/senders"): "/v1/senders",
        ("GET", "/v1/quarantine"): "/v1/quarantine",
        ("GET", "/v1/schemas"): "/v1/schemas",
        ("GET", "/v1/schemas/{type}/{version}"): "/v1/schemas/page_view/1-0-0",
        ("GET", "/v1/opendsr/discovery"): "/v1/opendsr/discovery",
        ("GET", "/v1/opendsr/requests/{request_id}"): f"/v1/opendsr/requests/tour-{a[-8:]}",
        ("GET", "/v1/opendsr/requests/{request_id}/results"): f"/v1/opendsr/requests/tour-{a[-8:]}/results",
        ("GET", "/v1/households/{namespace}/{value}"): f"/v1/households/household_id/{home.split(':')[1]}",
        ("GET", "/v1/assertions"): f"/v1/assertions?identifier={a}",
        ("GET", "/v1/profiles/{profile_id}/history"): f"/v1/profiles/{profile}/history",
        ("GET", "/v1/profiles/{profile_id}/graph"): f"/v1/profiles/{profile}/graph",
        ("GET", "/v1/explain"): f"/v1/explain?a={a}&b={b}",
        ("GET", "/v1/reviews"): "/v1/reviews?status=open",
        ("GET", "/v1/changes"): "/v1/changes?after=0&limit=50",
        ("GET", "/v1/consents"): f"/v1/consents?namespace=cookie_id&value={d.split(':')[1]}",
        ("GET", "/v1/policies"): "/v1/policies?limit=1",
        ("GET", "/v1/policies/schema"): "/v1/policies/schema",
        ("GET", "/v1/policies/{version}"): f"/v1/policies/{version}",
        ("GET", "/v1/audiences/{name}/members"): "/v1/audiences/recent_buyers/members?destination=meta_ads",
        ("GET", "/v1/audit"): f"/v1/audit?subject={d}",
        ("GET", "/v1/audit/verify"): "/v1/audit/verify",
    }
    documented = {(method, path) for method, path, _ in api.document.operations()}
    for operation in documented & set(tour):
        assert (await api.call("GET", tour[operation])).status == 200
    seen = {(method, path) for method, path, status in api.document.seen if status in (200, 201, 202)}
    assert documented - seen <= {
        ("POST", "/v1/reviews/{review_id}"),
        ("POST", "/v1/deliveries/{delivery_id}/retry"),
        *SIGNED,
    }


async def test_links_in_every_state_are_shown_as_documented(api: Api) -> None:
    a, b, weak, past = fresh(), fresh("device_id"), fresh("cookie_id"), fresh("cookie_id")
    results = await api.links(
        link(a, b),
        link(a, weak, confidence=0.1),
        link(a, past, expires_at="2001-01-01T00:00:00Z"),
        link(b, fresh("device_id"), method="probabilistic", confidence=0.95, observed_at="2026-01-01T00:00:00.5+02:00"),
        link(a, fresh("login_id"), observed_at="0001-01-01T00:00:00Z", expires_at="9999-12-31T23:59:59.999Z"),
    )
    assert [item["status"] for item in results] == ["linked", "withheld", "withheld", "linked", "linked"]
    assert [item["reason"] for item in results[:3]] == [None, "below_confidence", "expired"]
    for item in results:
        shown = (await api.get(f"/v1/links/{item['link_id']}")).json
        assert (shown["status"], shown["reason"]) == (item["status"], item["reason"])
    assert (await api.get(f"/v1/links/{results[3]['link_id']}")).json["observed_at"] == "2025-12-31T22:00:00.500Z"
    login = results[4]
    assert (await api.get(f"/v1/profiles/{login['profile_id']}")).json["valid_until"] is not None
    for identifier in (await api.lookup(a)).json["identifiers"]:
        assert identifier["first_seen"] <= identifier["last_seen"]

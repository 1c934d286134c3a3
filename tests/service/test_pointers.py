"""What is invalid is told with a pointer to where it is, alone and in its place in a batch."""

from __future__ import annotations

import pytest

from tests.service.instances import Api, Json, fresh, link, named, refused

CRM, DEVICE = named("crm_id:a"), named("device_id:b")
LINKS = [
    ("/a/namespace", {"a": {"namespace": "no_such", "value": "x"}}),
    ("/a/value", {"a": {"namespace": "crm_id", "value": "two words"}}),
    ("/a/value", {"a": {"namespace": "crm_id"}}),
    ("/a/value", {"a": {"namespace": "crm_id", "value": 7}}),
    ("/a/value", {"a": {"namespace": "crm_id", "value": None}}),
    ("/a/plain", {"a": {"namespace": "crm_id", "value": "x", "plain": True}}),
    ("/a/plain", {"a": {"namespace": "email_sha256", "value": "x", "plain": "yes"}}),
    ("/a/nick", {"a": {**CRM, "nick": "x"}}),
    ("/a", {"a": "crm_id:a"}),
    ("/a", {"a": None}),
    ("/a", {"a": [CRM]}),
    ("/a", {"a": ...}),
    ("/b/value", {"b": {"namespace": "email_sha256", "value": "jane@example.com"}}),
    ("/b", {"b": CRM}),
    ("/method", {"method": "guess"}),
    ("/method", {"method": ...}),
    ("/confidence", {"confidence": 1.01}),
    ("/confidence", {"confidence": -0.01}),
    ("/confidence", {"confidence": "0.9"}),
    ("/confidence", {"confidence": True}),
    ("/source", {"source": ""}),
    ("/source", {"source": "x" * 129}),
    ("/source", {"source": "a\u0000b"}),
    ("/source", {"source": ...}),
    ("/rule", {"rule": ["r"]}),
    ("/rule_version", {"rule_version": 4}),
    ("/observed_at", {"observed_at": "yesterday"}),
    ("/observed_at", {"observed_at": "2026-11-24T10:00:00"}),
    ("/observed_at", {"observed_at": 1_700_000_000}),
    ("/observed_at", {"observed_at": "9999-01-01T00:00:00Z"}),
    ("/observed_at", {"observed_at": "0001-01-01T00:00:00+23:59"}),
    ("/expires_at", {"expires_at": "2026-13-01T00:00:00Z"}),
    ("/expires_at", {"expires_at": "9999-12-31T23:59:59-23:59"}),
    ("/evidence", {"evidence": "evt-1"}),
    ("/evidence", {"evidence": {"text": "x" * 5_000}}),
    ("/nickname", {"nickname": "x"}),
]


@pytest.mark.parametrize(("pointer", "change"), LINKS)
async def test_an_invalid_link_says_where(api: Api, pointer: str, change: Json) -> None:
    body = {key: value for key, value in {**link("crm_id:a", "device_id:b"), **change}.items() if value is not ...}
    alone = await api.post("/v1/links", body)
    refused(alone, 422, "invalid")
    assert alone.pointers == [pointer]
    good = [link(fresh(), fresh("device_id")) for _ in range(2)]
    results = await api.links(good[0], body, good[1])
    assert [result["status"] for result in results] == ["linked", "rejected", "linked"]
    assert [error["pointer"] for error in results[1]["errors"]] == [f"/links/1{pointer}"]


PROFILE = "prf_aaaa"
BODIES: list[tuple[str, str, object]] = [
    ("/v1/links", "", []),
    ("/v1/links", "", "x"),
    ("/v1/links", "", None),
    ("/v1/links", "/links", {"links": {"0": link("crm_id:a", "device_id:b")}}),
    ("/v1/links", "/more", {"links": [], "more": 1}),
    ("/v1/profiles/lookup", "", []),
    ("/v1/profiles/lookup", "/identifiers", {}),
    ("/v1/profiles/lookup", "/identifiers", {"identifiers": "crm_id:a"}),
    ("/v1/profiles/lookup", "/purpose", {"identifiers": [], "purpose": "no_such"}),
    ("/v1/profiles/lookup", "/min_confidence", {"identifiers": [], "min_confidence": 2}),
    ("/v1/profiles/merge", "/profiles", {"reason": "r"}),
    ("/v1/profiles/merge", "/profiles", {"profiles": [PROFILE], "reason": "r"}),
    ("/v1/profiles/merge", "/profiles", {"profiles": [PROFILE, PROFILE], "reason": "r"}),
    ("/v1/profiles/merge", "/profiles/1", {"profiles": [PROFILE, "crm_id:a"], "reason": "r"}),
    ("/v1/profiles/merge", "/survivor", {"profiles": [PROFILE, "prf_b"], "survivor": "prf_c", "reason": "r"}),
    ("/v1/profiles/merge", "/reason", {"profiles": [PROFILE, "prf_b"]}),
    ("/v1/profiles/merge", "/reason", {"profiles": [PROFILE, "prf_b"], "reason": "a\u0000b"}),
    ("/v1/profiles/merge", "/reason", {"profiles": [PROFILE, "prf_b"], "reason": "x" * 513}),
    ("/v1/profiles/merge", "/preview", {"profiles": [PROFILE, "prf_b"], "reason": "r", "preview": 1}),
    (f"/v1/profiles/{PROFILE}/split", "/identifiers", {"identifiers": [], "reason": "r"}),
    (f"/v1/profiles/{PROFILE}/split", "/identifiers/0/value", {"identifiers": [named("crm_id:a b")], "reason": "r"}),
    ("/v1/assertions/ast_none/undo", "/why", {"reason": "r", "why": "x"}),
    ("/v1/revocations", "/scope", {"identifier": CRM, "scope": "all"}),
    ("/v1/revocations", "/identifier/value", {"identifier": named("crm_id:null"), "scope": "linking"}),
    ("/v1/revocations", "/purposes", {"identifier": CRM, "scope": "purposes", "purposes": ["no_such"]}),
    ("/v1/revocations", "/purposes", {"identifier": CRM, "scope": "purposes", "purposes": []}),
    ("/v1/revocations", "/regulation", {"identifier": CRM, "scope": "linking", "regulation": "LAW"}),
    ("/v1/revocations", "/at", {"identifier": CRM, "scope": "linking", "at": "9999-01-01T00:00:00Z"}),
]


@pytest.mark.parametrize(("path", "pointer", "body"), BODIES)
async def test_an_invalid_body_says_where(api: Api, path: str, pointer: str, body: object) -> None:
    reply = await api.post(path, body)
    refused(reply, 422, "invalid")
    assert pointer in reply.pointers


QUERIES: list[tuple[str, Json]] = [
    ("/namespace", {"value": "x"}),
    ("/value", {"namespace": "crm_id"}),
    ("/namespace", {"namespace": "no_such", "value": "x"}),
    ("/value", {"namespace": "crm_id", "value": "a b"}),
    ("/purpose", {"namespace": "crm_id", "value": "x", "purpose": "no_such"}),
    ("/min_confidence", {"namespace": "crm_id", "value": "x", "min_confidence": "nan"}),
    ("/min_confidence", {"namespace": "crm_id", "value": "x", "min_confidence": "1.1"}),
    ("/min_confidence", {"namespace": "crm_id", "value": "x", "min_confidence": "high"}),
    ("", {"namespace": "crm_id", "value": "x", "nickname": "x"}),
]


@pytest.mark.parametrize(("pointer", "query"), QUERIES)
async def test_an_invalid_query_says_where(api: Api, pointer: str, query: Json) -> None:
    reply = await api.get("/v1/profiles", **query)
    refused(reply, 422, "invalid")
    assert reply.pointers == [pointer]


@pytest.mark.parametrize("pointer", ["/purpose", "/min_confidence", ""])
async def test_a_look_up_by_id_reads_its_query_as_strictly(api: Api, pointer: str) -> None:
    result = (await api.links(link(fresh(), fresh("device_id"))))[0]
    query = {pointer[1:] or "nickname": "no_such"}
    reply = await api.get(f"/v1/profiles/{result['profile_id']}", **query)
    refused(reply, 422, "invalid")
    assert reply.pointers == [pointer]

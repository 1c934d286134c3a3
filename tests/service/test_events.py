"""Events over HTTP: recorded once with all that follows, or kept in quarantine; and where they lead."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from typing import Any

import pytest

from service.clock import now_ms
from service.model.times import rfc3339
from tests.service.instances import Api, Instance, Json, Reply, fresh, link, name, named, refused
from tests.service.watch import Shelf
from tests.service.worlds import agreed, tail

MINUTE, HOUR = 60_000, 3_600_000
BATCH = {"content-type": "application/cloudevents-batch+json"}
STRUCTURED = {"content-type": "application/cloudevents+json"}


def at(ago_ms: int = MINUTE) -> str:
    return rfc3339(now_ms() - ago_ms)


def event(*keys: str, kind: str = "page_view", **more: Any) -> Json:
    """An event about some identifiers; `data` and attributes are put beside it."""
    data = {"identifiers": [named(key) for key in keys], "properties": {}, **more.pop("data", {})}
    sent = {"specversion": "1.0", "id": f"evt-{secrets.token_hex(8)}", "source": "web", "type": kind, "time": at()}
    return {**sent, "dataschema": f"{kind}/1-0-0", "data": data, **more}


async def send(api: Api, *events: Json) -> list[Json]:
    return (await api.post("/v1/events", {"events": list(events)})).results


def statuses(results: list[Json]) -> list[str]:
    return [result["status"] for result in results]


async def lineage(api: Api, sent: Json) -> Json:
    return dict(agreed(await api.get(f"/v1/events/{sent['source']}/{sent['id']}/lineage")))


# ---- ways to send


async def test_one_event_in_each_way_is_the_same_event(api: Api) -> None:
    c, m = fresh("cookie_id"), fresh()
    sent = event(c, m, kind="identify")
    headers = {f"ce-{name}": str(sent[name]) for name in ("specversion", "id", "source", "type", "time", "dataschema")}
    headers["content-type"] = "application/json"

    async def post(body: object, kinds: dict[str, str]) -> list[Json]:
        return (await api.call("POST", "/v1/events", content=json.dumps(body), headers=kinds)).results

    assert statuses(await post([sent, event(m)], BATCH)) == ["accepted", "accepted"]
    assert statuses(await post(sent, STRUCTURED)) == ["duplicate"]
    assert statuses(await post(sent["data"], headers)) == ["duplicate"]
    assert statuses(await post(sent, {"content-type": "application/json"})) == ["duplicate"]
    assert statuses(await send(api, sent)) == ["duplicate"]
    assert (await api.lookup(c)).names == sorted([c, m])
    source = {**headers, "ce-source": "https%3A//example.com/%C3%BC", "ce-id": "b"}
    assert statuses(await post(sent["data"], source)) == ["accepted"]
    path = "/v1/events/https%3A%2F%2Fexample.com%2F%C3%BC/b/lineage"
    answer = await api.http.get(path, headers={"authorization": "Bearer key-of-admin"})
    assert (answer.status_code, answer.json()["events"][0]["source"]) == (200, "https://example.com/\u00fc")
    refused(await api.call("POST", "/v1/events", content=b"{}", headers=BATCH), 422, "invalid")
    refused(await api.call("POST", "/v1/events", content=b"[]", headers=STRUCTURED), 422, "invalid")
    bad = {**headers, "ce-id": "%ff"}
    refused(await api.call("POST", "/v1/events", content=b"{}", headers=bad), 400, "malformed")


async def test_an_idempotency_key_gives_the_stored_answer(api: Api) -> None:
    body = {"events": [event(fresh())]}
    first = await api.post("/v1/events", body, idempotency_key=secrets.token_hex(8))
    key = secrets.token_hex(8)
    one = await api.post("/v1/events", {"events": [event(fresh())]}, idempotency_key=key)
    refused(await api.post("/v1/events", body, idempotency_key=key), 422, "idempotency_key_reused")
    assert first.results[0]["status"] == one.results[0]["status"] == "accepted"


# ---- once


async def test_the_ledger_adds_up_over_two_instances(api: Api, second: Instance, shelf: Shelf) -> None:
    """Sent = accepted + duplicate + quarantined, whoever sends what how often; and the graph has what was accepted."""
    chance = random.Random(7)
    good = [event(fresh("cookie_id"), fresh(), source="ledger") for _ in range(40)]
    other = [{**one, "data": {**one["data"], "traits": {"plan": "x"}}} for one in good[:5]]
    bad = [{**event(fresh(), source="ledger"), "type": "no_such"} for _ in range(5)]
    sent = [*good, *good, *good[:20], *bad, *bad]
    chance.shuffle(sent)
    batches = [sent[start : start + 10] for start in range(0, len(sent), 10)]
    apis = [api, second.api]
    told = await asyncio.gather(*(send(apis[i % 2], *batch) for i, batch in enumerate(batches)))
    counts = [result["status"] for results in told for result in results]
    assert len(counts) == len(sent)
    assert counts.count("accepted") == len(good)
    assert counts.count("quarantined") == 2 * len(bad)
    assert counts.count("duplicate") == len(sent) - len(good) - 2 * len(bad)
    conflicts = await send(api, *other)
    assert {error["code"] for result in conflicts for error in result["errors"]} == {"id_conflict"}
    rows = await shelf.driver.execute_query(
        "MATCH (e:Event) WHERE e.key STARTS WITH 'ledger\n' "
        "OPTIONAL MATCH (q:Quarantined {source: 'ledger'}) RETURN count(DISTINCT e) AS events, "
        "count(DISTINCT q) AS quarantined, count(DISTINCT e.seq) AS numbers, collect(DISTINCT q.times) AS times"
    )
    row = rows.records[0]
    assert (row["events"], row["numbers"]) == (len(good), len(good))
    assert row["quarantined"] == len(bad) + len(other)
    assert sorted(row["times"]) == [1, 2]


async def test_the_order_of_arrival_changes_nothing(api: Api) -> None:
    async def story(order: tuple[int, ...]) -> Json:
        c, m = fresh("cookie_id"), fresh("email_sha256")
        days = (3, 1, 2)
        sent = [event(c, m, time=at(24 * HOUR * d), data={"traits": {"plan": f"p{d}"}}) for d in days]
        for index in order:
            await send(api, sent[index])
        shown = agreed(await api.lookup(c))
        seen = [(i["namespace"], i["first_seen"][:10], i["last_seen"][:10]) for i in shown["identifiers"]]
        return {"seen": sorted(seen), "plan": shown["traits"]["plan"]["value"]}

    first, *others = [await story(order) for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2))]
    assert first["plan"] == "p1"
    assert all(other == first for other in others)


# ---- what follows from an event


async def test_links_have_the_confidence_of_their_source_and_name_the_event(api: Api) -> None:
    keys = fresh("cookie_id"), fresh(), fresh("email_sha256"), fresh("household_id")
    sent = event(*keys)
    (result,) = await send(api, sent)
    shown = agreed(await api.lookup(keys[0]))
    assert {i["confidence"] for i in shown["identifiers"][1:]} == {0.95}
    assert shown["households"] == [named(keys[3])]
    assert result["profile_id"] == shown["profile_id"]
    told = await lineage(api, sent)
    assert len(told["links"]) == 6
    for edge in told["links"]:
        assert edge["evidence"] == {"event_id": sent["id"]}
        assert (edge["rule"], edge["source"], edge["status"]) == ("event", "web", "linked")


async def test_consent_at_capture_is_enforced_when_the_event_is_answered(api: Api) -> None:
    c, m = fresh("cookie_id"), fresh("email_sha256")
    ask = {"identifier": named(m), "destination": "meta_ads"}
    _, after = await tail(api)
    yes = event(c, m, data={"consent": {"advertising": "granted"}, "regulation": "GDPR"})
    await send(api, yes)
    assert agreed(await api.post("/v1/decisions", ask))["outcome"] == "allow"
    no = event(c, time=at(MINUTE // 2), data={"consent": {"advertising": "denied"}, "regulation": "GDPR"})
    await send(api, no)
    assert agreed(await api.post("/v1/decisions", ask))["outcome"] == "withhold"
    assert [item["type"] for item in (await tail(api, after))[0]].count("consent.changed") == 2
    kept = agreed(await api.get("/v1/consents", **named(c)))["items"]
    assert [(k["state"], k["source"], k["method"]) for k in kept] == [("denied", "web", "event")]
    entries = agreed(await api.get("/v1/audit", subject=c, action="consent.recorded"))["items"]
    assert [entry["consent"] for entry in entries] == ["denied", "granted"]


async def test_the_same_consent_said_again_makes_no_new_record_and_holds_from_then(api: Api, shelf: Shelf) -> None:
    c = fresh("cookie_id")
    views = [
        event(c, time=at(ago), data={"consent": {"advertising": "granted"}, "regulation": "GDPR"})
        for ago in (3 * MINUTE, MINUTE, 2 * MINUTE)
    ]
    for view in views:
        await send(api, view)
    await send(api, event(c, time=at(90_000), data={"consent": {"advertising": "denied"}, "regulation": "GDPR"}))
    (kept,) = agreed(await api.get("/v1/consents", **named(c)))["items"]
    assert (kept["state"], kept["at"]) == ("granted", views[1]["time"]), "the older denial came too late"
    rows = await shelf.driver.execute_query("MATCH (:Identifier {key: $key})-[:CONSENTED]->(x) RETURN x", {"key": c})
    assert len(rows.records) == 2


async def test_linking_that_is_refused_at_capture_joins_nobody(api: Api) -> None:
    c, m = fresh("cookie_id"), fresh()
    await send(api, event(c, m, data={"consent": {"identity_linking": "denied"}, "regulation": "GDPR"}))
    assert (await api.lookup(c)).names == [c]
    assert (await api.lookup(m)).names == [m]
    for key in (c, m):
        await send(
            api, event(key, time=at(1_000), data={"consent": {"identity_linking": "granted"}, "regulation": "GDPR"})
        )
    assert (await api.lookup(c)).names == sorted([c, m])


async def test_where_keeping_is_refused_nobody_is_named_and_the_refusal_is_kept(api: Api, shelf: Shelf) -> None:
    c, m = fresh("cookie_id"), fresh()
    sent = event(c, m, kind="checkout", data={"consent": {"analytics": "denied"}, "regulation": "GDPR"})
    sent["data"]["properties"] = {"order_id": "o-1", "value": 10}
    (result,) = await send(api, sent)
    assert (result["status"], result["profile_id"]) == ("accepted", None)
    assert (await api.lookup(c)).status == (await api.lookup(m)).status == 404
    shown = (await lineage(api, sent))["events"][0]
    assert (shown["identifiers"], shown["granularity"], shown["flags"]) == ([], "aggregate", ["reduced"])
    rows = await shelf.driver.execute_query(
        "MATCH (e:Event {key: $key}) RETURN e.body AS body", {"key": f"web\n{sent['id']}"}
    )
    assert c.split(":")[1] not in rows.records[0]["body"] and "o-1" not in rows.records[0]["body"]
    kept = agreed(await api.get("/v1/consents", **named(m)))["items"]
    assert [(k["purpose"], k["state"]) for k in kept] == [("analytics", "denied")]
    assert statuses(await send(api, sent)) == ["duplicate"]
    later = event(c, m, time=at(1_000))
    assert (await send(api, later))[0]["profile_id"] is None, "the refusal counts for later events too"


async def test_a_late_crm_match_gives_earlier_events_to_the_person_without_rewriting_them(api: Api) -> None:
    cookie, customer = fresh("cookie_id"), fresh()
    early = [event(cookie, time=at(ago * HOUR)) for ago in (3, 2)]
    await send(api, *early)
    before = [(await lineage(api, one))["events"] for one in early]
    anonymous = agreed(await api.lookup(cookie))
    assert anonymous["state"] == "anonymous"
    await api.links(link(cookie, customer))
    person = await api.profile_id(customer)
    for one, was in zip(early, before, strict=True):
        told = await lineage(api, one)
        assert told["events"] == was
        assert [p["profile_id"] for p in told["profiles"]] == [person]
    back = agreed(await api.get("/v1/lineage", profile=person))
    assert {e["id"] for e in back["events"]} == {one["id"] for one in early}


# ---- quarantine


async def test_one_bad_event_costs_only_itself_and_is_corrected_under_its_id(api: Api) -> None:
    plain = "someone@example.com"
    good, bad = event(fresh()), event(fresh(), fresh("email_sha256"), source="shop")
    right = json.loads(json.dumps(bad))
    bad["data"]["identifiers"][1]["value"] = plain
    reply = await api.post("/v1/events", {"events": [good, bad]})
    assert statuses(reply.results) == ["accepted", "quarantined"]
    assert plain.encode() not in reply.body
    wrong = reply.results[1]
    assert [(e["pointer"], e["code"]) for e in wrong["errors"]] == [("/data/identifiers/1/value", "identifier")]
    listed = await api.role("steward").get("/v1/quarantine", source="shop", status="open", limit=1)
    (item,) = agreed(listed)["items"]
    assert plain.encode() not in listed.body
    assert (item["quarantine_id"], item["id"], item["times"]) == (wrong["quarantine_id"], bad["id"], 1)
    path = f"/v1/quarantine/{wrong['quarantine_id']}/resubmit"
    assert statuses((await api.post(path, {k: v for k, v in right.items() if k not in ("id", "source")})).results) == [
        "accepted"
    ]
    assert statuses((await api.post(path, right)).results) == ["duplicate"]
    assert (await lineage(api, right))["events"][0]["resubmits"] == wrong["quarantine_id"]
    (item,) = agreed(await api.get("/v1/quarantine", source="shop", limit=1))["items"]
    assert item["status"] == "resubmitted"
    refused(await api.post("/v1/quarantine/qua_none/resubmit", right), 404, "unknown_quarantined")


async def test_quarantine_is_paged_newest_first(api: Api) -> None:
    await send(api, *({**event(fresh(), source="pages"), "type": "no_such"} for _ in range(5)))
    found: list[str] = []
    cursor: Json = {}
    while True:
        page = agreed(await api.get("/v1/quarantine", source="pages", limit=2, **cursor))
        found += [item["quarantine_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(found) == len(set(found)) == 5


# ---- schemas


async def test_a_version_published_on_one_instance_is_known_to_the_other_at_once(api: Api, second: Instance) -> None:
    kind = f"check_{secrets.token_hex(4)}"
    base: Json = {
        "type": "object",
        "properties": {"properties": {"type": "object", "properties": {"size": {"type": "integer"}}}},
    }

    async def publish(version: str, schema: object) -> Reply:
        return await api.post("/v1/schemas", {"type": kind, "version": version, "schema": schema})

    sent = event(fresh(), kind=kind, data={"properties": {"size": 1}})
    assert (await send(second.api, sent))[0]["errors"][0]["code"] == "unknown_schema"
    assert (await publish("1-0-0", base)).status == (await publish("1-0-0", base)).status == 201
    assert statuses(await send(second.api, sent)) == ["accepted"]
    assert statuses(await send(second.api, event(fresh(), kind=kind, data={"properties": {"size": "x"}}))) == [
        "quarantined"
    ]
    more = {**base, "required": ["traits"]}
    wrong = refused(await publish("1-0-1", more), 422, "incompatible_schema")
    assert wrong["errors"][0]["pointer"] == "/schema/properties/traits"
    refused(await publish("1-0-0", more), 409, "schema_exists")
    assert (await publish("2-0-0", more)).status == 201
    shown = agreed(await second.api.get(f"/v1/schemas/{kind}/2-0-0"))
    assert (shown["schema"], shown["builtin"]) == (more, False)
    listed = agreed(await second.api.get("/v1/schemas", limit=1_000))["items"]
    assert {item["version"] for item in listed if item["type"] == kind} == {"1-0-0", "2-0-0"}
    assert sum(item["builtin"] for item in listed) == 8
    refused(await api.get(f"/v1/schemas/{kind}/3-0-0"), 404, "unknown_schema")


# ---- senders


async def test_a_gap_is_shown_until_it_is_filled(api: Api) -> None:
    source = f"app-{secrets.token_hex(4)}"
    numbered = {n: event(fresh("device_id"), source=source, sequence=str(n), senderid="a") for n in (1, 2, 3, 4, 5)}

    async def missing() -> list[Json]:
        items = agreed(await api.get("/v1/senders", cursor=f"{source}\n", limit=1))["items"]
        return [(gap["first"], gap["last"]) for gap in items[0]["missing"]]

    await send(api, numbered[1], numbered[5])
    assert await missing() == [(2, 4)]
    await send(api, numbered[3], numbered[3])
    assert await missing() == [(2, 2), (4, 4)]
    await send(api, numbered[4], numbered[2])
    assert await missing() == []
    assert "gap_filled" in (await lineage(api, numbered[3]))["events"][0]["flags"]
    assert "gap_filled" not in (await lineage(api, numbered[5]))["events"][0]["flags"]


# ---- lineage


async def test_lineage_leads_there_and_back(api: Api) -> None:
    c, m = fresh("cookie_id"), fresh("email_sha256")
    sent = event(c, m, data={"consent": {"advertising": "granted"}, "regulation": "GDPR"})
    await send(api, sent)
    made = agreed(await api.post("/v1/decisions", {"identifier": named(m), "destination": "meta_ads"}))
    told = await lineage(api, sent)
    (edge,) = told["links"]
    assert {name(edge["a"]), name(edge["b"])} == {c, m}
    assert {(x["purpose"], name(x["identifier"])) for x in told["consents"]} == {("advertising", c), ("advertising", m)}
    assert [d["decision_id"] for d in told["decisions"]] == [made["decision_id"]]
    for question in ({"link": edge["link_id"]}, {"profile": made["profile_id"]}, {"decision": made["decision_id"]}):
        back = agreed(await api.get("/v1/lineage", **question))
        assert [e["id"] for e in back["events"]] == [sent["id"]], question
    path = f"/v1/events/web/{sent['id']}/lineage"
    picture = await api.call("GET", path, headers={"accept": "text/vnd.mermaid"})
    assert picture.headers["content-type"].startswith("text/vnd.mermaid")
    drawn = picture.body.decode()
    assert drawn.startswith("flowchart LR") and drawn == told["mermaid"]
    for shown in (edge["link_id"], made["profile_id"], "advertising allow", "advertising granted"):
        assert shown in drawn
    assert m.split(":")[1] not in drawn, "a picture is pasted anywhere"
    refused(await api.get("/v1/events/web/no-such/lineage"), 404, "unknown_event")
    refused(await api.get("/v1/lineage"), 422)
    refused(await api.get("/v1/lineage", link="lnk_none"), 404, "unknown_link")
    refused(await api.get("/v1/lineage", profile="prf_none"), 404, "unknown_profile")
    refused(await api.get("/v1/lineage", decision="dec_none"), 404, "unknown_decision")


# ---- erasure


@pytest.mark.parametrize("again", ["the same", "another"])
async def test_erasure_takes_events_and_quarantine_with_it(api: Api, shelf: Shelf, again: str) -> None:
    c, m = fresh("cookie_id"), fresh("email_sha256")
    value = m.split(":")[1]
    sent = event(c, m, time=at(HOUR))
    bad = event(c, m, data={"nickname": 1})
    kept = await send(api, sent, bad)
    assert statuses(kept) == ["accepted", "quarantined"]
    assert (await api.post("/v1/revocations", {"identifier": named(m), "scope": "erase"})).status == 200
    where = "any(k IN keys(x) WHERE coalesce(toStringOrNull(x[k]), '') CONTAINS $v)"
    rows = await shelf.driver.execute_query(f"MATCH (x) WHERE {where} RETURN labels(x)", {"v": value})
    assert not rows.records
    refused(await api.get(f"/v1/events/web/{sent['id']}/lineage"), 410, "erased")
    if again == "the same":
        assert statuses(await send(api, sent)) == ["duplicate"]
    else:
        reply = await api.post("/v1/events", event(c, m, time=at(HOUR)))
        assert [e["code"] for e in reply.results[0]["errors"]] == ["erased"]
        assert value.encode() not in reply.body
    assert (await api.lookup(m)).status == 404
    assert (await api.lookup(c)).names == [c]
    await asyncio.sleep(0.01)
    new = event(fresh(), m, time=rfc3339(now_ms()), data={"consent": {"advertising": "granted"}, "regulation": "GDPR"})
    assert statuses(await send(api, new)) == ["accepted"], "fresh consent, by any channel, begins a new person"
    assert m in (await api.lookup(m)).names

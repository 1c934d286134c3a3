"""Policy versions on real stores: drafted, in force on every instance at once, rolled back; profiles follow."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.local import Stores
from service.model.changes import Origin, ResolveAnew
from service.settings import Settings
from tests.service.instances import Api, Instance, Json, Reply, fresh, link, named, opened, refused
from tests.service.worlds import agreed, tail

Change = Callable[[Json], object]


async def document(api: Api) -> Json:
    """The document in force."""
    found: Json = agreed(await api.get("/v1/policies/active"))["policy"]
    return found


async def draft(api: Api, change: Change) -> Reply:
    """Draft the document in force with something changed."""
    changed = copy.deepcopy(await document(api))
    change(changed)
    return await api.post("/v1/policies", changed)


async def activate(api: Api, version: int, wait: float = 20) -> Json:
    """Put a version in force."""
    found: Json = agreed(await api.post(f"/v1/policies/{version}/activate?wait={wait}", {}))
    return found


@asynccontextmanager
async def policy(api: Api, change: Change) -> AsyncIterator[int]:
    """Another policy for a while."""
    before = agreed(await api.get("/v1/policies/active"))["version"]
    version = agreed(await draft(api, change))["version"]
    try:
        await activate(api, version)
        yield version
    finally:
        await activate(api, before)


def limit(**rules: Any) -> Change:
    """Change the rules of a namespace."""
    return lambda x: [x["namespaces"][name].update(rule) for name, rule in rules.items()]


# ---- drafts


async def test_a_draft_has_a_version_of_its_own_and_changes_nothing(api: Api) -> None:
    before = agreed(await api.get("/v1/policies/active"))
    made = agreed(await draft(api, lambda x: x.update(name="another")))
    assert made["version"] > before["version"] and made["status"] == "draft" and made["failing"] == []
    assert agreed(await api.get("/v1/policies/active"))["version"] == before["version"]
    kept = agreed(await api.get(f"/v1/policies/{made['version']}"))
    assert kept["policy"]["name"] == "another" and kept["activated_at"] is None
    first = agreed(await api.get("/v1/policies", limit=1))
    assert first["items"][0]["version"] == made["version"] and first["next_cursor"] == str(made["version"])
    assert agreed(await api.get("/v1/policies", cursor=first["next_cursor"]))["items"][0]["version"] < made["version"]
    for version in ("0", "999999", "x", "1e3"):
        refused(await api.get(f"/v1/policies/{version}"), 404, "unknown_policy")
        refused(await api.post(f"/v1/policies/{version}/activate", {}), 404, "unknown_policy")


@pytest.mark.parametrize(
    ("pointer", "change"),
    [
        ("/destinations/esp/purpose", lambda x: x["destinations"]["esp"].update(purpose="none_such")),
        ("/destinations/esp/namespaces", lambda x: x["destinations"]["esp"].update(namespaces=["none_such"])),
        ("/audiences/recent_buyers/when", lambda x: x["audiences"]["recent_buyers"].update(when="traits.x <")),
        ("/audiences/recent_buyers/when", lambda x: x["audiences"]["recent_buyers"].update(when="other > 1")),
        ("/audiences/recent_buyers/purpose", lambda x: x["audiences"]["recent_buyers"].update(purpose="none_such")),
        ("/identity/linking_purpose", lambda x: x["identity"].update(linking_purpose="none_such")),
        (
            "/consent/regulations/GDPR/unset",
            lambda x: x["consent"]["regulations"]["GDPR"].update(unset={"z": "denied"}),
        ),
        ("/decisions/max_age", lambda x: x.update(decisions={"max_age": "a day"})),
        ("/namespaces/crm_id/pattern", lambda x: x["namespaces"]["crm_id"].update(pattern="(")),
        ("/namespaces", lambda x: x.pop("namespaces")),
        ("/extra", lambda x: x.update(extra=1)),
    ],
)
async def test_what_is_wrong_with_a_document_is_said_with_its_place(api: Api, pointer: str, change: Change) -> None:
    reply = await draft(api, change)
    refused(reply, 422, "invalid")
    assert any(found.startswith(pointer) for found in reply.pointers), reply


async def test_a_namespace_in_use_is_neither_dropped_nor_read_otherwise(api: Api) -> None:
    await api.links(link(fresh("login_id"), fresh("device_id")))
    for pointer, change in (
        ("/namespaces/login_id", lambda x: x["namespaces"].pop("login_id")),
        ("/namespaces/login_id/fold_case", limit(login_id={"fold_case": True})),
        ("/namespaces/login_id/kind", limit(login_id={"kind": "household"})),
    ):
        reply = await draft(api, change)
        refused(reply, 422, "invalid")
        assert reply.pointers == [pointer]


async def test_examples_that_do_not_hold_keep_a_version_out_of_force(api: Api) -> None:
    asked = {"identifier": "crm_id:1", "destination": "esp"}
    said = [
        {"identifier": "email_sha256:" + "ab" * 32, "purposes": {"email_marketing": "granted"}, "regulation": "GDPR"}
    ]
    given = {"links": [{"a": "crm_id:1", "b": said[0]["identifier"]}], "consents": said}
    expect = {"outcome": "allow", "namespaces": ["crm_id", "email_sha256"], "reasons": ["ok"], "basis": "consent"}
    holds = {"name": "granted", "given": given, "request": asked, "expect": expect}
    fails = {"name": "not", "given": {"identifiers": ["crm_id:1"]}, "request": asked, "expect": {"outcome": "allow"}}
    made = agreed(await draft(api, lambda x: x.update(tests=[holds, fails])))
    assert made["failing"] == ["/tests/1/expect/outcome"]
    reply = await api.post(f"/v1/policies/{made['version']}/activate", {})
    refused(reply, 422, "policy_examples_fail")
    assert reply.pointers == ["/tests/1/expect/outcome"]
    async with policy(api, lambda x: x.update(tests=[holds])):
        pass


# ---- in force


async def test_an_activation_is_seen_by_every_instance_before_it_is_answered(api: Api, second: Instance) -> None:
    person = fresh()
    await api.links(link(person, fresh("device_id")))
    ask = {"identifier": named(person), "destination": "warehouse"}
    first = agreed(await api.get("/v1/policies/active"))["version"]
    other = agreed(await draft(api, lambda x: x["destinations"]["warehouse"].update(granularity="aggregate")))[
        "version"
    ]
    for _ in range(3):
        for version, act in ((other, f"/v1/policies/{other}/activate"), (first, "/v1/policies/rollback")):
            for one in (api, second.api):
                await one.lookup(person)
                await one.lookup(person)
            agreed(await api.post(act, {}))
            found = await asyncio.gather(
                *(second.api.lookup(person) for _ in range(3)),
                *(api.lookup(person, purpose="analytics") for _ in range(3)),
            )
            assert {reply.json["policy_version"] for reply in found} == {version}
            decided = agreed(await second.api.post("/v1/decisions", ask))
            assert decided["policy_version"] == version
            assert decided["granularity"] == ("aggregate" if version == other else "pseudonymous")


async def test_what_only_the_new_version_knows_is_taken_at_once_by_an_instance_that_has_not_turned(
    api: Api, second: Instance
) -> None:
    await second.api.lookup(fresh())
    async with policy(api, lambda x: x["namespaces"].update(loyalty_id={"kind": "person", "priority": 2})):
        refused(await second.api.lookup(fresh("loyalty_id")), 404, "unknown_identifier")
    refused(await second.api.lookup(fresh("loyalty_id")), 422)


async def test_activation_and_roll_back_are_told_and_audited(api: Api) -> None:
    _, after = await tail(api)
    first = agreed(await api.get("/v1/policies/active"))["version"]
    version = agreed(await draft(api, lambda x: x.update(name="told")))["version"]
    shown = agreed(await api.post(f"/v1/policies/{version}/activate", {"reason": "why not"}))
    assert shown["status"] == "active" and shown["resolution"] == {"state": "done", "done": 0, "total": 0}
    again = agreed(await api.post(f"/v1/policies/{version}/activate", {}))
    assert again["version"] == version
    back = agreed(await api.post("/v1/policies/rollback", {}))
    assert back["version"] == first
    told = [item for item in (await tail(api, after))[0] if item["type"] == "policy.activated"]
    assert [(item["policy_version"], item["former"]) for item in told] == [(version, first), (first, version)]
    assert all(item["profile_id"] is None for item in told)
    entries = agreed(await api.get("/v1/audit", action="policy.activated", limit=1))["items"]
    assert entries[0]["outcome"] == f"version {version}"
    entries = agreed(await api.get("/v1/audit", action="policy.rolled_back", limit=1))["items"]
    assert entries[0]["outcome"] == f"version {first}"
    assert agreed(await api.get("/v1/audit/verify"))["ok"]


async def test_a_past_view_is_shown_under_the_policy_of_its_time(api: Api) -> None:
    person = fresh()
    await api.links(link(person, fresh("device_id")))
    async with policy(api, lambda x: x.update(name="past")) as version:
        at = agreed(await api.lookup(person))
        await asyncio.sleep(0.02)
        moment = agreed(await api.post("/v1/decisions", {"identifier": named(person), "destination": "esp"}))[
            "decided_at"
        ]
        await asyncio.sleep(0.02)
        assert at["policy_version"] == version
    assert agreed(await api.lookup(person))["policy_version"] != version
    assert agreed(await api.lookup(person, as_of=moment))["policy_version"] == version


# ---- profiles follow


async def test_a_stricter_limit_splits_and_its_roll_back_joins_again(api: Api) -> None:
    customer, one, two = fresh(), fresh("email_sha256"), fresh("email_sha256")
    await api.links(link(customer, one), link(customer, two))
    whole = agreed(await api.lookup(customer))
    async with policy(api, limit(email_sha256={"max_per_profile": 1})):
        assert len({await api.profile_id(key) for key in (one, two)}) == 2
        shown = agreed(await api.get("/v1/policies/active"))["resolution"]
        assert shown["state"] == "done" and shown["done"] == shown["total"] > 0
    assert {key: await api.profile_id(key) for key in (one, two)} == dict.fromkeys((one, two), whole["profile_id"])


async def test_thresholds_lives_and_blocked_values_are_applied_to_what_is_there(api: Api) -> None:
    a, b, c, d, e, f, g, h = (fresh(name) for name in ("crm_id", "device_id") * 4)
    await api.links(link(a, b, confidence=0.6), link(c, d), link(e, f, observed_at="2026-01-01T00:00:00Z"))
    await api.links({name: said for name, said in link(g, h, source="believed").items() if name != "confidence"})
    assert [len((await api.lookup(key)).names) for key in (a, c, e, g)] == [2, 2, 2, 2]
    hidden = d.partition(":")[2]

    def stricter(x: Json) -> None:
        x["identity"]["min_confidence"]["deterministic"] = 0.7
        x["blocked_values"].append(hidden)
        x["namespaces"]["device_id"]["ttl"] = "P30D"
        x["sources"]["believed"] = {"confidence": 0.1}

    async with policy(api, stricter):
        assert [len((await api.lookup(key)).names) for key in (a, c, e, g)] == [1, 1, 1, 1]
        refused(await api.lookup(d), 422)
    assert [len((await api.lookup(key)).names) for key in (a, c, e, g)] == [2, 2, 2, 2]


# ---- tried out


async def test_a_simulation_says_what_an_activation_then_does_and_changes_nothing(api: Api) -> None:
    customer, one, two = fresh(), fresh("email_sha256"), fresh("email_sha256")
    await api.links(link(customer, one), link(customer, two), link(fresh(), fresh("device_id")))
    said = {"purposes": {"email_marketing": "granted"}, "regulation": "GDPR", "source": "t"}
    agreed(await api.post("/v1/consents", {"identifier": named(one), **said}))
    first = agreed(await api.get("/v1/policies/active"))["version"]

    def other(x: Json) -> None:
        x["namespaces"]["email_sha256"]["max_per_profile"] = 1
        x["destinations"]["esp"]["purpose"] = "advertising"

    version = agreed(await draft(api, other))["version"]
    found = agreed(await api.post(f"/v1/policies/{version}/simulate", {}))
    assert found["complete"] and found["profiles"]["split"] >= 1 and found["profiles"]["unchanged"] > 0
    flips = {(flip["destination"], flip["from"], flip["to"]): flip["count"] for flip in found["decisions"]["flipped"]}
    assert flips["esp", "allow", "withhold"] >= 1
    kinds = {example["kind"] for example in found["examples"]}
    assert kinds == {"profile", "decision"}
    assert agreed(await api.get("/v1/policies/active"))["version"] == first
    assert len((await api.lookup(customer)).names) == 3
    before = agreed(await api.post("/v1/policies/" + str(first) + "/simulate", {}))
    assert before["profiles"]["split"] == before["profiles"]["merged"] == 0 and before["decisions"]["flipped"] == []
    _, after = await tail(api)
    await activate(api, version)
    try:
        split = {item["profile_id"] for item in (await tail(api, after))[0] if item["type"] == "profile.split"}
        assert len(split) == found["profiles"]["split"]
    finally:
        agreed(await api.post("/v1/policies/rollback?wait=20", {}))
    refused(await api.post("/v1/policies/999999/simulate", {}), 404, "unknown_policy")


# ---- stopped midway


async def test_a_pass_goes_on_where_it_stopped_on_whichever_instance_is_there(
    api: Api, instance: Instance, instance_settings: Settings, stores: Stores
) -> None:
    await instance.assembled.services.follower.stop()  # as if it were killed
    hubs = [(fresh(), fresh("email_sha256"), fresh("email_sha256")) for _ in range(120)]
    await api.links(*(link(hub, mail) for hub, *mails in hubs for mail in mails))
    first = agreed(await api.get("/v1/policies/active"))["version"]
    version = agreed(await draft(api, limit(email_sha256={"max_per_profile": 1})))["version"]
    shown = agreed(await api.post(f"/v1/policies/{version}/activate", {}))["resolution"]
    assert shown["state"] == "running" and shown["done"] == 0 and shown["total"] >= 360
    write_path = instance.assembled.services.write_path
    await write_path.submit([ResolveAnew(50)], Origin("test"), lambda _: (200, b""))
    shown = agreed(await api.get("/v1/policies/active"))["resolution"]
    assert shown == {"state": "running", "done": 50, "total": shown["total"]}
    agreed(await api.post(f"/v1/policies/{first}/activate", {}))  # another change before the first is through
    agreed(await api.post(f"/v1/policies/{version}/activate", {}))
    async with opened(instance_settings, stores) as other:
        for _ in range(4):  # on a machine that is busy it takes its time
            shown = agreed(await other.api.get("/v1/policies/active?wait=30"))["resolution"]
            if shown["state"] == "done":
                break
        assert shown["state"] == "done"
        found = [[await other.api.profile_id(mail) for mail in mails] for _, *mails in hubs[:20]]
        assert all(one != two for one, two in found)
        await activate(other.api, first, wait=60)
        found = [[await other.api.profile_id(mail) for mail in mails] for _, *mails in hubs[:20]]
        assert all(one == two for one, two in found)
    instance.assembled.services.follower.start()

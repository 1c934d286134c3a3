"""Traits and audiences on real stores: what is shown to whom, who is a member, and that time and consent end it."""

from __future__ import annotations

import asyncio
import time

from service.clock import now_ms
from service.model.times import rfc3339
from tests.service.instances import Api, Instance, Json, fresh, link, name, named, refused
from tests.service.test_policies import policy
from tests.service.worlds import agreed, tail


async def report(api: Api, key: str, source: str = "web", at: int | None = None, **traits: object) -> Json:
    """Report traits of one identifier."""
    when = {} if at is None else {"observed_at": rfc3339(at)}
    body = {"identifier": named(key), "traits": traits, "source": source, **when}
    found: Json = (await api.post("/v1/traits", body)).results[0]
    return found


async def say(api: Api, key: str, **purposes: str) -> None:
    """Record consents."""
    body = {"identifier": named(key), "purposes": purposes, "regulation": "GDPR", "source": "t"}
    agreed(await api.post("/v1/consents", body))


async def members(api: Api, audience: str, destination: str, limit: int = 100) -> list[Json]:
    """All members, page by page."""
    found: list[Json] = []
    cursor = None
    while True:
        asked = {"destination": destination, "limit": limit} | ({} if cursor is None else {"cursor": cursor})
        page = agreed(await api.get(f"/v1/audiences/{audience}/members", **asked))
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def inside(api: Api, audience: str, destination: str) -> set[str]:
    """The identifiers of all members."""
    return {name(given) for member in await members(api, audience, destination) for given in member["identifiers"]}


async def buyer(api: Api, days: float = 0, **purposes: str) -> str:
    """An e-mail of somebody who bought so many days ago."""
    mail = fresh("email_sha256")
    await api.links(link(mail, fresh()))
    await report(api, mail, last_order_at=rfc3339(now_ms() - int(days * 86_400_000)))
    if purposes:
        await say(api, mail, **purposes)
    return mail


async def told_of(api: Api, after: int, profile_id: str) -> list[tuple[str, str]]:
    """What the feed tells of a profile and audiences."""
    items = (await tail(api, after))[0]
    return [(i["type"], i["audience"]) for i in items if i["profile_id"] == profile_id and "audience" in i]


async def test_the_newest_of_each_source_counts_and_a_split_gives_each_side_its_own(api: Api) -> None:
    a, b = fresh(), fresh("device_id")
    await api.links(link(a, b))
    now = now_ms()
    assert (await report(api, a, at=now - 5_000, plan="gold"))["status"] == "accepted"
    assert (await report(api, a, at=now - 5_000, plan="gold"))["status"] == "duplicate"
    assert (await report(api, a, at=now - 9_000, plan="older"))["status"] == "accepted"  # it was seen earlier
    assert agreed(await api.lookup(a))["traits"]["plan"]["value"] == "gold"
    await report(api, b, source="app", at=now - 1_000, plan="silver", city=None, tags=["x", 1, True])
    shown = agreed(await api.lookup(a))["traits"]
    assert shown["plan"] == {"value": "silver", "source": "app", "at": rfc3339(now - 1_000)}
    assert shown["tags"]["value"] == ["x", 1, True] and "city" not in shown
    async with policy(api, lambda x: x["sources"]["web"].update(priority=1)):
        assert agreed(await api.lookup(a))["traits"]["plan"]["value"] == "gold"
    profile = await api.profile_id(a)
    agreed(await api.post(f"/v1/profiles/{profile}/split", {"identifiers": [named(b)], "reason": "r"}))
    assert agreed(await api.lookup(a))["traits"]["plan"]["value"] == "gold"
    assert agreed(await api.lookup(b))["traits"]["plan"]["value"] == "silver"


async def test_traits_are_shown_only_for_what_is_permitted_and_to_whom_the_rule_names(api: Api) -> None:
    a = fresh()
    await api.links(link(a, fresh("device_id")))
    await report(api, a, plan="gold", city="x")
    await say(api, a, advertising="denied")
    assert agreed(await api.lookup(a, purpose="advertising"))["traits"] == {}
    assert set(agreed(await api.lookup(a, purpose="analytics"))["traits"]) == {"plan", "city"}
    ask = {"identifier": named(a), "destination": "warehouse"}
    assert set(agreed(await api.post("/v1/decisions", ask))["traits"]) == {"plan", "city"}
    async with policy(api, lambda x: x["destinations"]["warehouse"].update(traits=["plan"])):
        assert set(agreed(await api.post("/v1/decisions", ask))["traits"]) == {"plan"}


async def test_an_identifier_with_nothing_but_traits_is_known_alone(api: Api) -> None:
    key = fresh()
    found = await report(api, key, plan="gold")
    shown = agreed(await api.lookup(key))
    assert shown["profile_id"] == found["profile_id"] and (await api.lookup(key)).names == [key]


async def test_what_is_no_trait_is_refused_in_its_place(api: Api) -> None:
    good = {"identifier": named(fresh()), "traits": {"plan": "x"}, "source": "web"}
    bad = [{**good, "traits": t} for t in ({}, {"Plan": 1}, {"plan": {"a": 1}}, {"plan": "x" * 2_000}, {"plan": [[1]]})]
    results = (await api.post("/v1/traits", {"traits": [good, *bad, {**good, "source": ""}]})).results
    assert [found["status"] for found in results] == ["accepted"] + ["rejected"] * 6
    for body in bad:
        refused(await api.post("/v1/traits", body), 422, "invalid")


async def test_members_are_those_who_fit_and_permit_each_as_a_recorded_decision(api: Api, second: Instance) -> None:
    _, start = await tail(api)
    yes = await buyer(api, advertising="granted", email_marketing="granted")
    no = await buyer(api, advertising="denied", email_marketing="granted")
    late = await buyer(api, 40, advertising="granted")
    unasked = await buyer(api)
    gone = await buyer(api, advertising="granted")
    got = await inside(second.api, "recent_buyers", "meta_ads")
    assert {yes, gone} <= got and not got & {no, late, unasked}
    got = await inside(api, "recent_buyers", "esp")
    assert yes in got and not got & {no, gone}
    paged = await members(api.role("activation"), "recent_buyers", "meta_ads", limit=1)
    ids = [member["profile_id"] for member in paged]
    assert len(ids) == len(set(ids)) >= 2
    for member in paged:
        assert member["outcome"] in ("allow", "limit") and "recent_buyers" in member["audiences"]
        assert agreed(await api.get(f"/v1/decisions/{member['decision_id']}")) == member
    profile = await api.profile_id(gone)
    told = [
        (i["type"], i["audience"])
        for i in (await tail(api, start))[0]
        if i["profile_id"] == profile and "audience" in i
    ]
    assert told == [("audience.entered", "recent_buyers")]
    revocation = {"identifier": named(gone), "scope": "purposes", "purposes": ["advertising"], "source": "t"}
    agreed(await api.post("/v1/revocations", revocation))
    assert gone not in await inside(second.api, "recent_buyers", "meta_ads")
    told = [
        (i["type"], i["audience"])
        for i in (await tail(api, start))[0]
        if i["profile_id"] == profile and "audience" in i
    ]
    assert told[-1] == ("audience.left", "recent_buyers")


async def test_time_alone_ends_a_membership(api: Api) -> None:
    rule = {
        "when": "now - timestamp(traits.last_order_at) < duration('3s')",
        "purpose": "advertising",
        "refresh": "PT1S",
    }
    async with policy(api, lambda x: x["audiences"].update(just_now=rule)):
        _, start = await tail(api)
        mail = await buyer(api, advertising="granted")
        began, profile = time.monotonic(), await api.profile_id(mail)
        assert mail in await inside(api, "just_now", "meta_ads")
        while mail in await inside(api, "just_now", "meta_ads"):
            assert time.monotonic() < began + 9
            await asyncio.sleep(0.2)
        while True:
            told = [
                i["type"]
                for i in (await tail(api, start))[0]
                if i["profile_id"] == profile and i.get("audience") == "just_now"
            ]
            if told == ["audience.entered", "audience.left"]:
                break
            assert time.monotonic() < began + 15, told
            await asyncio.sleep(0.2)


async def test_an_audience_of_a_new_policy_has_those_who_fit_it_already(api: Api) -> None:
    mail = await buyer(api, 100, advertising="granted")
    rule = {"when": "has(traits.last_order_at)", "purpose": "advertising"}
    async with policy(api, lambda x: x["audiences"].update(ever_bought=rule)):
        for _ in range(60):
            if mail in await inside(api, "ever_bought", "meta_ads"):
                break
            await asyncio.sleep(0.2)
        else:
            raise AssertionError("nobody looked")
    refused(await api.get("/v1/audiences/ever_bought/members", destination="meta_ads"), 404, "unknown_audience")
    refused(await api.get("/v1/audiences/recent_buyers/members", destination="none"), 422, "invalid")
    refused(await api.get("/v1/audiences/recent_buyers/members"), 422, "invalid")

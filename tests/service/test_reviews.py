"""The review queue: what comes in, in which order, what leaves it, and that nothing decided is asked again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service.clock import now_ms
from service.commands.gauges import Gauges
from service.model.times import rfc3339
from service.telemetry import METRICS
from tests.service.instances import Api, Instance, Json, Reply, fresh, link, name, named
from tests.service.worlds import agreed, until

OLD = "2026-01-02T00:00:00Z"
Pair = tuple[str, str]


async def open_at(api: Api, key: str, status: str = "open") -> list[Json]:
    """Items at one identifier."""
    found: list[Json] = agreed(await api.get("/v1/reviews", status=status, identifier=key))["items"]
    return found


async def queue(api: Api, limit: int, status: str = "open") -> list[Json]:
    """The whole queue, in pages."""
    items: list[Json] = []
    cursor: dict[str, Any] = {}
    while True:
        page = agreed(await api.get("/v1/reviews", status=status, limit=limit, **cursor))
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


async def judge(api: Api, item: Json, verdict: str, **more: object) -> Reply:
    """A verdict on an item."""
    return await api.post(f"/v1/reviews/{item['review_id']}", {"verdict": verdict, "reason": "r", **more})


def ends(item: Json) -> set[str]:
    """The pair that an item is about."""
    return {name(item["link"]["a"]), name(item["link"]["b"])}


async def probable(api: Api, confidence: float = 0.7, **more: object) -> Pair:
    """A pair that is probably one person."""
    pair = (fresh("login_id"), fresh("cookie_id"))
    await api.links(link(*pair, method="probabilistic", confidence=confidence, **more))
    return pair


async def together(api: Api, *keys: str) -> bool:
    """Whether all are in one profile."""
    return len({await api.profile_id(key) for key in keys}) == 1


@pytest.mark.parametrize(
    ("method", "confidence", "comes"),
    [
        ("probabilistic", 0.59, False),
        ("probabilistic", 0.6, True),
        ("probabilistic", 0.89, True),
        ("probabilistic", 0.9, False),
        ("deterministic", 0.49, False),
    ],
)
async def test_probable_links_under_the_threshold(api: Api, method: str, confidence: float, comes: bool) -> None:
    a, b = fresh("login_id"), fresh("cookie_id")
    (result,) = await api.links(link(a, b, method=method, confidence=confidence))
    items = await open_at(api, a)
    assert len(items) == comes
    if comes:
        (item,) = items
        assert item["reason"] == result["reason"] == item["link"]["reason"] == "below_confidence"
        assert item["review_id"] == "rvw_" + result["link_id"].removeprefix("lnk_")
        assert item["status"] == "open" and ends(item) == {a, b}
        assert await open_at(api, b) == items


async def test_links_that_a_limit_refuses(api: Api) -> None:
    customer, device, rival = fresh(), fresh("device_id"), fresh()
    await api.links(link(customer, device), link(rival, device, observed_at=OLD))
    (item,) = await open_at(api, rival)
    assert item["reason"] == "namespace_limit" and ends(item) == {rival, device}


async def test_links_that_a_third_ones_assertion_refuses_but_not_what_was_said_outright(api: Api) -> None:
    kept, gone, both = fresh("login_id"), fresh("email_sha256"), fresh("device_id")
    await api.links(link(kept, gone))
    body = {"identifiers": [named(gone)], "reason": "r"}
    await api.post(f"/v1/profiles/{await api.profile_id(kept)}/split", body)
    (again,) = await api.links(link(kept, gone, source="web", confidence=1.0))
    assert again["reason"] == "asserted_different"
    assert await open_at(api, kept) == await open_at(api, gone) == []
    await api.links(link(kept, both), link(gone, both))
    (item,) = await open_at(api, both)
    assert item["reason"] == "asserted_different"
    assert not await together(api, kept, gone)


async def test_one_item_for_a_pair_and_not_for_shared_ones_or_households(api: Api) -> None:
    a, b = await probable(api)
    await api.links(
        link(a, b, method="probabilistic", confidence=0.8, source="web"),
        link(b, a, method="probabilistic", confidence=0.75, rule="other"),
        link(a, fresh("household_id"), method="probabilistic", confidence=0.8),
    )
    (item,) = await open_at(api, a)
    assert item["link"]["confidence"] == 0.8, "the surest speaks for the pair"
    kiosk = fresh("device_id")
    await api.links(*(link(fresh("login_id"), kiosk) for _ in range(12)))
    assert await open_at(api, kiosk) == []


@pytest.mark.parametrize("verdict", ["same", "different", "dismiss"])
async def test_decided_is_never_asked_again_whatever_arrives(api: Api, verdict: str) -> None:
    a, b = await probable(api)
    (item,) = await open_at(api, a)
    answer = agreed(await judge(api, item, verdict))
    status = {"dismiss": "dismissed"}.get(verdict, verdict)
    assert (answer["review_id"], answer["status"], answer["applied"]) == (item["review_id"], status, True)
    assert (answer["assertion_id"] is None) == (verdict == "dismiss")
    assert await together(api, a, b) == (verdict == "same")
    for more in ({"rule": "other"}, {"source": "web"}, {"confidence": 0.85}, {"observed_at": OLD, "rule": "old"}):
        await api.links(link(a, b, **{"method": "probabilistic", "confidence": 0.7, **more}))
        assert await open_at(api, a) == []
    await api.links(link(a, fresh("email_sha256")), link(b, fresh("device_id")))
    assert await open_at(api, a) == await open_at(api, b) == []
    assert item["review_id"] in {closed["review_id"] for closed in await open_at(api, a, status)}
    assert item["review_id"] in {closed["review_id"] for closed in await queue(api, 200, status)}
    assert agreed(await judge(api, item, verdict))["applied"] is False
    for other in {"same", "different", "dismiss"} - {verdict}:
        assert (await judge(api, item, other)).status == 409
    if verdict != "dismiss":
        undone = await api.post(f"/v1/assertions/{answer['assertion_id']}/undo", {"reason": "r"})
        assert agreed(undone)["applied"] is True
        assert not await together(api, a, b) and await open_at(api, a) == []


async def test_strong_evidence_joins_dismissed_ones_and_not_different_ones(api: Api) -> None:
    dismissed, different = await probable(api), await probable(api)
    answers = []
    for pair, verdict in ((dismissed, "dismiss"), (different, "different")):
        answers.append(agreed(await judge(api, (await open_at(api, pair[0]))[0], verdict)))
        await api.links(link(*pair, confidence=1.0))
    assert await together(api, *dismissed) and not await together(api, *different)
    await api.post(f"/v1/assertions/{answers[1]['assertion_id']}/undo", {"reason": "r"})
    assert await together(api, *different)


async def test_pairs_joined_meanwhile_leave_the_queue(api: Api) -> None:
    a, b = await probable(api)
    third = fresh("email_sha256")
    await api.links(link(a, third), link(b, third))
    assert await together(api, a, b) and await open_at(api, a) == []
    assert not [item for item in await queue(api, 500) if ends(item) == {a, b}]
    c, d = await probable(api)
    await api.links(link(c, d))
    assert await together(api, c, d) and await open_at(api, c) == []


async def test_retracted_ones_leave_the_queue(api: Api) -> None:
    a, b = await probable(api)
    (item,) = await open_at(api, a)
    await api.call("DELETE", f"/v1/links/{item['link']['link_id']}", params={"reason": "r"})
    assert await open_at(api, a) == []
    assert (await judge(api, item, "same")).status == 404
    assert not await together(api, a, b)


async def test_who_may_not_be_linked_is_not_asked_about(api: Api) -> None:
    a, b = await probable(api)
    body = {"identifier": named(b), "scope": "linking", "reason": "r"}
    assert (await api.post("/v1/revocations", body)).status == 200
    assert await open_at(api, a) == []
    assert not [item for item in await queue(api, 500) if ends(item) == {a, b}]
    consent = {"identifier": named(b), "purposes": {"identity_linking": "granted"}, "source": "cmp"}
    assert (await api.post("/v1/consents", consent)).status == 200
    assert len(await open_at(api, a)) == 1


async def test_sorted_by_worth_and_pages_stay(api: Api) -> None:
    """More identifiers, more of a person's own, surer: worth more. What is decided between two pages shifts nothing."""
    small, sure = await probable(api, 0.7), await probable(api, 0.85)
    large = (fresh("login_id"), fresh("login_id"))
    await api.links(*(link(large[0], fresh("email_sha256")) for _ in range(3)), link(large[1], fresh("phone_sha256")))
    await api.links(link(*large, method="probabilistic", confidence=0.7))
    pairs = [await probable(api, 0.6 + place / 100) for place in range(9)]
    whole = await queue(api, 1_000)
    worths = [item["worth"] for item in whole]
    assert worths == sorted(worths, reverse=True)
    mine = [ends(item) for item in whole if ends(item) in ({*small}, {*sure}, {*large})]
    assert mine == [{*large}, {*sure}, {*small}]
    assert await queue(api, 7) == whole
    first = agreed(await api.get("/v1/reviews", limit=len(whole) // 2))
    await judge(api, first["items"][-1], "dismiss")
    await judge(api, first["items"][0], "dismiss")
    rest = agreed(await api.get("/v1/reviews", limit=1_000, cursor=first["next_cursor"]))["items"]
    assert [*first["items"], *rest] == whole
    assert len({item["review_id"] for item in whole}) == len(whole) >= len(pairs) + 3


async def test_worth_follows_what_would_be_joined(api: Api) -> None:
    a, b = await probable(api)
    (before,) = await open_at(api, a)
    added = await api.links(*(link(a, fresh("email_sha256")) for _ in range(4)))
    (after,) = await open_at(api, a)
    assert after["worth"] == pytest.approx(before["worth"] + 0.7 * 8)
    await api.links(link(b, fresh("device_id")))
    (larger,) = await open_at(api, a)
    assert larger["worth"] == pytest.approx(after["worth"] + 0.7)
    await api.call("DELETE", f"/v1/links/{added[0]['link_id']}", params={"reason": "r"})
    (smaller,) = await open_at(api, b)
    assert smaller["worth"] == pytest.approx(larger["worth"] - 0.7 * 2)


async def test_an_item_ends_with_its_link(api: Api) -> None:
    """Under the threshold it bears on no profile, and all the same a person need not decide on what is over."""
    due = now_ms() + 8_000
    a, b = await probable(api, 0.8, expires_at=rfc3339(due))
    await api.links(link(a, b, method="probabilistic", confidence=0.7, rule="other"))
    (item,) = await open_at(api, a)
    assert item["link"]["confidence"] == 0.8
    await until(due)
    assert [one["link"]["confidence"] for one in await open_at(api, a)] in ([], [0.7])
    for _ in range(20):  # the sweep comes every second, on an idle machine
        await until(now_ms() + 500)
        if left := await open_at(api, a):
            break
    (other,) = left
    assert other["link"]["confidence"] == 0.7, "what is left speaks for the pair"
    assert (await judge(api, item, "same")).status == 404
    graph = agreed(await api.get(f"/v1/profiles/{await api.profile_id(a)}/graph"))
    assert {edge["confidence"]: edge["reason"] for edge in graph["edges"]} == {0.8: "expired", 0.7: "below_confidence"}


async def test_two_golden_records_of_one_source(api: Api) -> None:
    """S10: a third matches two; accepted to both, it is in one profile; said different, the second is refused."""
    for said in (False, True):
        one, two, third = fresh(), fresh(), fresh("cookie_id")
        await api.links(link(one, fresh("login_id")), link(two, fresh("login_id")))
        if said:
            doubt = link(one, two, method="probabilistic", confidence=0.8)
            await api.links(doubt)
            (duplicate,) = await open_at(api, two)
            agreed(await judge(api, duplicate, "different"))
        for golden in (one, two):
            await api.links(link(third, golden, method="probabilistic", confidence=0.8))
        items = {frozenset(ends(item)): item for item in await open_at(api, third)}
        assert set(items) == {frozenset((third, one)), frozenset((third, two))}
        agreed(await judge(api, items[frozenset((third, one))], "same"))
        second = await judge(api, items[frozenset((third, two))], "same")
        assert await together(api, third, one)
        if said:
            assert second.status == 409 and second.json["code"] == "asserted_different"
            assert not await together(api, one, two)
            assert agreed(await judge(api, items[frozenset((third, two))], "different"))["applied"] is True
            await api.links(link(third, two, method="probabilistic", confidence=0.85, source="web"))
            assert await open_at(api, third) == []
        else:
            assert second.status == 200 and await together(api, third, one, two)


async def test_two_stewards_at_once(api: Api) -> None:
    a, b = await probable(api)
    (item,) = await open_at(api, a)
    replies = await asyncio.gather(judge(api, item, "same"), judge(api, item, "different"))
    assert sorted(reply.status for reply in replies) == [200, 409]
    first = next(reply.json["status"] for reply in replies if reply.status == 200)
    assert await together(api, a, b) == (first == "same")
    assert len(agreed(await api.get("/v1/assertions", identifier=a))["items"]) == 1


async def test_what_is_refused(api: Api) -> None:
    a, _ = await probable(api)
    (item,) = await open_at(api, a)
    assert (await judge(api, item, "perhaps")).status == 422
    assert (await judge(api, {"review_id": "rvw_nothing"}, "same")).status == 404
    assert (await judge(api, {"review_id": "lnk_nothing"}, "same")).status == 404
    accepted = (await api.links(link(fresh(), fresh("login_id"))))[0]["link_id"]
    assert (await judge(api, {"review_id": accepted.replace("lnk_", "rvw_")}, "same")).status == 404
    assert (await api.get("/v1/reviews", cursor="nonsense")).status == 422
    assert (await api.get("/v1/reviews", status="perhaps")).status == 422
    assert (await api.role("collector").get("/v1/reviews")).status == 403


async def test_how_many_wait_is_measured(instance: Instance) -> None:
    api = instance.api
    gauges = Gauges(instance.assembled.services.archive.count_open_reviews, METRICS)

    async def measured() -> float:
        await gauges.read()
        lines = (await api.get("/metrics")).body.decode().splitlines()
        return float(next(line for line in lines if line.startswith("fabric_reviews_open ")).split()[1])

    before = await measured()
    assert before == len(await queue(api, 1_000))
    a, _ = await probable(api)
    assert await measured() == before + 1
    await judge(api, (await open_at(api, a))[0], "dismiss")
    assert await measured() == before

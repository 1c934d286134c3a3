"""The history of a profile against what was shown before and after each change; the graph around it."""

from __future__ import annotations

import pytest

from service.clock import now_ms
from service.model.times import rfc3339
from tests.service.instances import Api, Instance, Json, fresh, link, name, named
from tests.service.worlds import World, agreed, groupings, profiles_in_state, seeds, until

SEEDS = seeds(1)
CHANGES = 14


async def history(api: Api, profile_id: str, limit: int = 100) -> list[Json]:
    """All of it, in pages."""
    items: list[Json] = []
    cursor = {}
    while True:
        page = agreed(await api.get(f"/v1/profiles/{profile_id}/history", limit=limit, **cursor))
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        assert page["items"], "a page that is not the last holds something"
        cursor = {"cursor": page["next_cursor"]}


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_change_of_a_profile_appears_once(seed: int, instance: Instance, second: Instance) -> None:
    world = World((instance.api, second.api), seed)
    was = profiles_in_state(await world.state())
    changes: dict[str, list[tuple[frozenset[str], frozenset[str], str]]] = {}
    for _ in range(CHANGES):
        said = await world.change()
        now = profiles_in_state(await world.state())
        for profile_id in was.keys() | now.keys():
            sides = was.get(profile_id, frozenset()), now.get(profile_id, frozenset())
            if sides[0] != sides[1]:
                changes.setdefault(profile_id, []).append((*sides, said))
        was = now
    for profile_id in sorted(world.ids):
        items = await history(world.api, profile_id)
        times = [item["at"] for item in items]
        assert times == sorted(set(times), reverse=True), "newest first, each once"
        for limit in (1, 3):
            assert await history(world.api, profile_id, limit) == items, limit
        told = []
        for item in reversed(items):
            before, after = (groupings(item[side]).get(profile_id, frozenset()) for side in ("before", "after"))
            assert item["actor"].startswith("key:") and "key-of" not in item["actor"]
            assert item["action"] and item["types"]
            if before != after:
                told.append((before, after))
        assert told == [(before, after) for before, after, _ in changes.get(profile_id, [])], (profile_id, seed)


async def test_who_and_why_and_the_other_profiles_history_too(api: Api) -> None:
    one, other = fresh(), fresh("email_sha256")
    await api.links(link(one, fresh("login_id")), link(other, fresh("cookie_id")))
    mine, theirs = await api.profile_id(one), await api.profile_id(other)
    steward = api.role("steward")
    body = {"profiles": [mine, theirs], "survivor": mine, "reason": "called in"}
    merged = agreed(await steward.post("/v1/profiles/merge", body))
    undone = {"reason": "it was her sister"}
    agreed(await steward.post(f"/v1/assertions/{merged['assertion_id']}/undo", undone))
    for profile_id in (mine, theirs):
        back, merge, *_ = await history(api, profile_id)
        assert (merge["action"], merge["reason"]) == ("profile.merge", "called in")
        assert (back["action"], back["reason"]) == ("assertion.undo", "it was her sister")
        assert groupings(merge["before"]) == groupings(merged["before"]) == groupings(back["after"])
        assert groupings(merge["after"]) == groupings(merged["after"]) == groupings(back["before"])
        assert merge["actor"] == back["actor"]
    assert (await api.get("/v1/profiles/prf_nobody/history")).status == 404


async def test_an_act_that_moves_nobody_is_told_as_well(api: Api) -> None:
    one, other = fresh(), fresh("login_id")
    await api.links(link(one, other))
    profile_id = await api.profile_id(one)
    apart = agreed(
        await api.post(f"/v1/profiles/{profile_id}/split", {"identifiers": [named(other)], "reason": "first"})
    )
    agreed(await api.post(f"/v1/assertions/{apart['assertion_id']}/undo", {"reason": "second"}))
    again = await api.post(f"/v1/assertions/{apart['assertion_id']}/undo", {"reason": "third"})
    assert agreed(again)["applied"] is False
    assert [item["reason"] for item in await history(api, profile_id)][:2] == ["second", "first"]


async def test_time_is_told_as_who(api: Api) -> None:
    """With the sweep at work; where a reader comes first is among the tests of expiry."""
    one, other = fresh(), fresh("login_id")
    due = now_ms() + 2_000
    await api.links(link(one, other, expires_at=rfc3339(due)))
    await until(due)
    assert (await api.lookup(one)).names == [one]
    newest, first = await history(api, await api.profile_id(one))
    assert (newest["at"], newest["actor"], newest["action"]) == (rfc3339(due), "service:expiry", "links.expired")
    assert [len(groupings(newest[side])) for side in ("before", "after")] == [1, 2]
    assert groupings(first["after"]) == groupings(newest["before"])


# ---- the graph


async def graph(api: Api, profile_id: str) -> Json:
    """The graph around a profile."""
    return agreed(await api.get(f"/v1/profiles/{profile_id}/graph"))


def between(edges: list[Json], a: str, b: str) -> list[Json]:
    """The edges of a pair."""
    return [edge for edge in edges if {name(edge["a"]), name(edge["b"])} == {a, b}]


async def test_one_edge_a_link_and_the_withheld_with_reasons(api: Api) -> None:
    mine, device, login, rival, kiosk, home = (
        fresh(), fresh("device_id"), fresh("login_id"), fresh(), fresh("device_id"), fresh("household_id")
    )  # fmt: skip
    sent = link(mine, device)
    old = "2026-01-02T00:00:00Z"
    await api.links(
        sent, sent, link(mine, device, source="web"), link(mine, login, confidence=0.3), link(rival, device,
        observed_at=old), link(mine, kiosk), *(link(fresh("login_id"), kiosk) for _ in range(11)), link(mine, home),
    )  # fmt: skip
    gone = (await api.links(link(mine, fresh("cookie_id"))))[0]["link_id"]
    await api.call("DELETE", f"/v1/links/{gone}", params={"reason": "r"})
    profile_id = await api.profile_id(mine)
    found = await graph(api, profile_id)
    assert found["profile_id"] == profile_id and found["truncated"] is False
    where = {name(node): node["profile_id"] for node in found["nodes"]}
    assert where == {
        mine: profile_id,
        device: profile_id,
        login: await api.profile_id(login),
        rival: await api.profile_id(rival),
        kiosk: await api.profile_id(kiosk),
        home: None,
    }
    edges = found["edges"]
    assert len({edge["link_id"] for edge in edges}) == len(edges) == 6
    assert [edge["reason"] for edge in between(edges, mine, device)] == [None, None]
    assert [edge["reason"] for edge in between(edges, mine, login)] == ["below_confidence"]
    assert [edge["reason"] for edge in between(edges, rival, device)] == ["namespace_limit"]
    assert [edge["reason"] for edge in between(edges, mine, kiosk)] == ["shared_identifier"]
    assert [(edge["reason"], edge["status"]) for edge in between(edges, mine, home)] == [(None, "linked")]


async def test_rules_of_a_new_version_update_the_link(api: Api) -> None:
    a, b = fresh(), fresh("login_id")
    (first,) = await api.links(link(a, b, rule_version="1", confidence=0.7, observed_at="2026-01-02T00:00:00Z"))
    (second,) = await api.links(link(a, b, rule_version="2", confidence=0.9, observed_at="2026-01-03T00:00:00Z"))
    assert second["link_id"] == first["link_id"]
    (edge,) = (await graph(api, await api.profile_id(a)))["edges"]
    assert (edge["rule_version"], edge["confidence"]) == ("2", 0.9)


async def test_a_merge_is_an_edge(api: Api) -> None:
    one, other = fresh(), fresh()
    await api.links(link(one, fresh("login_id")), link(other, fresh("login_id")))
    ids = [await api.profile_id(one), await api.profile_id(other)]
    merged = agreed(await api.post("/v1/profiles/merge", {"profiles": ids, "reason": "r"}))
    edges = (await graph(api, ids[0]))["edges"]
    assert [edge["link_id"] for edge in between(edges, one, other)] == [merged["assertion_id"]]
    assert len(edges) == 3


async def test_a_profile_of_five_hundred(api: Api) -> None:
    customer, devices = fresh(), [fresh("device_id") for _ in range(499)]
    for begin in range(0, 499, 250):
        await api.links(*(link(customer, device) for device in devices[begin : begin + 250]))
    profile_id = await api.profile_id(customer)
    found = await graph(api, profile_id)
    assert {name(node) for node in found["nodes"]} == {customer, *devices}
    assert len(found["edges"]) == 499 and found["truncated"] is False
    assert {edge["reason"] for edge in found["edges"]} == {None}
    (refused,) = await api.links(link(customer, fresh("device_id"), observed_at="2026-01-02T00:00:00Z"))
    assert refused["reason"] == "profile_size"
    newest, *_ = await history(api, profile_id)
    assert groupings(newest["after"])[profile_id] == {customer, *devices}
    explained = agreed(await api.get("/v1/explain", a=devices[0], b=devices[-1]))
    assert [name(step["b"]) in devices or name(step["a"]) in devices for step in explained["path"]] == [True, True]

"""A household groups profiles and merges none."""

from __future__ import annotations

from service.clock import now_ms
from service.model.times import rfc3339
from tests.service.instances import Api, fresh, link, name, named
from tests.service.worlds import agreed, moment, until


async def members(api: Api, home: str) -> list[str]:
    """The profiles that a household groups."""
    found: list[str] = agreed(await api.get(f"/v1/households/{home.replace(':', '/')}"))["profiles"]
    return found


async def home_of(api: Api, count: int) -> tuple[str, list[str], list[str], list[str]]:
    """A household of so many: its key, one customer of each profile, the profile ids, and the links to it."""
    home, people = fresh("household_id"), [fresh() for _ in range(count)]
    await api.links(*(link(person, fresh("device_id")) for person in people))
    links = await api.links(*(link(person, home) for person in people))
    assert {result["status"] for result in links} == {"linked"}
    return home, people, [await api.profile_id(person) for person in people], [r["link_id"] for r in links]


async def test_both_sides_list_the_other(api: Api) -> None:
    home, people, ids, _ = await home_of(api, 3)
    assert await members(api, home) == sorted(ids)
    assert len(set(ids)) == 3, "it merges none of them"
    for person in people:
        reply = await api.lookup(person)
        assert reply.json["households"] == [named(home)] and home not in reply.names


async def test_a_member_leaves(api: Api) -> None:
    home, people, ids, links = await home_of(api, 2)
    at = await moment()
    await api.call("DELETE", f"/v1/links/{links[0]}", params={"reason": "moved out"})
    assert await members(api, home) == [ids[1]]
    assert (await api.lookup(people[0])).json["households"] == []
    assert (await api.lookup(people[0], as_of=rfc3339(at))).json["households"] == [named(home)]


async def test_its_links_expire_and_it_splits(api: Api) -> None:
    home, people, ids, _ = await home_of(api, 1)
    guest, due = fresh(), now_ms() + 3_000
    await api.links(link(guest, home, expires_at=rfc3339(due)))
    assert await members(api, home) == sorted([*ids, await api.profile_id(guest)])
    assert (await api.lookup(guest)).json["valid_until"] == rfc3339(due)
    await until(due)
    assert await members(api, home) == ids
    assert (await api.lookup(guest)).json["households"] == []
    assert (await api.lookup(people[0])).json["households"] == [named(home)]


async def test_nothing_merges_through_one(api: Api) -> None:
    """Not through strong links, many homes, or a steward's merge of two of its members."""
    home, people, ids, _ = await home_of(api, 3)
    second = fresh("household_id")
    await api.links(*(link(person, second, confidence=1.0) for person in people), link(home, second))
    assert len({await api.profile_id(person) for person in people}) == 3
    body = {"profiles": ids[:2], "survivor": ids[0], "reason": "r"}
    merged = agreed(await api.post("/v1/profiles/merge", body))
    assert await members(api, home) == sorted((ids[0], ids[2]))
    assert await api.profile_id(people[2]) == ids[2]
    await api.post(f"/v1/assertions/{merged['assertion_id']}/undo", {"reason": "r"})
    assert await members(api, home) == sorted(ids)


async def test_a_household_is_no_profile(api: Api) -> None:
    home, people, ids, _ = await home_of(api, 2)
    assert (await api.lookup(home)).status == 404
    assert (await api.get("/v1/explain", a=home, b=people[0])).status == 404
    graph = agreed(await api.get(f"/v1/profiles/{ids[0]}/graph"))
    assert [(node["kind"], node["profile_id"]) for node in graph["nodes"] if name(node) == home] == [
        ("household", None)
    ]
    found = agreed(await api.get("/v1/explain", a=people[0], b=people[1]))
    assert found["same_profile"] is False and found["path"] == []


async def test_what_is_no_household_is_not_found(api: Api) -> None:
    _, people, _, _ = await home_of(api, 1)
    assert (await api.get(f"/v1/households/{people[0].replace(':', '/')}")).status == 404
    assert (await api.get(f"/v1/households/{fresh('household_id').replace(':', '/')}")).status == 404
    assert (await api.role("collector").get("/v1/households/household_id/x")).status == 403


async def test_a_shared_device_puts_nobody_into_a_household(api: Api) -> None:
    """What bridges nothing counts toward nothing, on both sides of the listing."""
    home, device = fresh("household_id"), fresh("device_id")
    await api.links(link(device, home))
    assert await members(api, home) == [await api.profile_id(device)]
    await api.links(*(link(fresh("login_id"), device) for _ in range(11)))
    assert (await api.lookup(device)).json["households"] == []
    assert await members(api, home) == []

"""Time as one more kind of change, on instances whose sweep never comes: a reader always meets the due time first."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from service.clock import now_ms
from service.commands import observe, sweep
from service.local import Stores
from service.model.times import rfc3339
from service.settings import Settings
from tests.service.instances import Api, Json, fresh, link, name, named, opened
from tests.service.worlds import agreed, state_of, tail, until

DAY = 86_400_000
SOON_MS = 2_000


@pytest.fixture(scope="module")
async def pair(instance_settings: Settings, stores: Stores) -> AsyncIterator[tuple[Api, Api]]:
    """Two instances that don't sweep."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "SWEEP_EVERY_S", 3_600.0)
        async with opened(instance_settings, stores) as one, opened(instance_settings, stores) as other:
            for api in (one.api, other.api):  # the first of anything takes a store longer
                a, b = fresh(), fresh("login_id")
                await api.links(link(a, b, expires_at=rfc3339(now_ms() + 300)))
                await api.lookup(a)
                await until(now_ms() + 300)
                assert (await api.lookup(a)).names == [a]
            yield one.api, other.api


async def joined(
    api: Api, *keys: str, soon: int = SOON_MS, expect: str = "linked", **more: object
) -> tuple[str, str, int, str]:
    """Two identifiers linked until soon: both, the due time, and the profile id that the first one shows."""
    a, b = keys or (fresh(), fresh("login_id"))
    while True:
        due = now_ms() + soon
        (result,) = await api.links(link(a, b, expires_at=rfc3339(due), **more))
        if (result["status"], result["reason"]) != ("withheld", "expired"):
            assert result["status"] == expect
            return a, b, due, str(result["profile_id"])
        soon *= 2  # it was due before it was there


async def test_a_cached_answer_changes_at_the_due_time_and_not_later(pair: tuple[Api, Api]) -> None:
    a, b, due, _ = await joined(pair[0])
    last = None
    while now_ms() < due + 300:
        for api in pair:
            asked = now_ms()
            reply = await api.lookup(a)
            if asked >= due:
                assert reply.names == [a], f"{asked - due} ms after the due time"
            elif now_ms() < due:
                assert reply.names == sorted((a, b)) and reply.json["valid_until"] == rfc3339(due)
                last = reply
    assert last is not None and last.headers["x-cache"] == "hit"
    assert (await pair[1].lookup(b)).names == [b]


@pytest.mark.parametrize(
    "reading", ["lookup", "batch", "by id", "as_of", "as_of by id", "graph", "explain", "household"]
)
async def test_whatever_reads_first_meets_the_due_time(pair: tuple[Api, Api], reading: str) -> None:
    a, b, due, shown = await joined(pair[0], soon=700)
    home = fresh("household_id")
    await pair[0].links(link(a, home, expires_at=rfc3339(due + 1)))
    await until(due + 60)
    api, at = pair[1], rfc3339(due + 30)
    if reading == "lookup":
        assert (await api.lookup(a)).names == [a]
    elif reading == "batch":
        state = await state_of(api, [a, b])
        assert state[a] is not None and state[a].members == {a}
    elif reading == "by id":
        assert (await api.get(f"/v1/profiles/{shown}")).names == [a]
    elif reading == "as_of":
        assert (await api.lookup(b, as_of=at)).names == [b]
    elif reading == "as_of by id":
        assert (await api.get(f"/v1/profiles/{shown}", as_of=at)).names == [a]
    elif reading == "graph":
        graph = agreed(await api.get(f"/v1/profiles/{shown}/graph"))
        assert [node["profile_id"] == shown for node in graph["nodes"] if name(node) == b] == [False]
        assert {edge["reason"] for edge in graph["edges"]} == {"expired"}
    elif reading == "explain":
        found = agreed(await api.get("/v1/explain", a=a, b=b))
        assert found["same_profile"] is False
        assert [block["reason"] for block in found["blocked_by"]] == ["expired"]
    else:
        assert agreed(await api.get(f"/v1/households/{home.replace(':', '/')}")) == {"profiles": []}


async def test_intervals_end_at_the_due_time_whenever_it_was_met(pair: tuple[Api, Api]) -> None:
    api = pair[0]
    start = (await tail(api))[1]
    a, b, due, shown = await joined(api, soon=700)
    await until(due + 400)
    assert (await api.lookup(a)).names == [a]
    for at, together in ((due - 1, True), (due, False), (due + 200, False)):
        for key in (a, b):
            expected = sorted((a, b)) if together else [key]
            assert (await api.lookup(key, as_of=rfc3339(at))).names == expected, at - due
        graph = agreed(await api.get(f"/v1/profiles/{shown}/graph", as_of=rfc3339(at)))
        assert sorted(map(name, graph["nodes"])) == (sorted((a, b)) if together else [a])
    items, _ = await tail(api, start)
    mine = [item for item in items if shown in (item["profile_id"], item.get("from"))]
    assert [item["type"] for item in mine if item["at"] == rfc3339(due)] == [
        "identifiers.moved",
        "profile.split",
        "profile.expired",
    ]
    newest = agreed(await api.get(f"/v1/profiles/{shown}/history", limit=1))["items"][0]
    assert (newest["at"], newest["actor"], newest["action"]) == (rfc3339(due), "service:expiry", "links.expired")
    assert [len(side) for side in (newest["before"], newest["after"])] == [1, 2]


async def test_a_ttl_counts_from_the_last_observation(pair: tuple[Api, Api]) -> None:
    api = pair[0]
    customer, session = fresh(), fresh("session_id")
    due = now_ms() + SOON_MS
    sent = link(customer, session, observed_at=rfc3339(due - DAY))
    (result,) = await api.links(sent)
    together = result["profile_id"]
    assert (await api.lookup(session)).json["valid_until"] == rfc3339(due)
    assert (await api.links(sent))[0]["status"] == "duplicate"
    await until(due)
    assert (await api.lookup(session)).names == [session]
    alone = await api.profile_id(session)
    assert alone != together and await api.profile_id(customer) == together
    assert (await api.links(sent))[0] | {"profile_id": None} == {
        "link_id": result["link_id"], "status": "duplicate", "reason": "expired", "profile_id": None, "errors": []
    }  # fmt: skip
    again = now_ms() + SOON_MS
    await api.links({**sent, "observed_at": rfc3339(again - DAY)})
    assert await api.profile_id(session) == together, "observed again, it is back"
    await until(again)
    assert await api.profile_id(session) == alone, "and again alone, under the id that it had alone"
    assert (await api.lookup(session, as_of=rfc3339(due + 1))).json["profile_id"] == alone


async def test_observed_again_before_it_is_due_it_stays(pair: tuple[Api, Api]) -> None:
    api = pair[0]
    customer, session = fresh(), fresh("session_id")
    due = now_ms() + 700
    await api.links(link(customer, session, observed_at=rfc3339(due - DAY)))
    await api.links(link(customer, session, observed_at=rfc3339(due + 60_000 - DAY)))
    await until(due + 50)
    reply = await pair[1].lookup(customer)
    assert reply.names == sorted((customer, session))
    assert reply.json["valid_until"] == rfc3339(due + 60_000)


async def contested(api: Api) -> tuple[str, str, str, int]:
    """A device of two customers: the newer's link ends soon. Older customer, newer one, device, due time."""
    older, newer, device = fresh(), fresh(), fresh("device_id")
    (result,) = await api.links(link(older, device, observed_at=rfc3339(now_ms() - 60_000)))
    assert result["status"] == "linked"
    _, _, due, _ = await joined(api, newer, device, observed_at=rfc3339(now_ms()))
    return older, newer, device, due


async def test_valid_until_covers_neighbours(pair: tuple[Api, Api]) -> None:
    """When the newer customer's link to a device ends, the other's cached answer changes at that moment."""
    start = (await tail(pair[0]))[1]
    older, newer, device, due = await contested(pair[0])
    hits = 0
    while now_ms() < due + 300:
        for api in pair:
            asked = now_ms()
            reply = await api.lookup(older)
            if asked >= due:
                assert reply.names == sorted((older, device)), f"{asked - due} ms after the due time"
            elif now_ms() < due:
                assert reply.names == [older] and reply.json["valid_until"] == rfc3339(due)
                hits += reply.headers["x-cache"] == "hit"
    assert hits
    assert (await pair[1].lookup(newer)).names == [newer]
    source, target = await pair[0].profile_id(newer), await pair[0].profile_id(older)
    items = [item for item in (await tail(pair[0], start))[0] if item["at"] == rfc3339(due)]
    moves = [item for item in items if item["type"] == "identifiers.moved"]
    assert [(item["from"], item["to"], item["identifiers"]) for item in moves] == [(source, target, [named(device)])]
    assert source in {item["profile_id"] for item in items if item["type"] == "profile.expired"}


async def test_the_neighbour_alone_asked_first(pair: tuple[Api, Api]) -> None:
    """Nobody asks about those whose link ends; the other's answer is right all the same, now and as of then."""
    older, newer, device, due = await contested(pair[0])
    await until(due + 200)
    assert (await pair[1].lookup(older, as_of=rfc3339(due))).names == sorted((older, device))
    assert (await pair[1].lookup(older, as_of=rfc3339(due - 1))).names == [older]
    assert (await pair[0].lookup(newer)).names == [newer]


@pytest.mark.parametrize("asked", ["neighbour", "itself", "as_of"])
async def test_a_shared_device_that_is_shared_no_longer(pair: tuple[Api, Api], asked: str) -> None:
    """One link less, and it bridges again: those at its other links change at that moment too."""
    api, device, cookies = pair[0], fresh("device_id"), [fresh("cookie_id") for _ in range(10)]
    everybody = sorted((device, *cookies))
    await api.links(*(link(cookie, device) for cookie in cookies))
    assert (await api.lookup(cookies[0])).names == everybody
    guest = fresh("login_id")
    _, _, due, _ = await joined(api, guest, device, expect="withheld")
    for key in (cookies[0], device):
        reply = await api.lookup(key)
        assert reply.names == [key] and reply.json["valid_until"] == rfc3339(due)
    await until(due)
    if asked == "as_of":
        assert (await pair[1].lookup(cookies[9], as_of=rfc3339(due))).names == everybody
        assert (await pair[1].lookup(cookies[9], as_of=rfc3339(due - 1))).names == [cookies[9]]
    else:
        assert (await pair[1].lookup(device if asked == "itself" else cookies[9])).names == everybody
    assert (await api.lookup(cookies[0])).names == everybody
    assert (await api.lookup(guest)).names == [guest]


async def test_more_links_due_than_one_turn_flips(pair: tuple[Api, Api], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a change is about is flipped before it; what is asked for and what is recorded is right all the same."""
    monkeypatch.setattr(observe, "DUE_LINKS_MAX", 5)
    api, due = pair[0], now_ms() + 3 * SOON_MS
    people = [(fresh(), fresh("device_id")) for _ in range(40)]
    rival = fresh()
    batch: list[Json] = [link(a, b, expires_at=rfc3339(due)) for a, b in people]
    assert {result["status"] for result in await api.links(*batch)} == {"linked"}
    await api.links(link(rival, people[-2][1], observed_at=rfc3339(due - 90_000)))
    assert now_ms() < due
    await until(due + 50)
    customer, _ = people[-1]
    other = fresh("login_id")
    await api.links(link(customer, other))
    ids = [await api.profile_id(rival), await api.profile_id(people[-3][0])]
    assert (await api.post("/v1/profiles/merge", {"profiles": ids, "reason": "r"})).status == 200
    assert (await api.lookup(customer)).names == sorted((customer, other))
    assert (await api.lookup(customer, as_of=rfc3339(due + 10))).names == [customer]
    assert (await pair[1].lookup(rival)).names == sorted((rival, people[-2][1], people[-3][0]))
    for a, b in (people[0], people[20], people[-1], people[-3]):
        assert (await pair[1].lookup(b)).names == [b]
        assert (await api.lookup(a, as_of=rfc3339(due))).names == [a]
        assert (await api.lookup(a, as_of=rfc3339(due - 1))).names == sorted((a, b))


async def test_a_grant_of_linking_that_runs_out_ends_the_links_and_a_new_one_brings_them_back(
    pair: tuple[Api, Api],
) -> None:
    api = pair[0]
    a, b = fresh(), fresh("login_id")
    await api.links(link(a, b))
    ends = now_ms() + SOON_MS
    grant: Json = {"identifier": named(b), "purposes": {"identity_linking": "granted"}, "regulation": "GDPR"}
    agreed(
        await api.post("/v1/consents", grant | {"source": "cmp", "at": rfc3339(now_ms()), "expires_at": rfc3339(ends)})
    )
    reply = await api.lookup(a)
    assert reply.names == sorted((a, b)) and reply.json["valid_until"] == rfc3339(ends)
    assert (await pair[1].lookup(a)).names == sorted((a, b))
    await until(ends)
    for each in pair:
        assert (await each.lookup(a)).names == [a]
    (again,) = await api.links(link(a, b))
    assert (again["status"], again["reason"]) == ("withheld", "link_not_permitted")
    agreed(await api.post("/v1/consents", grant | {"source": "cmp", "at": rfc3339(now_ms())}))
    for each in pair:
        assert (await each.lookup(a)).names == sorted((a, b))

"""What was believed at any time is what was shown at that time: single, by id, in batches, as a graph."""

from __future__ import annotations

import pytest

from service.clock import now_ms
from service.model.times import rfc3339
from tests.service.instances import Api, Instance, fresh, link, name, named
from tests.service.worlds import State, World, agreed, moment, profiles_in_state, seeds, shown_of, state_of

SEEDS = seeds(1)
CHANGES = 16
Led = dict[str, tuple[str, str | None, frozenset[str]] | None]


async def led_to(api: Api, ids: list[str], at: int | None = None) -> Led:
    """Where ids lead: the id shown, where it was redirected from, the members."""
    found: Led = {}
    for profile_id in ids:
        reply = await api.get(f"/v1/profiles/{profile_id}", **({} if at is None else {"as_of": rfc3339(at)}))
        assert reply.status in (200, 404), reply
        body = reply.json
        found[profile_id] = (
            (body["profile_id"], body["redirected_from"], frozenset(reply.names)) if reply.status == 200 else None
        )
    return found


@pytest.mark.parametrize("seed", SEEDS)
async def test_each_recorded_time_gives_what_was_shown_then(seed: int, instance: Instance, second: Instance) -> None:
    world = World((instance.api, second.api), seed)
    before = await moment()
    record: list[tuple[int, State, Led, str]] = []
    for _ in range(CHANGES):
        said = await world.change()
        state = await world.state()
        led = await led_to(world.api, sorted(world.ids))
        record.append((await moment(), state, led, said))
    api = second.api
    for at, state, led, said in record:
        assert await state_of(api, world.keys, as_of=rfc3339(at)) == state, (said, seed)
        assert await led_to(api, sorted(led), at) == led, (said, seed)
        for key in world.chance.sample(world.keys, 1):
            reply = await api.lookup(key, as_of=rfc3339(at))
            assert reply.status == (404 if state[key] is None else 200)
            assert reply.status == 404 or shown_of(reply.json) == state[key], (said, seed)
        await graphs_agree(api, at, state)
    for shown in (await state_of(api, world.keys, as_of=rfc3339(before))).values():
        assert shown is None


async def graphs_agree(api: Api, at: int, state: State) -> None:
    """The graph then has the members of then, and paths that give the confidences of then."""
    for profile_id, members in profiles_in_state(state).items():
        graph = agreed(await api.get(f"/v1/profiles/{profile_id}/graph", as_of=rfc3339(at)))
        assert graph["profile_id"] == profile_id
        assert {name(node) for node in graph["nodes"]} == members
        assert {node["profile_id"] for node in graph["nodes"]} == {profile_id}
        for asked in members:
            best = dict.fromkeys(members, 0.0) | {asked: 1.0}
            for _ in members:
                for edge in graph["edges"]:
                    a, b = name(edge["a"]), name(edge["b"])
                    best[a] = max(best[a], best[b] * edge["confidence"])
                    best[b] = max(best[b], best[a] * edge["confidence"])
            shown = state[asked]
            assert shown is not None
            assert {key: round(sure, 9) for key, sure in best.items()} == {k: round(c, 9) for k, c in shown.seen}


async def test_before_it_was_seen_nothing_was_known(api: Api) -> None:
    before = await moment()
    key, other = fresh(), fresh("login_id")
    await api.links(link(key, other, observed_at="2026-01-01T00:00:00Z"))
    at = rfc3339(before)
    assert (await api.lookup(key, as_of=at)).status == 404
    assert (await api.get(f"/v1/profiles/{await api.profile_id(key)}", as_of=at)).status == 404
    assert (await api.get(f"/v1/profiles/{await api.profile_id(key)}/graph", as_of=at)).status == 404
    (found,) = (await api.post("/v1/profiles/lookup", {"identifiers": [named(key)], "as_of": at})).results
    assert found["error"]["code"] == "unknown_identifier"
    assert (await api.lookup(key, as_of=rfc3339(await moment()))).names == sorted((key, other))


async def test_a_time_ahead_is_now_and_a_text_that_is_no_time_is_refused(api: Api) -> None:
    key = fresh()
    await api.links(link(key, fresh("login_id")))
    assert (await api.lookup(key, as_of=rfc3339(now_ms() + 60_000))).status == 200
    assert (await api.lookup(key, as_of="yesterday")).status == 422
    assert (await api.lookup(key, as_of=rfc3339(await moment()))).json["valid_until"] is None


async def test_an_id_leads_where_it_led_then(api: Api) -> None:
    """Handed on by a merge and back by its undo: at each time the id led to who held it then."""
    one, other = fresh("login_id"), fresh("login_id")
    await api.links(link(one, fresh("device_id")), link(other, fresh("device_id")))
    mine, theirs = await api.profile_id(one), await api.profile_id(other)
    body = {"profiles": [mine, theirs], "survivor": theirs, "reason": "r"}
    merged = agreed(await api.post("/v1/profiles/merge", body))
    together = await moment()
    led = await led_to(api, [mine, theirs])
    newer = fresh()
    await api.links(link(newer, one))
    joined = await moment()
    led_joined = await led_to(api, [mine, theirs])
    await api.post(f"/v1/assertions/{merged['assertion_id']}/undo", {"reason": "r"})
    assert await led_to(api, [mine, theirs], together) == led
    assert await led_to(api, [mine, theirs], joined) == led_joined


async def test_an_id_that_was_split_off_leads_where_it_led_then(api: Api) -> None:
    login, device, customer = fresh("login_id"), fresh("device_id"), fresh()
    await api.links(link(login, device))
    handed = await api.profile_id(login)
    body = {"identifiers": [named(login)], "reason": "r"}
    apart = agreed(await api.post(f"/v1/profiles/{handed}/split", body))
    await api.links(link(customer, device))
    led = await led_to(api, [handed])
    assert led[handed] == (await api.profile_id(customer), handed, {customer, device})
    at = await moment()
    await api.post(f"/v1/assertions/{apart['assertion_id']}/undo", {"reason": "r"})
    assert await led_to(api, [handed], at) == led


async def test_consent_is_that_of_then(api: Api) -> None:
    key = fresh()
    await api.links(link(key, fresh("email_sha256")))
    before = await moment()
    body = {"identifier": named(key), "scope": "purposes", "purposes": ["analytics"], "reason": "r"}
    assert (await api.post("/v1/revocations", body)).status == 200
    assert (await api.lookup(key, purpose="analytics")).names == []
    then = await api.lookup(key, purpose="analytics", as_of=rfc3339(before))
    assert key in then.names and then.json["consent"]["analytics"]["state"] != "withdrawn"


async def test_as_of_under_a_purpose_and_a_least_confidence(api: Api) -> None:
    key, sure, unsure = fresh(), fresh("login_id"), fresh("cookie_id")
    await api.links(link(key, sure, confidence=0.95), link(key, unsure, confidence=0.6))
    at = await moment()
    await api.links(link(key, unsure, confidence=0.99, source="web"))
    assert (await api.lookup(key, min_confidence=0.9)).names == sorted((key, sure, unsure))
    assert (await api.lookup(key, min_confidence=0.9, as_of=rfc3339(at))).names == sorted((key, sure))

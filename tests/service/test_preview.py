"""A preview tells what then happens and changes nothing; and whatever was done can be taken back, in any order."""

from __future__ import annotations

import random
import secrets

import pytest

from service.model.times import rfc3339
from tests.service.instances import Api, Instance, Json, Reply, fresh, link, name, named
from tests.service.worlds import World, agreed, groupings, moment, profiles_in_state, seeds, tail

SEEDS = seeds(1)


async def everything(world: World) -> tuple[object, ...]:
    """All that a caller can see of a world."""
    state = await world.state()
    known = [key for key in world.keys if state[key] is not None]  # of histories, graphs and queues a few will do
    graphs, histories = [], []
    for profile_id in sorted(world.ids)[:4]:
        graphs.append(agreed(await world.api.get(f"/v1/profiles/{profile_id}/graph")))
        histories.append(agreed(await world.api.get(f"/v1/profiles/{profile_id}/history", limit=100)))
    said = [agreed(await world.api.get("/v1/assertions", identifier=key)) for key in known[:4]]
    waiting = [agreed(await world.api.get("/v1/reviews", identifier=key)) for key in known[:4]]
    return state, graphs, histories, said, waiting


def drawn_act(world: World, shown: dict[str, frozenset[str]]) -> tuple[str, Json]:
    """A random act, sent to a path with a body. It may be refused."""
    chance = world.chance
    large = sorted(i for i, members in shown.items() if len(members) > 1)
    kind = chance.choice(("merge", "split", "undo"))
    if kind == "undo" and world.assertions:
        return f"/v1/assertions/{chance.choice(world.assertions)}/undo", {"reason": "r"}
    if kind == "split" and large:
        profile_id = chance.choice(large)
        members = sorted(shown[profile_id])
        leaving = chance.sample(members, chance.randint(1, len(members)))
        return f"/v1/profiles/{profile_id}/split", {"identifiers": [named(key) for key in leaving], "reason": "r"}
    ids = chance.sample(sorted(world.ids), min(2, len(world.ids)))
    return "/v1/profiles/merge", {"profiles": ids, "survivor": chance.choice([None, *ids]), "reason": "r"}


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_preview_is_what_then_happens(seed: int, instance: Instance, second: Instance) -> None:
    world = World((instance.api, second.api), seed)
    for _ in range(5):
        await world.change()
    for _ in range(4):
        before = profiles_in_state(await world.state())
        path, body = drawn_act(world, before)
        seen, start = await everything(world), (await tail(world.api))[1]
        preview = await world.api.post(path, {**body, "preview": True})
        assert await everything(world) == seen, (path, body, seed)
        assert not [event for event in (await tail(world.api, start))[0] if touches(event, world)]
        reply = await world.apis[0].post(path, body)
        assert preview.status == reply.status, (path, body, seed)
        if reply.status != 200:
            assert preview.json["code"] == reply.json["code"]
            continue
        for part in ("before", "after"):
            assert preview.json[part] == reply.json[part], (path, body, seed)
        assert preview.json["applied"] is False and preview.json["assertion_id"] is None
        after = profiles_in_state(await world.state())
        for profile_id, members in groupings(reply.json["after"]).items():
            assert after[profile_id] == members
        for profile_id, members in groupings(reply.json["before"]).items():
            assert before[profile_id] == members
        rest = {frozenset(m) for m in before.values()} ^ {frozenset(m) for m in after.values()}
        told = set(groupings(reply.json["before"]).values()) | set(groupings(reply.json["after"]).values())
        assert rest <= told, "what is not told has not changed"
        if "/undo" not in path:
            world.note(reply)


def touches(event: Json, world: World) -> bool:
    """Whether an event is about this world; others write beside it."""
    return bool({name(i) for i in event.get("identifiers", ())} & set(world.keys)) or event["profile_id"] in world.ids


async def test_a_preview_of_a_verdict_does_not_exist_and_is_refused(api: Api) -> None:
    a, b = fresh("login_id"), fresh("cookie_id")
    (result,) = await api.links(link(a, b, method="probabilistic", confidence=0.7))
    review = result["link_id"].replace("lnk_", "rvw_")
    reply = await api.post(f"/v1/reviews/{review}", {"verdict": "same", "reason": "r", "preview": True})
    assert reply.status == 422


async def test_a_preview_is_not_the_stored_answer_of_the_act(api: Api) -> None:
    one, other = fresh(), fresh("email_sha256")
    await api.links(link(one, fresh("login_id")), link(other, fresh("login_id")))
    body = {"profiles": [await api.profile_id(one), await api.profile_id(other)], "reason": "r"}
    key, path = secrets.token_hex(8), "/v1/profiles/merge"
    preview = agreed(await api.post(path, {**body, "preview": True}, idempotency_key=key))
    assert preview["applied"] is False
    reply = await api.post(path, body, idempotency_key=key)
    assert reply.status == 422 or agreed(reply)["applied"] is True
    assert (await api.post(path, body, idempotency_key=secrets.token_hex(8))).status in (200, 422)


# ---- undo, in any order


async def acts(api: Api, world: World, count: int) -> list[Reply]:
    """So many merges and splits that were taken."""
    taken: list[Reply] = []
    while len(taken) < count:
        path, body = drawn_act(world, profiles_in_state(await world.state()))
        reply = await api.post(path, body)
        if reply.status == 200:
            taken.append(reply)
    return taken


@pytest.mark.parametrize("moving", [False, True], ids=["nothing else happens", "members move on"])
async def test_all_acts_undone_in_random_order(api: Api, moving: bool) -> None:
    """Nested and overlapping; and equal to a world of the same links in which no steward ever did anything."""
    (seed,) = seeds(1, 1)
    world = World((api,), seed)
    sent = [world.report() for _ in range(9)]
    await api.links(*sent)
    before = await world.state()
    taken = await acts(api, world, 6)
    late = [world.report() for _ in range(4)] if moving else []
    if late:
        await api.links(*late)
    taken += await acts(api, world, 2)
    order = random.Random(seed).sample(taken, len(taken))
    for reply in order:
        agreed(await api.post(f"/v1/assertions/{reply.json['assertion_id']}/undo", {"reason": "r"}))
    now = await world.state()
    if not moving:
        assert now == before, f"seed {seed}"
    else:
        await untouched_world_agrees(api, world, [*sent, *late], now)


async def untouched_world_agrees(api: Api, world: World, sent: list[Json], now: dict[str, object]) -> None:
    """Other values, the same links at the same times, no steward: the same partition."""
    twins = {key: fresh(key.partition(":")[0]) for key in world.keys}
    order = sorted(world.keys)  # ties are broken by the keys: their order is kept
    for namespace in {key.partition(":")[0] for key in order}:
        mine = [key for key in order if key.startswith(namespace + ":")]
        twins |= dict(zip(mine, sorted(twins[key] for key in mine), strict=True))
    copies = [{**body, "a": named(twins[name(body["a"])]), "b": named(twins[name(body["b"])])} for body in sent]
    await api.links(*copies)
    other = World((api,), 0)
    other.keys = list(twins.values())
    shown = {frozenset(members) for members in profiles_in_state(await other.state()).values()}
    assert shown == {frozenset(twins[key] for key in members) for members in profiles_in_state(now).values()}  # type: ignore[arg-type]


async def test_undone_twice_and_before_later_acts(api: Api) -> None:
    """An early merge undone while a later split of its result stands; then that one; then both again."""
    one, other = fresh(), fresh("email_sha256")
    mine, theirs = fresh("login_id"), fresh("cookie_id")
    await api.links(link(one, mine), link(other, theirs))
    ids = [await api.profile_id(one), await api.profile_id(other)]
    at = await moment()
    merged = agreed(await api.post("/v1/profiles/merge", {"profiles": ids, "survivor": ids[1], "reason": "r"}))
    body = {"identifiers": [named(mine)], "reason": "r"}
    apart = agreed(await api.post(f"/v1/profiles/{ids[1]}/split", body))
    for assertion_id in (merged["assertion_id"], apart["assertion_id"]):
        undo = f"/v1/assertions/{assertion_id}/undo"
        assert agreed(await api.post(undo, {"reason": "r"}))["applied"] is True
        again = agreed(await api.post(undo, {"reason": "r"}))
        assert again["applied"] is False and again["before"] == again["after"] == []
    for key in (one, other, mine, theirs):
        then = await api.lookup(key, as_of=rfc3339(at))
        now = await api.lookup(key)
        assert (now.names, now.json["profile_id"]) == (then.names, then.json["profile_id"])

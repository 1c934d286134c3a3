"""Why two are or are not one person; and what would join them, carried out for real, does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from service.api.schemas import SuggestionOut
from service.clock import now_ms
from service.model.evidence import Reason
from service.model.times import rfc3339
from tests.service.instances import Api, Instance, Json, fresh, link, name, named
from tests.service.worlds import World, agreed, seeds, until

SEEDS = seeds(2)
OLD = "2026-01-02T00:00:00Z"
LEAST = {"deterministic": 0.5, "probabilistic": 0.9}


async def explain(api: Api, a: str, b: str) -> Json:
    """The explanation of a pair."""
    return agreed(await api.get("/v1/explain", a=a, b=b))


def blocks(found: Json) -> dict[frozenset[str], tuple[str, list[str]]]:
    """Pair → reason and what it conflicts with."""
    return {
        frozenset((name(block["link"]["a"]), name(block["link"]["b"]))): (block["reason"], block["conflicts_with"])
        for block in found["blocked_by"]
    }


def actions(found: Json) -> list[str]:
    """What would join them, the smallest first."""
    return [suggestion["action"] for suggestion in found["would_join"]]


async def carry_out(api: Api, found: Json, suggestion: Json) -> None:
    """What a steward would do on a suggestion."""
    ids = suggestion["ids"]
    match suggestion["action"]:
        case "undo":
            for assertion_id in ids:
                agreed(await api.post(f"/v1/assertions/{assertion_id}/undo", {"reason": "r"}))
        case "undo_and_merge":
            for assertion_id in ids[:-2]:
                agreed(await api.post(f"/v1/assertions/{assertion_id}/undo", {"reason": "r"}))
            agreed(await api.post("/v1/profiles/merge", {"profiles": ids[-2:], "reason": "r"}))
        case "merge":
            reply = await api.post("/v1/profiles/merge", {"profiles": ids, "reason": "r"})
            assert reply.status == 200, reply
        case "retract":
            for link_id in ids:
                agreed(await api.call("DELETE", f"/v1/links/{link_id}", params={"reason": "r"}))
        case "observe":
            for block in found["blocked_by"]:
                sent = block["link"]
                if sent["link_id"] in ids:
                    same = {field: sent[field] for field in ("a", "b", "method", "source", "rule", "rule_version")}
                    sure = max(sent["confidence"], LEAST[sent["method"]])
                    (result,) = await api.links({**same, "confidence": sure})
                    assert result["link_id"] == sent["link_id"]


def walk(found: Json, a: str, b: str) -> float:
    """Follow the path from `a` to `b`; the product of its confidences."""
    at, product = a, 1.0
    for step in found["path"]:
        pair = {name(step["a"]), name(step["b"])}
        assert at in pair, "one step begins where the last one ended"
        (at,) = pair - {at}
        assert step["status"] == "linked" and step["reason"] is None
        product *= step["confidence"]
    assert at == b
    return product


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_pair_of_a_random_world(seed: int, instance: Instance, second: Instance) -> None:
    world = World((instance.api, second.api), seed)
    tried = 0
    for _ in range(5):
        for _ in range(4):
            await world.change()
        state = await world.state()
        known = [key for key in world.keys if state[key] is not None]
        for a, b in [world.chance.sample(known, 2) for _ in range(3)]:
            found = await explain(world.api, a, b)
            state = await world.state()
            one, other = state[a], state[b]
            assert one is not None and other is not None
            assert found["same_profile"] == (one.profile_id == other.profile_id)
            if found["same_profile"]:
                assert abs(walk(found, a, b) - found["confidence"]) < 1e-9
                assert found["confidence"] == dict(one.seen)[b]
                assert found["blocked_by"] == found["would_join"] == []
                continue
            assert found["confidence"] is None and found["path"] == []
            assert all(block["link"]["status"] == "withheld" for block in found["blocked_by"])
            assert found["would_join"], f"nothing would join them, seed {seed}"
            suggestion = world.chance.choice(found["would_join"])
            await carry_out(world.api, found, suggestion)
            tried += 1
            now = await world.state()
            assert now[a] is not None and now[b] is not None
            assert now[a].profile_id == now[b].profile_id, (suggestion, seed)  # type: ignore[union-attr]
    assert tried


async def test_a_shared_identifier(api: Api) -> None:
    kiosk, a, b = fresh("device_id"), fresh("login_id"), fresh("login_id")
    await api.links(link(a, kiosk), link(b, kiosk), *(link(fresh("login_id"), kiosk) for _ in range(10)))
    found = await explain(api, a, kiosk)
    assert blocks(found) == {frozenset((a, kiosk)): ("shared_identifier", [kiosk])}
    assert actions(found) == ["merge"]
    through = await explain(api, a, b)
    assert set(blocks(through)) == {frozenset((a, kiosk)), frozenset((b, kiosk))}


async def test_the_namespace_limit_names_what_is_in_the_way_and_what_to_retract(api: Api) -> None:
    holder, device, rival = fresh(), fresh("device_id"), fresh()
    (held,) = await api.links(link(holder, device))
    await api.links(link(rival, device, observed_at=OLD))
    found = await explain(api, rival, device)
    assert blocks(found) == {frozenset((rival, device)): ("namespace_limit", sorted((holder, rival)))}
    assert "retract" in actions(found)
    assert [s["ids"] for s in found["would_join"] if s["action"] == "retract"] == [[held["link_id"]]]


async def test_below_confidence_and_expired_ask_to_observe_again(api: Api) -> None:
    a, b, c = fresh(), fresh("login_id"), fresh("cookie_id")
    due = now_ms() + 1_500
    await api.links(link(a, b, method="probabilistic", confidence=0.7), link(a, c, expires_at=rfc3339(due)))
    weak = await explain(api, a, b)
    assert blocks(weak) == {frozenset((a, b)): ("below_confidence", [])}
    assert actions(weak)[0] == "observe"
    await until(due)
    over = await explain(api, a, c)
    assert blocks(over) == {frozenset((a, c)): ("expired", [])} and actions(over)[0] == "observe"
    for found, other in ((weak, b), (over, c)):
        await carry_out(api, found, found["would_join"][0])
        assert await api.profile_id(a) == await api.profile_id(other)


async def test_linking_that_is_not_permitted_can_be_joined_by_nothing_a_steward_does(api: Api) -> None:
    a, b = fresh(), fresh("login_id")
    await api.links(link(a, b))
    body = {"identifier": named(b), "scope": "linking", "reason": "r"}
    assert (await api.post("/v1/revocations", body)).status == 200
    found = await explain(api, a, b)
    assert blocks(found) == {frozenset((a, b)): ("link_not_permitted", [b])}
    assert found["would_join"] == []


async def test_said_different_names_the_assertion_and_undoing_it_is_the_smallest(api: Api) -> None:
    a, b = fresh(), fresh("login_id")
    await api.links(link(a, b))
    body = {"identifiers": [named(b)], "reason": "r"}
    apart = agreed(await api.post(f"/v1/profiles/{await api.profile_id(a)}/split", body))
    found = await explain(api, a, b)
    assert blocks(found) == {frozenset((a, b)): ("asserted_different", [apart["assertion_id"]])}
    assert actions(found) == ["undo"] and found["would_join"][0]["ids"] == [apart["assertion_id"]]


async def test_said_different_with_no_link_left(api: Api) -> None:
    """Nothing links them, so undoing is not enough and merging is refused: both together would."""
    a, b = fresh(), fresh("login_id")
    (result,) = await api.links(link(a, b))
    body = {"identifiers": [named(b)], "reason": "r"}
    apart = agreed(await api.post(f"/v1/profiles/{await api.profile_id(a)}/split", body))
    await api.call("DELETE", f"/v1/links/{result['link_id']}", params={"reason": "r"})
    found = await explain(api, a, b)
    assert found["blocked_by"] == []
    assert [(s["action"], s["ids"][0]) for s in found["would_join"]] == [("undo_and_merge", apart["assertion_id"])]
    await carry_out(api, found, found["would_join"][0])
    assert await api.profile_id(a) == await api.profile_id(b)


async def test_a_chain_of_profiles(api: Api) -> None:
    """Nothing links the two; the way between them leads over a third profile, and two links do not bridge."""
    a, b, c = fresh(), fresh(), fresh()
    first, second = fresh("device_id"), fresh("device_id")
    await api.links(link(a, first), link(b, second), link(c, fresh("login_id")))
    await api.links(link(c, first, observed_at=OLD), link(c, second, observed_at=OLD))
    found = await explain(api, a, b)
    assert set(blocks(found)) == {frozenset((c, first)), frozenset((c, second))}
    assert "merge" in actions(found)


async def test_nothing_links_them(api: Api) -> None:
    a, b = fresh(), fresh()
    await api.links(link(a, fresh("login_id")), link(b, fresh("login_id")))
    found = await explain(api, a, b)
    assert found["blocked_by"] == [] and actions(found) == ["merge"]


async def test_a_merge_is_a_step_on_the_path(api: Api) -> None:
    a, b = fresh("login_id"), fresh("login_id")
    near, far = fresh("device_id"), fresh("cookie_id")
    await api.links(link(a, near, confidence=0.8), link(b, far, confidence=0.9))
    ids = [await api.profile_id(a), await api.profile_id(b)]
    merged = agreed(await api.post("/v1/profiles/merge", {"profiles": ids, "reason": "r"}))
    found = await explain(api, near, far)
    assert [step["link_id"] for step in found["path"]][1] == merged["assertion_id"]
    assert found["confidence"] == round(walk(found, near, far), 12) == 0.72


async def test_a_merge_of_three_is_walked_between_any_two(api: Api) -> None:
    logins = [fresh("login_id") for _ in range(3)]
    await api.links(*(link(login, fresh("device_id")) for login in logins))
    ids = [await api.profile_id(login) for login in logins]
    agreed(await api.post("/v1/profiles/merge", {"profiles": ids, "reason": "r"}))
    for a in logins:
        for b in logins:
            if a != b:
                assert walk(await explain(api, a, b), a, b) == 1.0


def test_the_page_for_stewards_names_every_action_and_reason() -> None:
    rows = re.findall(
        r"^\| (`[^|]+) \|", (Path(__file__).parents[2] / "docs" / "stewardship.md").read_text(), re.MULTILINE
    )
    named = set(re.findall(r"`(\w+)`", " ".join(rows)))
    assert named >= set(get_args(SuggestionOut.model_fields["action"].annotation))
    assert named >= set(get_args(Reason)) - {"retracted", "records_disagree"}


async def test_what_is_refused(api: Api) -> None:
    a = fresh()
    await api.links(link(a, fresh("login_id")))
    assert (await api.get("/v1/explain", a=a, b=fresh())).status == 404
    assert (await api.get("/v1/explain", a=a, b=a)).status == 422
    assert (await api.get("/v1/explain", a=a, b="nonsense")).status == 422
    assert (await api.get("/v1/explain", a=a)).status == 422
    assert (await api.role("activation").get("/v1/explain", a=a, b=a)).status == 403

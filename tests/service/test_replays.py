"""Replays over HTTP: nothing changes that was right, what rules make of history is seen first and then corrected."""

from __future__ import annotations

import copy
from typing import Any

from tests.service.instances import Api, Reply, fresh, name, named
from tests.service.test_record import event, post, until

SPAN = {"from": "2025-12-31T00:00:00Z", "to": "2026-01-03T00:00:00Z"}


async def replayed(api: Api, **asked: Any) -> dict[str, Any]:
    """A replay, once it is over."""
    taken = await api.post("/v1/replays", SPAN | asked)
    assert taken.status == 202, taken
    path = f"/v1/replays/{taken.json['replay_id']}"
    found: dict[str, Any] = {}

    async def over() -> bool:
        found.update((await api.get(path)).json)
        return found["state"] not in ("running", "paused")

    await until(over, 60)
    assert found["state"] == "completed", found
    return found


def picture(reply: Reply) -> tuple[Any, ...]:
    profile = reply.json
    seen = sorted((name(i), i["confidence"], i["first_seen"], i["last_seen"]) for i in profile["identifiers"])
    return profile["profile_id"], seen, profile["traits"], profile["consent"]


async def test_a_replay_changes_nothing_that_was_right(api: Api) -> None:
    c, m = fresh("cookie_id"), fresh("email_sha256")
    said = {"traits": {"plan": "gold"}, "consent": {"advertising": "granted"}, "regulation": "GDPR"}
    sent = event(c, m, data=said)
    await post(api, sent, event(c))
    before = picture(await api.lookup(c))
    found = await replayed(api, types=["page_view"])
    assert found["counts"]["applied"] >= 2 and found["progress"]["done"] >= 2
    assert picture(await api.lookup(c)) == before
    assert [r["status"] for r in await post(api, sent)] == ["duplicate"]
    actions = [e["action"] for e in (await api.get("/v1/audit", limit=50)).json["items"]]
    assert "replay.begun" in actions and "replay.ended" in actions


async def test_a_replay_is_taken_once_under_one_key(api: Api) -> None:
    key = fresh()
    body = {"types": ["lead_submit"], "dry_run": True}
    first, again = [await api.post("/v1/replays", body, idempotency_key=key) for _ in range(2)]
    assert first.json["replay_id"] == again.json["replay_id"]
    other = await api.post("/v1/replays", body | {"correct": True}, idempotency_key=key)
    assert other.status == 422 and other.json["code"] == "idempotency_key_reused"
    assert (await api.get("/v1/replays/rpl_none")).status == 404
    assert (await api.post("/v1/replays", {"from": SPAN["to"], "to": SPAN["from"]})).status == 422


async def test_what_a_new_rule_makes_of_history_is_seen_first_and_then_corrected(api: Api) -> None:
    """A value turns out to be junk: many people were linked by it. The policy blocks it from now on; a replay that
    corrects takes back what came of it before.
    """
    junk = fresh("login_id")
    first, second = fresh("crm_id"), fresh("crm_id")
    kept = fresh("device_id")
    await post(api, event(first, junk), event(first, kept), event(second))
    assert (await api.lookup(first)).names == sorted([first, junk, kept])
    policy = (await api.get("/v1/policies/active")).json["policy"]
    changed = copy.deepcopy(policy)
    changed["blocked_values"] = [*policy.get("blocked_values", []), junk.split(":")[1]]
    version = (await api.post("/v1/policies", changed)).json["version"]
    await api.post(f"/v1/policies/{version}/activate?wait=10", {})
    try:
        tried = await replayed(api, dry_run=True, correct=True)
        assert tried["counts"]["refused"] >= 1 and tried["report"]["profiles"]["split"] >= 1
        assert tried["report"]["links"]["unsupported"] >= 1 and tried["report"]["complete"] is True
        assert (await api.lookup(first)).names == sorted([first, junk, kept]), "a dry run changes nothing"
        done = await replayed(api, correct=True)
        assert done["counts"]["links_retracted"] >= 1
        assert (await api.lookup(first)).names == sorted([first, kept])
    finally:
        await api.post("/v1/policies/rollback?wait=10", {})


async def test_the_erased_stay_erased(api: Api) -> None:
    gone, other = fresh("email_sha256"), fresh("cookie_id")
    await post(api, event(gone, other))
    await api.post("/v1/revocations", {"identifier": named(gone), "scope": "erase"})
    await replayed(api)
    assert (await api.lookup(gone)).status == 404

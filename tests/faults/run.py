"""One run: the workload under faults for so many seconds, everything put right, and all that must hold looked at."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import neo4j

from service.bootstrap import DEFAULT_POLICY
from service.control.policy_document import PolicyDocument, compile_policy
from tests.faults.calls import Caller
from tests.faults.checkers import (
    Violation,
    audit_broken,
    decisions_lost,
    feed_gaps,
    lost_or_torn,
    not_once,
    odd_answers,
    stale_reads,
    torn_group,
)
from tests.faults.faults import Injector
from tests.faults.ground import Ground
from tests.faults.history import Value
from tests.faults.person import UNKNOWN
from tests.faults.workload import Workload
from tests.service.instances import name, named

SETTLE_S = 90
AT_ONCE = 600


@dataclass(slots=True)
class Result:
    """What came of a run."""

    seed: int
    seconds: float
    faults: dict[str, int]
    counts: dict[str, int]
    requests: int
    refused: int
    unanswered: int
    reads: int
    changes: int
    retried: int
    unresolved: int
    starts: int
    ended_itself: list[str]
    violations: list[Violation] = field(default_factory=list)


async def run(
    ground: Ground, seed: int, seconds: float, say: Callable[[str], None], only: list[str] | None = None
) -> Result:
    """Faults drawn from `seed`: all that the ground allows, or `only` those (none: an empty list)."""
    mark = f"f{secrets.token_hex(3)}"
    policy = compile_policy(PolicyDocument.model_validate_json(DEFAULT_POLICY.read_bytes()), 1)
    load = Workload([target.base_url for target in ground.targets], policy, mark, seed)
    injector = Injector.over_ground(ground, random.Random(f"{seed}/faults"), only)
    if only == []:
        injector.kinds = []
    began = time.monotonic()
    working = asyncio.create_task(load.run())
    breaking = asyncio.create_task(injector.run())
    telling = asyncio.create_task(_tell(load, injector, say))
    done, _ = await asyncio.wait({working, breaking}, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    injector.over = True
    for task in done:
        task.result()
    await breaking
    for target in ground.targets:
        await target.ready()
    load.stop.set()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(working), SETTLE_S)
    load.over.set()
    await working
    telling.cancel()
    history = load.history
    result = Result(
        seed,
        time.monotonic() - began,
        dict(injector.done),
        dict(load.counts),
        history.requests,
        history.refused,
        history.unanswered,
        len(history.reads),
        sum(tried.acknowledged for tried in history.tried),
        sum(tried.attempts > 1 for tried in history.tried),
        sum(not tried.acknowledged and tried.kind != "decision" for tried in history.tried),
        sum(target.starts for target in ground.targets),
        [line for target in ground.targets for line in target.ended_itself],
    )
    result.violations = await inspect(ground, load)
    return result


async def _tell(load: Workload, injector: Injector, say: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(30)
        history = load.history
        say(f"{history.requests} requests, {sum(injector.done.values())} faults, {len(history.odd)} odd answers")


async def inspect(ground: Ground, load: Workload) -> list[Violation]:
    """All checkers, over what was seen and what is there now."""
    history = load.history
    finals = [await final_of(load, target.base_url) for target in ground.targets]
    found = stale_reads(history.writes, history.reads) + odd_answers(history)
    for final in finals:
        found += lost_or_torn(history.writes, final)
        for done in load.done:
            found += torn_group(done.alternatives, final, done.group.mark)
    if finals[0] != finals[1]:
        apart = [register for register in finals[0] if finals[0][register] != finals[1][register]]
        found.append(Violation("instances disagree", ", ".join(apart[:5])))
    audited, decisions = await recorded(ground, load)
    found += not_once(history.tried, audited) + decisions_lost(history.decisions, decisions)
    caller = load.caller(-1)
    found += feed_gaps(history.followed, await whole_feed(caller, history.followed))
    status, verdict = await caller.once("GET", "/v1/audit/verify")
    found += audit_broken(verdict if status == 200 else {"ok": False, "first_bad_seq": f"status {status}"})
    await caller.close()
    return found


async def final_of(load: Workload, base_url: str) -> dict[str, Value]:
    """What one instance says now of every identifier."""
    caller = Caller([base_url], load.history, random.Random(0), load.over)
    keys = [key for done in load.done for key in done.group.keys.values()]
    final: dict[str, Value] = {}
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        body = {"identifiers": [named(key) for key in some]}
        found = await _told(caller, "POST", "/v1/profiles/lookup", body)
        for key, result in zip(some, found["results"], strict=True):
            members = tuple(sorted(map(name, result.get("identifiers", ()))))
            final[f"profile:{key}"] = UNKNOWN if "error" in result else members
        mails = [key for key in some if key.startswith("email_sha256:")]
        requests = [{"identifier": named(key), "destination": "meta_ads"} for key in mails]
        found = await _told(caller, "POST", "/v1/decisions", {"requests": requests})
        for key, result in zip(mails, found["results"], strict=True):
            final[f"allow:{key}"] = result["outcome"] != "withhold"
    await caller.close()
    return final


async def _told(caller: Caller, method: str, path: str, body: object = None) -> Any:
    ends = time.monotonic() + 60
    while True:
        status, found = await caller.once(method, path, body)
        if status == 200:
            return found
        if time.monotonic() > ends:
            raise TimeoutError(f"{path}: {status}, a minute after everything was put right")
        await asyncio.sleep(0.5)


async def recorded(ground: Ground, load: Workload) -> tuple[list[str], list[str]]:
    """Request ids of all audit entries of this run, and ids of its decisions, as they are in the graph."""
    auth = ("neo4j", ground.neo4j_password)
    async with neo4j.AsyncGraphDatabase.driver(ground.neo4j_uri, auth=auth, telemetry_disabled=True) as driver:
        query = "MATCH (e:Audit) WHERE e.request_id STARTS WITH $mark RETURN e.request_id AS id"
        entries = await driver.execute_query(query, {"mark": load.mark})
        query = "UNWIND $ids AS id MATCH (d:Decision {id: id}) RETURN d.id AS id"
        decisions = await driver.execute_query(query, {"ids": load.history.decisions})
    return [row["id"] for row in entries.records], [row["id"] for row in decisions.records]


async def whole_feed(caller: Caller, followed: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The feed from where the follower began, as it is now."""
    if not followed:
        return []
    after, items = int(followed[0]["seq"]) - 1, []
    while True:
        found = await _told(caller, "GET", f"/v1/changes?after={after}&limit=1000")
        items += found["items"]
        if not found["items"]:
            return items
        after = found["next"]

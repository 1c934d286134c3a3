"""The one write path under trouble: poisoned changes, commits of unknown outcome, long queues, full queues, the end."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import secrets
from collections.abc import AsyncIterator
from typing import Any

import neo4j
import pytest

from service.commands.ports import OutcomeUnknown, Turn
from service.local import Stores
from service.model.identifiers import IdentifierKey
from service.settings import Settings
from tests.service.instances import Api, Instance, Json, fresh, link, name, named, opened
from tests.service.wrapped import WatchedLedger, watched_ledger

Watched = tuple[Api, WatchedLedger]


@pytest.fixture
async def watched(instance_settings: Settings, stores: Stores) -> AsyncIterator[Watched]:
    """An instance whose turns are watched."""
    async with opened(instance_settings, stores) as made:
        yield made.api, watched_ledger(made)


@pytest.fixture(scope="module")
async def graph(stores: Stores) -> AsyncIterator[neo4j.AsyncDriver]:
    """The graph itself, to see what is really there."""
    auth = (stores.neo4j_user, stores.neo4j_password)
    async with neo4j.AsyncGraphDatabase.driver(stores.neo4j_uri, auth=auth, telemetry_disabled=True) as driver:
        yield driver


async def count(graph: neo4j.AsyncDriver, query: str, **parameters: Any) -> int:
    """The one number that a query gives."""
    return int((await graph.execute_query(query, parameters)).records[0][0])


# ---- one poisoned item costs only itself


async def test_a_poisoned_link_costs_only_itself(watched: Watched) -> None:
    api, ledger = watched
    links = [link(fresh(), fresh("device_id")) for _ in range(9)]
    ledger.poisoned.add(IdentifierKey(name(links[4]["b"])))
    results = await api.links(*links)
    assert [item["status"] for item in results] == ["linked"] * 4 + ["rejected"] + ["linked"] * 4
    assert results[4]["errors"] and results[4]["link_id"] is None
    for number, sent in enumerate(links):
        assert (await api.lookup(name(sent["a"]))).status == (404 if number == 4 else 200)
    ledger.poisoned.clear()
    assert (await api.links(links[4]))[0]["status"] == "linked"


async def test_a_poisoned_request_costs_its_neighbours_in_the_turn_nothing(watched: Watched) -> None:
    api, ledger = watched
    bad, good, other = (link(fresh(), fresh("device_id")) for _ in range(3))
    [found] = await api.links(link(fresh(), fresh("device_id"), rule="revoked"))
    ledger.poisoned.add(IdentifierKey(name(bad["a"])))
    key = secrets.token_hex(8)
    sent = await ledger.hold(
        api.links(link(fresh(), fresh())),
        api.post("/v1/links", bad, idempotency_key=key),
        api.links(good, other),
        api.call("DELETE", f"/v1/links/{found['link_id']}"),
        api.post("/v1/revocations", {"identifier": named(fresh()), "scope": "linking"}),
    )
    ledger.gate.set()
    _, poisoned, linked, retracted, revoked = await asyncio.gather(*sent)
    assert poisoned.results[0]["status"] == "rejected"
    assert [item["status"] for item in linked] == ["linked", "linked"]
    assert retracted.json["status"] == "retracted" and revoked.json["enforced"] is True
    ledger.poisoned.clear()
    again = await api.post("/v1/links", bad, idempotency_key=key)
    assert again.results[0]["status"] == "linked", "a defect of the service is no answer to keep"


async def test_a_poisoned_act_of_a_steward_is_a_500_that_changed_nothing(watched: Watched) -> None:
    api, ledger = watched
    a, b = fresh(), fresh("device_id")
    [found] = await api.links(link(a, b))
    ledger.poisoned.add(IdentifierKey(b))
    path = f"/v1/profiles/{found['profile_id']}/split"
    reply = await api.post(path, {"identifiers": [named(b)], "reason": "r"})
    assert (reply.status, reply.json["code"]) == (500, "internal_error")
    ledger.poisoned.clear()
    assert (await api.lookup(a)).names == sorted([a, b])
    assert (await api.post(path, {"identifiers": [named(b)], "reason": "r"})).status == 200


# ---- an unknown outcome is settled, not guessed


async def unknown_after(turn: Turn) -> None:
    """It happened, and the answer was lost."""
    await turn.commit()
    raise OutcomeUnknown


async def unknown_before(_: Turn) -> None:
    """It did not happen, and nobody knows."""
    raise OutcomeUnknown


@pytest.mark.parametrize("outcome", [unknown_after, unknown_before])
async def test_a_link_of_unknown_outcome_is_there_once(
    watched: Watched, graph: neo4j.AsyncDriver, outcome: Any
) -> None:
    api, ledger = watched
    a, b, request_id, key = fresh(), fresh("device_id"), secrets.token_hex(8), secrets.token_hex(8)
    await api.lookup(a)
    ledger.on_commit = outcome
    reply = await api.post("/v1/links", link(a, b), x_request_id=request_id, idempotency_key=key)
    assert reply.results[0]["status"] == "linked" and ledger.on_commit is None
    assert (await api.lookup(a)).names == (await api.lookup(b)).names == sorted([a, b])
    assert await count(graph, "MATCH (e:Audit {request_id: $id}) RETURN count(e)", id=request_id) == 1
    query = "MATCH (i:Identifier {key: $key})-[r:LINK]-() RETURN count(r)"
    assert await count(graph, query, key=a) == 1
    again = await api.post("/v1/links", link(a, b), idempotency_key=key)
    assert again.body == reply.body and again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("outcome", [unknown_after, unknown_before])
async def test_a_merge_of_unknown_outcome_is_one_assertion(
    watched: Watched, graph: neo4j.AsyncDriver, outcome: Any
) -> None:
    api, ledger = watched
    a, c = fresh(), fresh()
    found = await api.links(link(a, fresh("device_id")), link(c, fresh("device_id")))
    await api.lookup(a)
    ledger.on_commit = outcome
    ids = [item["profile_id"] for item in found]
    reply = await api.post("/v1/profiles/merge", {"profiles": ids, "survivor": ids[1], "reason": "r"})
    assert reply.status == 200 and reply.json["applied"] is True
    query = "MATCH (s:Assertion)-[:ABOUT]->(:Identifier {key: $key}) RETURN count(DISTINCT s)"
    assert await count(graph, query, key=a) == 1
    assert len((await api.lookup(a)).names) == 4 and await api.profile_id(a) == ids[1]
    undone = await api.post(f"/v1/assertions/{reply.json['assertion_id']}/undo", {"reason": "r"})
    assert undone.json["applied"] is True
    assert [await api.profile_id(key) for key in (a, c)] == ids


@pytest.mark.parametrize("outcome", [unknown_after, unknown_before])
async def test_what_drops_nothing_from_the_cache_is_there_once_too(
    watched: Watched, graph: neo4j.AsyncDriver, outcome: Any
) -> None:
    """Turns without a profile to drop: a decision, and a refusal of somebody who was not seen yet."""
    api, ledger = watched
    asked = [
        ("/v1/decisions", {"identifier": named(fresh()), "destination": "meta_ads"}),
        ("/v1/revocations", {"identifier": named(fresh()), "scope": "purposes", "purposes": ["*"], "reason": "r"}),
    ]
    for path, body in asked:
        request_id = secrets.token_hex(8)
        ledger.on_commit = outcome
        assert (await api.post(path, body, x_request_id=request_id)).status == 200 and ledger.on_commit is None
        assert await count(graph, "MATCH (e:Audit {request_id: $id}) RETURN count(e)", id=request_id) == 1


@pytest.mark.parametrize("outcome", [unknown_after, unknown_before])
async def test_a_thousand_links_survive_an_unknown_outcome_in_the_middle(watched: Watched, outcome: Any) -> None:
    api, ledger = watched
    home = fresh("household_id")

    async def in_the_middle() -> None:
        await ledger.wrote.wait()
        ledger.on_commit = outcome

    links = [link(home, fresh("device_id")) for _ in range(600)]
    results, _ = await asyncio.gather(api.links(*links), in_the_middle())
    assert [item["status"] for item in results] == ["linked"] * 600 and ledger.on_commit is None
    assert sum(ledger.written) >= 600


# ---- who goes first


async def test_a_revocation_goes_before_a_long_queue(watched: Watched) -> None:
    api, ledger = watched
    a, b, order = fresh(), fresh("device_id"), list[str]()
    await api.links(link(a, b))

    async def noted(what: str, request: Any) -> Any:
        reply = await request
        order.append(what)
        return reply

    batches = [api.links(*(link(fresh(), fresh("device_id")) for _ in range(400))) for _ in range(3)]
    sent = await ledger.hold(
        noted("first", api.links(link(fresh(), fresh("device_id")))),
        *(noted("links", batch) for batch in batches),
        noted("revocation", api.post("/v1/revocations", {"identifier": named(b), "scope": "linking"})),
    )
    ledger.gate.set()
    await asyncio.gather(*sent)
    assert order == ["first", "revocation", "links", "links", "links"]
    assert (await api.lookup(a)).names == [a]


async def test_a_large_request_spans_turns_and_lets_others_in_between(watched: Watched) -> None:
    api, ledger = watched
    sent = [link(fresh(), fresh("device_id")) for _ in range(1_000)]
    large = asyncio.ensure_future(api.links(*sent))
    await ledger.wrote.wait()
    reply = await api.post("/v1/revocations", {"identifier": named(fresh()), "scope": "linking"})
    assert reply.json["enforced"] is True and not large.done()
    results = await large
    assert [item["status"] for item in results] == ["linked"] * 1_000
    assert len([links for links in ledger.written if links]) > 1
    ends = await asyncio.gather(*(api.lookup(name(sent[number]["a"])) for number in (0, 499, 999)))
    assert [reply.json["profile_id"] for reply in ends] == [results[n]["profile_id"] for n in (0, 499, 999)]


# ---- conflicts


async def test_conflicting_changes_at_once_leave_one_consistent_world(watched: Watched, second: Instance) -> None:
    """Both instances at once, all kinds, all about the same few identifiers: whatever order they took, all agree."""
    (api, _), other = watched, second.api
    keys = [fresh(namespace) for namespace in ("crm_id", "crm_id", "login_id", "device_id", "device_id", "cookie_id")]
    for round_ in range(4):
        pairs = [(a, b) for i, a in enumerate(keys) for b in keys[i + 1 :]]
        links = [link(a, b, rule=f"r{round_}", confidence=0.5 + number / 40) for number, (a, b) in enumerate(pairs)]
        found = await api.links(*links)
        ids = sorted({item["profile_id"] for item in found})
        merge = {"profiles": ids[:2], "reason": "r"} if len(ids) > 1 else None
        split: Json = {"identifiers": [named(keys[round_])], "reason": "r"}
        changes: list[Any] = [
            api.links(*reversed(links)),
            other.links(*(link(b, a, rule=f"x{round_}") for a, b in pairs)),
            api.post(f"/v1/profiles/{ids[0]}/split", split),
            other.post(f"/v1/profiles/{ids[-1]}/split", split),
            api.call("DELETE", f"/v1/links/{found[0]['link_id']}"),
            other.call("DELETE", f"/v1/links/{found[0]['link_id']}"),
            other.post("/v1/revocations", {"identifier": named(keys[5]), "scope": "purposes", "purposes": ["*"]}),
        ]
        if merge:
            changes += [caller.post("/v1/profiles/merge", merge) for caller in (api, other)]
        for reply in await asyncio.gather(*changes):
            assert isinstance(reply, list) or reply.status in (200, 404, 409, 422), reply
        seen = [[await caller.lookup(key) for key in keys] for caller in (api, other)]
        for one, two in zip(*seen, strict=True):
            assert one.status == 200 and one.json == two.json
        profiles = {reply.json["profile_id"]: reply.names for reply in seen[0]}
        assert sorted(key for names in profiles.values() for key in names) == sorted(keys)
        for key, reply in zip(keys, seen[0], strict=True):
            assert key in profiles[reply.json["profile_id"]]


async def test_a_chain_sent_at_once_is_one_profile(watched: Watched, second: Instance) -> None:
    (api, _), other = watched, second.api
    chain = [fresh(), *(fresh("session_id") for _ in range(40))]
    links = [link(a, b) for a, b in itertools.pairwise(chain)]
    await asyncio.gather(*((api, other)[number % 2].links(sent) for number, sent in enumerate(links)))
    for caller in (api, other):
        assert (await caller.lookup(chain[-1])).names == sorted(chain)


# ---- too much, and the end


async def test_a_full_queue_says_so_and_loses_nothing(instance_settings: Settings, stores: Stores) -> None:
    async with opened(instance_settings, stores) as made:
        made.assembled.services.write_path._queue._changes_max = 10
        api, ledger = made.api, watched_ledger(made)
        many = [link(fresh(), fresh("device_id")) for _ in range(10)]
        sent = await ledger.hold(api.links(link(fresh(), fresh("device_id"))), api.links(*many))
        reply = await api.post("/v1/links", link(fresh(), fresh("device_id")))
        assert (reply.status, reply.json["code"]) == (503, "overloaded")
        ledger.gate.set()
        _, results = await asyncio.gather(*sent)
        assert [item["status"] for item in results] == ["linked"] * 10
        assert (await api.links(link(fresh(), fresh("device_id"))))[0]["status"] == "linked"
        assert len(await api.links(*(link(fresh(), fresh("device_id")) for _ in range(11)))) == 11, (
            "into an empty queue"
        )


async def test_the_end_refuses_what_is_new_and_finishes_what_waits(
    instance_settings: Settings, stores: Stores, watched: Watched
) -> None:
    over = asyncio.Event()
    ready: asyncio.Future[tuple[Api, WatchedLedger]] = asyncio.get_running_loop().create_future()

    async def life() -> None:
        async with opened(instance_settings, stores) as made:
            ready.set_result((dataclasses.replace(made.api), watched_ledger(made)))
            await over.wait()
            await made.assembled.services.write_path.stop()

    living = asyncio.ensure_future(life())
    api, ledger = await ready
    links = [link(fresh(), fresh("device_id")) for _ in range(300)]
    sent = await ledger.hold(api.links(link(fresh(), fresh("device_id"))), api.links(*links), api.links(links[0]))
    over.set()
    await asyncio.sleep(0.05)
    reply = await api.post("/v1/links", link(fresh(), fresh("device_id")))
    assert (reply.status, reply.json["code"]) == (503, "store_unavailable") and "retry-after" in reply.headers
    assert not living.done()
    ledger.gate.set()
    _, results, again = await asyncio.gather(*sent)
    assert [item["status"] for item in results] == ["linked"] * 300 and again[0]["link_id"] == results[0]["link_id"]
    await living
    assert (await watched[0].lookup(name(links[299]["a"]))).status == 200

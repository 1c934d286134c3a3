"""What is old moves out of the graph, and every answer about it stays what it was."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import neo4j
import pytest

from service.clock import now_ms
from service.commands.sealing import KINDS, Sealer
from service.graph.driver import open_driver
from service.graph.stretches import GraphStretches
from service.local import Stores
from service.local.sealed import FILE, FOLDER, SqliteSealed
from service.model.times import rfc3339
from service.settings import Settings
from tests.service.instances import Api, fresh, link, named, opened, refused
from tests.service.own import wipe
from tests.service.worlds import agreed, tail, until

LEFT = {
    "audit": "MATCH (e:Audit) RETURN count(e)",
    "turns": "MATCH (t:Turn) WHERE NOT t:Pending RETURN count(t)",
    "views": "MATCH (v:Past) RETURN count(v)",
    "stays": "MATCH ()-[w:WAS_IN]->() RETURN count(w)",
}


@dataclass(slots=True)
class Place:
    """A graph, an instance on it, and what moves things out of the graph."""

    api: Api
    driver: neo4j.AsyncDriver
    stretches: GraphStretches
    file: SqliteSealed
    path: Path
    keys: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    moments: list[int] = field(default_factory=list)

    def sealer(self, limit: int = 7) -> Sealer:
        """Everything is old enough; little by little."""
        return Sealer(self.stretches, self.file, 0, limit)

    async def left(self) -> dict[str, int]:
        """How much of what may move is in the graph still."""
        return {name: (await self.driver.execute_query(query)).records[0][0] for name, query in LEFT.items()}


@asynccontextmanager
async def placed(settings: Settings, stores: Stores) -> AsyncIterator[Place]:
    """An instance on an empty graph."""
    await wipe(stores)
    driver = open_driver(stores.neo4j_uri, stores.neo4j_user, stores.neo4j_password, acquisition_timeout_ms=5_000)
    file = SqliteSealed(settings.data_dir / FOLDER)
    async with driver, opened(settings, stores) as made:
        yield Place(made.api, driver, GraphStretches(driver, "neo4j"), file, settings.data_dir / FOLDER / FILE)
        file.close()


@pytest.fixture
async def place(settings_here: Settings, own: Stores) -> AsyncIterator[Place]:
    """See `placed`."""
    async with placed(settings_here, own) as found:
        yield found


async def lived(place: Place) -> None:
    """A life with every kind of change: joined, split, undone, merged, moved, retracted, expired, refused."""
    api = place.api
    crm, login, cookie, other, device = (
        fresh(space) for space in ("crm_id", "login_id", "cookie_id", "crm_id", "device_id")
    )

    async def moment() -> None:
        place.ids.update([await api.profile_id(key) for key in (crm, login, cookie, other, device)])
        await asyncio.sleep(0.005)
        place.moments.append(now_ms())
        await asyncio.sleep(0.005)

    sent = await api.links(link(crm, login), link(login, cookie), link(other, device))
    await moment()
    shown = await api.profile_id(crm)
    split = agreed(await api.post(f"/v1/profiles/{shown}/split", {"identifiers": [named(cookie)], "reason": "r"}))
    await moment()
    ids = [await api.profile_id(key) for key in (crm, other)]
    agreed(await api.post("/v1/profiles/merge", {"profiles": ids, "survivor": ids[1], "reason": "r"}))
    await moment()
    agreed(await api.post(f"/v1/assertions/{split['assertion_id']}/undo", {"reason": "r"}))
    await moment()
    due = now_ms() + 700
    await api.links(link(device, fresh("session_id"), expires_at=rfc3339(due)))
    await api.call("DELETE", f"/v1/links/{sent[0]['link_id']}", params={"reason": "r"})
    await moment()
    revoked = {"identifier": named(login), "scope": "purposes", "purposes": ["advertising"], "source": "cmp"}
    agreed(await api.post("/v1/revocations", revoked))
    await until(due + 20)
    await moment()
    place.keys = [crm, login, cookie, other, device]


async def told(place: Place) -> dict[str, Any]:
    """All that the service says of the past."""
    api, found = place.api, dict[str, Any]()
    found["feed"] = (await tail(api, 0))[0]
    found["verdict"] = agreed(await api.get("/v1/audit/verify"))
    found["audit"] = await audit(api)
    for key in place.keys:
        found[f"audit {key}"] = await audit(api, subject=key)
        for at in place.moments:
            found[f"{key} at {at}"] = (await api.lookup(key, as_of=rfc3339(at))).body
    for profile in sorted(place.ids):
        found[f"history {profile}"] = await history(api, profile)
        for at in place.moments:
            found[f"{profile} at {at}"] = (await api.get(f"/v1/profiles/{profile}", as_of=rfc3339(at))).body
    return found


async def audit(api: Api, **asked: str) -> list[Any]:
    """Matching entries, in pages of four."""
    items: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = agreed(await api.get("/v1/audit", limit=4, **asked, **cursor))
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


async def history(api: Api, profile: str) -> list[Any]:
    """A profile's history, in pages."""
    items: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = agreed(await api.get(f"/v1/profiles/{profile}/history", limit=2, **cursor))
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


def same(got: dict[str, Any], wanted: dict[str, Any]) -> None:
    """The same answers, but for their request ids."""
    for name, answer in wanted.items():
        assert without_request(got[name]) == without_request(answer), name


def without_request(answer: Any) -> Any:
    """An error names its request."""
    return answer if not isinstance(answer, bytes) or b'"request_id"' not in answer else b'"code"' in answer


async def test_every_answer_stays_what_it_was(place: Place) -> None:
    await lived(place)
    wanted = await told(place)
    assert wanted["verdict"]["ok"] and len(wanted["feed"]) > 10
    before = await place.left()
    assert min(before.values()) > 0
    assert await place.sealer().seal() == sum(before.values())
    left = await place.left()
    assert left == {"audit": 0, "turns": 0, "views": 0, "stays": 0}
    same(await told(place), wanted)
    assert place.path.stat().st_mode & 0o077 == 0

    crm = place.keys[0]
    await place.api.links(link(crm, fresh("email_sha256")))
    after = await told(place)
    assert after["verdict"]["ok"] and after["verdict"]["entries"] == wanted["verdict"]["entries"] + 1
    assert after["feed"][: len(wanted["feed"])] == wanted["feed"] and len(after["feed"]) > len(wanted["feed"])
    middle = wanted["feed"][len(wanted["feed"]) // 2]["seq"]
    assert (await tail(place.api, middle))[0] == [item for item in after["feed"] if item["seq"] > middle]
    assert (
        after[f"history {await place.api.profile_id(crm)}"][1:] == wanted[f"history {await place.api.profile_id(crm)}"]
    )


async def test_a_crash_between_the_file_and_the_graph(place: Place) -> None:
    """The stretch is in both places: told once, and moved at the next attempt."""
    await lived(place)
    wanted = await told(place)
    for kind in KINDS:
        stretch = await place.stretches.oldest(kind, 0, 5)
        assert stretch.rows
        await place.file.add(stretch)
        same(await told(place), wanted)
        await place.file.add(stretch)
    before = await place.left()
    assert await place.sealer().seal() == sum(before.values())
    same(await told(place), wanted)


async def test_two_seal_at_once_and_readers_miss_nothing(place: Place) -> None:
    await lived(place)
    wanted = await told(place)
    sealing = asyncio.gather(place.sealer(2).seal(), place.sealer(3).seal())
    rounds = 0
    while not sealing.done():
        assert (await tail(place.api, 0))[0] == wanted["feed"]
        assert agreed(await place.api.get("/v1/audit/verify")) == wanted["verdict"]
        assert await audit(place.api) == wanted["audit"]
        at = place.moments[rounds % len(place.moments)]
        key = place.keys[rounds % len(place.keys)]
        assert (await place.api.lookup(key, as_of=rfc3339(at))).body == wanted[f"{key} at {at}"]
        rounds += 1
    await sealing
    await place.sealer().seal()
    assert await place.left() == {"audit": 0, "turns": 0, "views": 0, "stays": 0} and rounds > 1
    same(await told(place), wanted)


async def test_what_is_young_stays(place: Place) -> None:
    await lived(place)
    before = await place.left()
    assert await Sealer(place.stretches, place.file, 3_600_000).seal() == 0
    left = await place.left()
    assert left.pop("turns") >= before.pop("turns"), "the last ones may have been on their way"
    assert left == before


async def test_a_sealed_entry_that_was_touched_is_found(place: Place) -> None:
    await lived(place)
    await place.sealer().seal()
    with sqlite3.connect(place.path) as file:
        file.execute("UPDATE audit SET entry = replace(CAST(entry AS TEXT), 'key:', 'kex:') WHERE seq = 2")
    verdict = agreed(await place.api.get("/v1/audit/verify"))
    assert (verdict["ok"], verdict["first_bad_seq"]) == (False, 2)
    with sqlite3.connect(place.path) as file:
        file.execute("DELETE FROM audit WHERE seq = 1")
    assert agreed(await place.api.get("/v1/audit/verify"))["first_bad_seq"] == 1
    file.close()


async def test_without_the_file_nothing_is_made_up(place: Place, settings_here: Settings, own: Stores) -> None:
    """An instance that can't see what was moved says so, and answers everything else."""
    await lived(place)
    await place.sealer().seal()
    elsewhere = settings_here.model_copy(update={"sealed_dir": settings_here.data_dir / "nothing"})
    async with opened(elsewhere, own) as other:
        refused(await other.api.get("/v1/changes", after=0), 503, "store_unavailable")
        crm = place.keys[0]
        refused(await other.api.lookup(crm, as_of=rfc3339(place.moments[0])), 503, "store_unavailable")
        assert agreed(await other.api.get("/v1/audit/verify"))["first_bad_seq"] == 1
        assert (await other.api.lookup(crm)).body == (await place.api.lookup(crm)).body
        last = (await tail(place.api, 0))[1]
        await other.api.links(link(crm, fresh("email_sha256")))
        assert (await tail(other.api, last))[0]

"""Imports and exports on real stores of their own, wiped between: what comes of a file is what the API makes of it."""

from __future__ import annotations

import asyncio
import csv
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.bootstrap import Assembled, means_of, source_of, target_of
from service.errors import StartRefused
from service.local import Stores
from service.settings import Settings
from service.volume.exporting import MANIFEST, export_tables
from service.volume.importing import Request, import_rows
from service.volume.loading import Loaded
from service.volume.restoring import restore_export, rows_of
from service.volume.tables import TABLES
from tests.service.instances import Instance, Json, link, opened, quiet
from tests.service.own import wipe

COLUMNS = (
    "a_namespace", "a_value", "b_namespace", "b_value", "method", "confidence", "source", "rule", "observed_at",
)  # fmt: skip
BAD = 5


async def content(made: Assembled) -> dict[str, Any]:
    """Everything that look-ups rest on, without the times at which it was recorded."""
    async with made.bulk.snapshot() as snapshot:
        return {
            "identifiers": {kept.key: (kept, profile) async for kept, profile in snapshot.identifiers()},
            "profiles": {
                kept.profile_id: (kept.born, holder, members) async for kept, holder, _, members in snapshot.profiles()
            },
            "links": {found.link_id: (found, withheld) async for found, withheld in snapshot.links()},
            "assertions": [assertion async for assertion in snapshot.assertions()],
            "consents": sorted([c async for c in snapshot.consents()], key=repr),
            "revocations": sorted([r async for r in snapshot.revocations()], key=repr),
        }


def shown(found: dict[str, Any]) -> dict[str, Any]:
    """Content, with only those ids that are shown today: how many were in between depends on the turns."""
    return found | {"profiles": {key: row for key, row in found["profiles"].items() if row[2]}}


# ---- a world of links that collide


def people(seed: int, count: int) -> list[Json]:
    """Links with shared devices, rival customer numbers, households, weak ones, ones sent again and old ones."""
    chance = random.Random(seed)
    sent: list[Json] = []

    def one(a: str, b: str, **more: Any) -> None:
        at = f"2025-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}T0{chance.randint(0, 9)}:00:00Z"
        sent.append(link(a, b, observed_at=at, source=chance.choice(("crm", "web")), **more))

    for number in range(count):
        crm, email = f"crm_id:c-{number}", f"email_sha256:{chance.randbytes(32).hex()}"
        one(crm, email, confidence=chance.choice((0.3, 0.8, 1.0)))
        for _ in range(chance.randint(0, 3)):
            one(chance.choice((crm, email)), f"cookie_id:k-{number}-{chance.randint(0, 3)}")
        if chance.random() < 0.3:
            one(crm, f"device_id:shared-{chance.randint(0, count // 20)}")
        if chance.random() < 0.2:
            one(crm, f"household_id:h-{number // 3}")
        if chance.random() < 0.2:
            one(email, f"crm_id:c-{chance.randint(0, number)}", method="probabilistic", confidence=0.95)
        if chance.random() < 0.2:
            sent.append(chance.choice(sent))
    chance.shuffle(sent)
    return sent


def write_csv(path: Path, links: list[Json], bad: int = 0) -> None:
    """The links as a file, with some rows that can't be taken."""
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for number, one in enumerate(links):
            if number < bad:
                out.writerow(["crm_id", "null", "device_id", "nobody@example.org", "certain", "7", "", "", "yesterday"])
            a, b = one["a"], one["b"]
            cells = [one[name] for name in ("method", "confidence", "source", "rule", "observed_at")]
            out.writerow([a["namespace"], a["value"], b["namespace"], b["value"], *cells])


async def load(made: Instance, stores: Stores, settings: Settings, path: Path, **more: Any) -> Loaded:
    """Import a file into an instance's stores."""
    means = await means_of(settings, stores, made.assembled)
    return await import_rows(Request(path, **more), means, quiet)


async def by_api(made: Instance, links: list[Json]) -> None:
    """The same links by the API, a few a request."""
    for start in range(0, len(links), 37):
        await made.api.links(*links[start : start + 37])


# ---- imports


async def test_a_file_comes_to_what_the_api_makes_of_it(own: Stores, settings_here: Settings, tmp_path: Path) -> None:
    links = people(1, 250)
    write_csv(tmp_path / "links.csv", links, BAD)
    errors = tmp_path / "refused.jsonl"
    await wipe(own)
    async with opened(settings_here, own) as made:
        loaded = await load(made, own, settings_here, tmp_path / "links.csv", errors=errors, window_rows=400)
        assert (loaded.rows, loaded.refused) == (len(links) + BAD, BAD)
        assert loaded.ahead > len(links) / 3, "most neighbourhoods are resolved ahead"
        assert sum(loaded.statuses.values()) == len(links)
        got = await content(made.assembled)
        feed = (await made.api.get("/v1/changes", after=0, limit=1000)).json["items"]
        verified = (await made.api.get("/v1/audit/verify")).json
        some = next(iter(got["identifiers"]))
        answer = await made.api.lookup(some)
    assert verified["ok"]
    assert [item["seq"] for item in feed] == sorted({item["seq"] for item in feed})
    assert answer.json["profile_id"] == got["identifiers"][some][1]
    rows = [orjson.loads(line) for line in errors.read_bytes().splitlines()]
    assert sorted(row["row"] for row in rows) == [1, 3, 5, 7, 9]
    assert all(row["errors"][0]["pointer"] for row in rows)
    assert b"nobody" not in errors.read_bytes()

    await wipe(own)
    async with opened(settings_here, own) as made:
        await by_api(made, links)
        wanted = await content(made.assembled)
        again = await load(made, own, settings_here, tmp_path / "links.csv", errors=errors)
        assert again.statuses == {"duplicate": len(links)}
        assert again.ahead == 0
    for part in wanted:
        assert shown(got)[part] == shown(wanted)[part], part


async def test_an_interrupted_import_goes_on(own: Stores, settings_here: Settings, tmp_path: Path) -> None:
    links = people(2, 150)
    path, errors = tmp_path / "links.csv", tmp_path / "refused.jsonl"
    write_csv(path, links, BAD)
    state = errors.with_name(errors.name + ".state")
    await wipe(own)
    async with opened(settings_here, own) as made:
        loading = asyncio.create_task(load(made, own, settings_here, path, errors=errors, window_rows=60))
        while not state.exists() and not loading.done():
            await asyncio.wait([loading], timeout=0.02)
        loading.cancel()
        await asyncio.wait([loading])
        assert loading.cancelled()
        kept = orjson.loads(state.read_bytes())["rows"]
        assert 0 < kept < len(links)
        said: list[str] = []
        means = await means_of(settings_here, own, made.assembled)
        loaded = await import_rows(Request(path, errors=errors, window_rows=60), means, said.append)
        assert said[0] == f"going on after row {kept:,}"
        assert (loaded.first, loaded.rows, loaded.refused) == (kept, len(links) + BAD, BAD)
        assert len(errors.read_bytes().splitlines()) == BAD
        assert not state.exists()
        got = await content(made.assembled)
        await by_api(made, links)
        assert await content(made.assembled) == got


async def test_ndjson_and_consents(own: Stores, settings_here: Settings, tmp_path: Path) -> None:
    links, path = people(3, 20), tmp_path / "links.ndjson"
    path.write_bytes(b"\n".join(orjson.dumps(one) for one in links) + b"\n{broken\n")
    consents = tmp_path / "consents.csv"
    consents.write_text(
        "namespace,value,scope,purpose,state,at\n"
        "crm_id,c-1,,advertising,granted,2026-01-01T00:00:00Z\n"
        "crm_id,c-1,purposes,advertising,,2026-02-01T00:00:00Z\n"
        "crm_id,c-2,,nothing,granted,2026-02-01T00:00:00Z\n"
    )
    await wipe(own)
    async with opened(settings_here, own) as made:
        loaded = await load(made, own, settings_here, path)
        assert (loaded.rows, loaded.refused) == (len(links) + 1, 1)
        said = await load(made, own, settings_here, consents, kind="consents")
        assert (said.statuses, said.refused) == ({"recorded": 2}, 1)
        items = (await made.api.get("/v1/consents", namespace="crm_id", value="c-1")).json["items"]
    assert [(item["purpose"], item["state"]) for item in items] == [("advertising", "withdrawn")]


# ---- exports


async def busy_world(made: Instance) -> None:
    """Links, and everything that stewards and people may have said of them."""
    api = made.api
    await by_api(made, people(4, 60))
    ids = [await api.profile_id(f"crm_id:c-{number}") for number in range(8)]
    merged = await api.post("/v1/profiles/merge", {"profiles": ids[:2], "survivor": ids[1], "reason": "same"})
    assert merged.status == 200
    undone = await api.post("/v1/profiles/merge", {"profiles": ids[2:4], "reason": "same"})
    await api.post(f"/v1/assertions/{undone.json['assertion_id']}/undo", {"reason": "no"})
    await api.links(link("crm_id:c-5", "login_id:l-5"), link("login_id:l-5", "cookie_id:split-5"))
    leaving = {"identifiers": [{"namespace": "login_id", "value": "l-5"}], "reason": "somebody else"}
    assert (await api.post(f"/v1/profiles/{await api.profile_id('crm_id:c-5')}/split", leaving)).status == 200
    (taken,) = await api.links(link("crm_id:c-6", "cookie_id:gone-6"))
    await api.call("DELETE", f"/v1/links/{taken['link_id']}")
    person = {"namespace": "crm_id", "value": "c-7"}
    await api.post("/v1/consents", {"identifier": person, "purposes": {"advertising": "granted"}, "regulation": "GDPR"})
    await api.post("/v1/revocations", {"identifier": person, "scope": "purposes", "purposes": ["advertising"]})
    await api.post("/v1/revocations", {"identifier": {"namespace": "crm_id", "value": "c-3"}, "scope": "linking"})
    later = {"identifier": {"namespace": "crm_id", "value": "later"}, "purposes": {"analytics": "denied"}}
    assert (await api.post("/v1/consents", later)).status == 200


async def test_an_export_comes_back_to_the_same_profiles_and_ids(
    own: Stores, settings_here: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    await wipe(own)
    async with opened(settings_here, own) as made:
        await busy_world(made)
        wanted = await content(made.assembled)
        rows = await export_tables(await source_of(made.assembled), folder, quiet)
        with pytest.raises(StartRefused, match="empty graph"):
            await restore_export(folder, await target_of(made.assembled), quiet)
        seq = orjson.loads((folder / MANIFEST).read_bytes())["seq"]
    assert rows["identifiers"] == len(wanted["identifiers"])
    assert all((path.stat().st_mode & 0o077) == 0 for path in folder.iterdir())
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*(f"{table.name}.parquet" for table in TABLES), "manifest.json", "policy.json"]
    )
    assert [len(list(rows_of(folder, table))) for table in TABLES] == [rows[table.name] for table in TABLES]

    await wipe(own)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with opened(settings_here.model_copy(update={"data_dir": elsewhere}), own) as made:
        await restore_export(folder, await target_of(made.assembled), quiet)
        got = await content(made.assembled)
        for part in wanted:
            if part == "revocations":  # the number of the change is another in another graph
                same = [[replace(each, seq=None) for each in side[part]] for side in (got, wanted)]
                assert same[0] == same[1]
            else:
                assert got[part] == wanted[part] if part != "profiles" else shown(got)[part] == shown(wanted)[part], (
                    part
                )
        assert wanted["profiles"].keys() <= got["profiles"].keys(), "every id that was handed out leads somewhere"
        for profile_id in wanted["profiles"]:
            assert (await made.api.get(f"/v1/profiles/{profile_id}")).status == 200
        assert await made.assembled.founding.seq() > seq
        active = next(a for a in got["assertions"] if a.kind == "same" and not a.undone)
        assert (await made.api.post(f"/v1/assertions/{active.assertion_id}/undo", {"reason": "no"})).json["applied"]


async def test_an_export_of_another_key_or_policy_is_refused(
    own: Stores, settings_here: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    await wipe(own)
    async with opened(settings_here, own) as made:
        await export_tables(await source_of(made.assembled), folder, quiet)
        with pytest.raises(StartRefused, match="not empty"):
            await export_tables(await source_of(made.assembled), folder, quiet)
        told = orjson.loads((folder / MANIFEST).read_bytes())
        (folder / MANIFEST).write_bytes(orjson.dumps(told | {"identity_fingerprint": "0"}))
        with pytest.raises(StartRefused, match="IDENTITY_KEY"):
            await restore_export(folder, await target_of(made.assembled), quiet)
        (folder / MANIFEST).write_bytes(orjson.dumps(told))
        (folder / "policy.json").write_text("{}")
        with pytest.raises(StartRefused, match="POLICY_FILE"):
            await restore_export(folder, await target_of(made.assembled), quiet)
        (folder / MANIFEST).unlink()
        with pytest.raises(StartRefused, match="is no export"):
            await restore_export(folder, await target_of(made.assembled), quiet)

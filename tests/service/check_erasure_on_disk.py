"""Once `physical` says done, no file below the data folder holds anything of the person; about two minutes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from service.bootstrap import assembled
from service.local import local_stores
from service.local.backup import backup, restore
from service.local.remains import files_with
from service.settings import Settings, load_settings
from tests.service.instances import KEYS, Api, calling, fresh, link, named, quiet

WAIT_S = 300


def settings_in(folder: Path) -> Settings:
    return load_settings({"data_dir": folder, "sample": False, "port": 0, "api_keys": KEYS})


async def person(api: Api) -> tuple[str, str]:
    """Somebody with links, consents, decisions, a merge and an answer kept for its key."""
    mail, crm = fresh("email_sha256"), fresh()
    await api.links(link(mail, crm), *[link(mail, fresh("device_id")) for _ in range(5)])
    granted = {"identifier": named(mail), "purposes": {"advertising": "granted"}, "regulation": "GDPR"}
    await api.post("/v1/consents", granted)
    await api.post("/v1/revocations", {"identifier": named(mail), "scope": "purposes", "purposes": ["analytics"]})
    await api.post("/v1/decisions", {"identifier": named(mail), "destination": "meta_ads"}, idempotency_key="once")
    other = await api.links(link(fresh(), fresh("cookie_id")))
    merge = {"profiles": [await api.profile_id(mail), other[0]["profile_id"]], "reason": mail}
    assert (await api.post("/v1/profiles/merge", merge, idempotency_key="merge")).status == 200
    return mail, crm


async def erased(api: Api, key: str) -> str:
    found = await api.post("/v1/revocations", {"identifier": named(key), "scope": "erase"})
    assert found.status == 200
    return str(found.json["revocation_id"])


@pytest.mark.asyncio
async def test_files_hold_nothing_once_physical_says_done(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "run")
    async with (
        local_stores(settings, quiet) as stores,
        assembled(settings, stores, quiet) as made,
        calling(made) as api,
    ):
        mail, crm = await person(api)
        await asyncio.sleep(65)  # a checkpoint, so that the stores hold the person as well
        needles = [key.partition(":")[2].encode() for key in (mail, crm)]
        before = files_with(settings.data_dir, needles)
        assert before[needles[0]] and before[needles[1]]
        ids = [await erased(api, key) for key in (mail, crm)]
        until = time.monotonic() + WAIT_S
        for revocation_id in ids:
            while (await _graph(api, revocation_id)) != "done":
                assert time.monotonic() < until, files_with(settings.data_dir, needles)
                await asyncio.sleep(2)
        assert files_with(settings.data_dir, needles) == {needle: [] for needle in needles}
    assert files_with(settings.data_dir, needles) == {needle: [] for needle in needles}, "nor once all is ended"


async def _graph(api: Api, revocation_id: str) -> str:
    return str((await api.get(f"/v1/revocations/{revocation_id}")).json["physical"]["graph"]["state"])


@pytest.mark.asyncio
async def test_an_older_backup_does_not_bring_the_person_back(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "run")
    async with (
        local_stores(settings, quiet) as stores,
        assembled(settings, stores, quiet) as made,
        calling(made) as api,
    ):
        mail, crm = await person(api)
    backup(settings.data_dir, tmp_path / "yesterday.tar.gz")
    async with (
        local_stores(settings, quiet) as stores,
        assembled(settings, stores, quiet) as made,
        calling(made) as api,
    ):
        await erased(api, mail)
    restore(settings.data_dir, tmp_path / "yesterday.tar.gz")
    said: list[str] = []
    async with (
        local_stores(settings, quiet) as stores,
        assembled(settings, stores, said.append) as made,
        calling(made) as api,
    ):
        assert (await api.lookup(mail)).status == 404
        assert (await api.lookup(crm)).status == 200
        assert (await api.links(link(mail, crm)))[0]["status"] == "rejected"
    assert any("1 identifiers erased again" in line for line in said)

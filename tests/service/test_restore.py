"""Yesterday's backup is put back, and no consent comes back to life with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from service.bootstrap import Assembled, assembled
from service.commands.carry_out import Outcome
from service.control.effective_consent import State
from service.local import local_stores
from service.local.backup import backup, restore
from service.model.changes import Change, ObserveLink, Origin, RecordConsent, Revoke
from service.model.identifiers import IdentifierKey, LinkId
from service.settings import Settings, load_settings

CRM, LOGIN = IdentifierKey("crm_id:restored"), IdentifierKey("login_id:restored")


def _answer(outcomes: Sequence[Outcome]) -> tuple[int, bytes]:
    return 200, orjson.dumps([type(outcome).__name__ for outcome in outcomes])


async def _send(instance: Assembled, change: Change) -> None:
    answered = await instance.services.write_path.submit([change], Origin("test"), _answer)
    assert b"Receipt" in answered.body


async def _advertising(instance: Assembled) -> State:
    found = await instance.services.lookup.by_identifier(LOGIN)
    state: State = orjson.loads(found.body)["consent"]["advertising"]["state"]
    return state


async def _run(settings: Settings, *changes: Change) -> tuple[State, int, list[str]]:
    """One life of the service: the state at its end, its last sequence number, and what it said."""
    said: list[str] = []
    async with local_stores(settings, said.append) as stores, assembled(settings, stores, said.append) as instance:
        for change in changes:
            await _send(instance, change)
        assert (await instance.services.audit.verify()).ok
        return await _advertising(instance), await instance.founding.seq(), said


@pytest.mark.asyncio
async def test_an_older_backup_brings_no_consent_back(tmp_path: Path) -> None:
    settings = load_settings({"data_dir": tmp_path / "run", "sample": False, "port": 0})
    link = ObserveLink(LinkId("lnk_r"), CRM, LOGIN, "deterministic", 1.0, "crm", "r", observed_at=1_700_000_000_000)
    granted = RecordConsent(CRM, (("advertising", "granted"),), "GDPR", source="cmp", at=1_700_000_000_000)
    state, _, _ = await _run(settings, link, granted)
    assert state == "granted"
    backup(settings.data_dir, tmp_path / "yesterday.tar.gz")

    withdrawn = Revoke(CRM, "purposes", ("advertising",), "GDPR", "cmp", 1_700_000_100_000)
    state, seen, _ = await _run(settings, withdrawn)
    assert state == "withdrawn"

    restore(settings.data_dir, tmp_path / "yesterday.tar.gz")
    state, seq, said = await _run(settings)
    assert state == "withdrawn"
    assert seq >= seen, "a reader of the feed who saw a number would miss what comes after it"
    assert any("1 refusals applied again" in line for line in said)
    assert not any("vouched" in line for line in said), "an older graph that was put back is no cut audit"

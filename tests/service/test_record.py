"""The record behind a running instance: every event exactly once, nothing of those who were erased, retention."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from service.api.body import parse_json
from service.api.routes.events import read_events
from service.commands.record_ports import Span
from service.errors import StartRefused
from service.model.events import CanonicalEvent
from service.record.table import DeltaRecord
from service.settings import Settings
from service.volume.events import EventMeans, import_events
from tests.service.instances import Api, Instance, fresh, named, quiet
from tests.service.watch import Shelf

ALL = Span(0, 2**62)


def event(*keys: str, **more: Any) -> dict[str, Any]:
    data = {"identifiers": [named(key) for key in keys], "properties": {"url": "https://shop.example/"}}
    data |= more.pop("data", {})
    sent = {"specversion": "1.0", "id": fresh().split(":")[1], "source": "web", "type": "page_view"}
    return sent | {"time": "2026-01-02T03:04:05Z", "dataschema": "page_view/1-0-0", "data": data} | more


async def post(api: Api, *events: dict[str, Any]) -> list[dict[str, Any]]:
    return (await api.post("/v1/events", {"events": list(events)})).results


@pytest.fixture(scope="module")
def record(instance_settings: Settings) -> DeltaRecord:
    """The record that the instance writes."""
    assert instance_settings.record_uri is not None
    return DeltaRecord(instance_settings.record_uri)


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = 20) -> None:
    """Wait for something to hold. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - what is waited for is in a store
            await asyncio.sleep(0.1)


async def recorded(record: DeltaRecord, *sent: dict[str, Any], within_s: float = 20) -> list[CanonicalEvent]:
    """These events, once all of them are in the record."""
    ids = {event["id"] for event in sent}
    found: list[CanonicalEvent] = []

    async def all_there() -> bool:
        found[:] = [e for e in await asyncio.to_thread(record.rows, ALL, 1_000_000) if e.event_id in ids]
        return len(found) >= len(ids)

    await until(all_there, within_s)
    return found


def in_files(folder: str, text: str) -> bool:
    files = (path for path in Path(folder).rglob("*.parquet") if "_delta_log" not in path.parts)
    return any(text in str(pq.read_table(path).to_pylist()) for path in files)


async def test_every_event_is_recorded_once_with_its_consent(api: Api, record: DeltaRecord, shelf: Shelf) -> None:
    c, m = fresh("cookie_id"), fresh("email_sha256")
    consent = {"consent": {"advertising": "granted", "analytics": "granted"}, "regulation": "GDPR"}
    sent = [event(c, m, data=consent), event(c), event(m, data={"traits": {"plan": "gold"}})]
    assert [r["status"] for r in await post(api, *sent, sent[0])] == ["accepted"] * 3 + ["duplicate"]
    found = await recorded(record, *sent)
    assert [e.event_id for e in found] == [e["id"] for e in sent] and len({e.seq for e in found}) == 3
    assert found[0].identifiers == (c, m) and dict(found[0].consent.states)["advertising"] == "granted"
    assert "advertising" in found[0].purposes and found[0].consent.regulation == "GDPR"
    assert found[0].retention == "events-default" and found[2].traits == '{"plan":"gold"}'

    async def bodies_gone() -> bool:
        return not (await shelf.driver.execute_query("MATCH (e:Unrecorded) RETURN e LIMIT 1")).records

    await until(bodies_gone)


async def test_an_erasure_reaches_every_file_of_the_record(api: Api, record: DeltaRecord) -> None:
    gone, other, stays = fresh("email_sha256"), fresh("cookie_id"), fresh("cookie_id")
    sent = [event(gone, other), event(other), event(stays)]
    await post(api, *sent)
    await recorded(record, *sent)
    assert in_files(record.uri, gone)
    late = event(gone)
    await post(api, late)  # perhaps in the record already, perhaps not
    erased = (await api.post("/v1/revocations", {"identifier": named(gone), "scope": "erase"})).json
    path = f"/v1/revocations/{erased['revocation_id']}"

    async def done() -> bool:
        return bool((await api.get(path)).json["physical"]["record"]["state"] == "done")

    await until(done)
    assert not in_files(record.uri, gone)
    left = {e.event_id for e in record.rows(ALL, 1_000_000)}
    assert {sent[1]["id"], sent[2]["id"]} <= left and not {sent[0]["id"], late["id"]} & left
    assert [r["status"] for r in await post(api, sent[0])] == ["duplicate"]


async def test_events_come_from_a_file_like_any_others(api: Api, instance: Instance, tmp_path: Path) -> None:
    services = instance.assembled.services
    means = EventMeans(
        services.write_path,
        lambda sent: read_events(services, sent),
        lambda line: parse_json(line, "application/json", limit_bytes=len(line)),
    )
    c, m = fresh("cookie_id"), fresh("email_sha256")
    wrong = event(c)
    del wrong["time"]
    lines = [json.dumps(event(c, m)), "", json.dumps(event(m)), json.dumps(wrong), "{half"]
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join(lines) + "\n")
    assert await import_events(file, means, quiet) == {"accepted": 2, "quarantined": 1, "unreadable": 1}
    assert (await api.lookup(m)).status == 200
    assert (await import_events(file, means, quiet))["duplicate"] == 2
    with pytest.raises(StartRefused):
        await import_events(tmp_path / "none", means, quiet)

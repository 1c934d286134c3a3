"""What is measured of the record: replay beside ingest, how far it lags behind under load, and bytes an event."""

from __future__ import annotations

from time import perf_counter, sleep
from typing import Any

import orjson

from service.record.table import DeltaRecord
from tests.bench.events_rate import BATCH, event_of
from tests.bench.figures import Row
from tests.bench.people import World
from tests.bench.stage import Stage

LAG = "fabric_record_lag_seconds"
PATIENCE_S = 300.0
_LOOK_S = 0.05


def record(stage: Stage, world: World, batches: int) -> list[Row]:
    """Send batches of 1,000 events one after another, watch the record follow, and replay all that was recorded."""
    replay = Row("replay", "events sent in batches of 1,000", "1/s", at_least=1)
    lag = Row("archive lag under load, worst", "", "s")
    size = Row("the record", "", "bytes/event")
    took, lags = _sent(stage, world, batches)
    lag.add(max(lags))
    _until(lambda: stage.metrics()[LAG] == 0.0)
    uri = str(stage.folder / "service" / "events")
    table = DeltaRecord(uri)
    before = table.held()
    seconds, count = _replayed(stage)
    replay.add(count / seconds, batches * BATCH / took)
    size.add(before.bytes / before.events)
    return [replay, lag, size]


def _sent(stage: Stage, world: World, batches: int) -> tuple[float, list[float]]:
    """Seconds that the service took for the batches, and the lag after each."""
    client, took, lags = stage.client(), 0.0, []
    for _ in range(batches):
        events = [event_of(sent, number) for number, sent in enumerate(world.strangers(BATCH))]
        began = perf_counter()
        client.ask("POST", "/v1/events", {"events": events})
        took += perf_counter() - began
        lags.append(stage.metrics()[LAG])
    return took, lags


def _replayed(stage: Stage) -> tuple[float, int]:
    """How long a replay of everything took, and how many events it went through."""
    client = stage.client()
    began = perf_counter()
    replay = orjson.loads(client.ask("POST", "/v1/replays", {}))["replay_id"]
    found: dict[str, Any] = {}

    def is_over() -> bool:
        found.update(orjson.loads(client.ask("GET", f"/v1/replays/{replay}")))
        return found["state"] not in ("running", "paused")

    _until(is_over)
    if found["state"] != "completed":
        raise RuntimeError(f"the replay is {found['state']}")
    return perf_counter() - began, int(found["progress"]["done"])


def _until(holds: Any) -> None:
    """Wait for something to hold. Raises RuntimeError."""
    until = perf_counter() + PATIENCE_S
    while not holds():
        if perf_counter() > until:
            raise RuntimeError("the record did not follow in time")
        sleep(_LOOK_S)

"""What the record of events needs: the recorder that fills it, replays that read it."""

from __future__ import annotations

from contextlib import AsyncExitStack

import structlog

from service.clock import Clock
from service.commands.noting import noting_on
from service.commands.policies import Policies
from service.commands.recording import Recorder
from service.commands.write_path import WritePath
from service.graph.driver import AsyncDriver
from service.graph.recording import GraphWaiting
from service.record.table import DeltaRecord
from service.settings import Settings
from service.telemetry import METRICS

log = structlog.get_logger()


def start_recording(
    stack: AsyncExitStack,
    settings: Settings,
    driver: AsyncDriver,
    database: str,
    write_path: WritePath,
    policies: Policies,
    clock: Clock,
) -> Recorder | None:
    """Begin to record events, until the stack is left. None where no place was named for the record."""
    if settings.record_uri is None:
        log.warning("events_are_not_recorded", missing="EVENTS_URI")
        return None
    recorder = Recorder(
        GraphWaiting(driver, database),
        DeltaRecord(settings.record_uri),
        lambda: policies.active().events,
        noting_on(write_path),
        clock,
        METRICS,
    )
    recorder.start()
    stack.push_async_callback(recorder.stop)
    return recorder

"""What the record of events needs: the recorder that fills it, replays that read it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from service.api.event_services import EventServices
from service.clock import Clock
from service.commands.noting import noting_on
from service.commands.policies import Policies
from service.commands.quality import Quality
from service.commands.recording import Recorder
from service.commands.replay_preview import Preview
from service.commands.replays import ReplayDesk, Replayer
from service.commands.simulate import Look
from service.commands.write_path import WritePath
from service.graph.driver import AsyncDriver
from service.graph.quality import GraphQuality
from service.graph.reader import GraphReader
from service.graph.recording import GraphWaiting
from service.graph.replays import GraphReplays
from service.record.table import DeltaRecord
from service.resolution.profile_ids import Births
from service.telemetry import METRICS

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Recording:
    """What recording and replaying are given."""

    driver: AsyncDriver
    database: str
    write_path: WritePath
    policies: Policies
    clock: Clock
    events: EventServices
    look: Look
    births: Births


def replay_desk(given: Recording) -> ReplayDesk:
    """Where replays are taken."""
    return ReplayDesk(GraphReplays(given.driver, given.database), noting_on(given.write_path))


async def start_quality(stack: AsyncExitStack, given: Recording) -> Quality:
    """Begin to count, until the stack is left."""
    store = GraphQuality(given.driver, given.database)
    quality = Quality(store, given.clock.random_token(9), given.clock.now_ms, METRICS)
    quality.start()
    stack.push_async_callback(quality.stop)
    return quality


def start_recording(stack: AsyncExitStack, given: Recording, uri: str | None) -> None:
    """Begin to record and to replay, until the stack is left; nothing where no place was named for the record."""
    if uri is None:
        log.warning("events_are_not_recorded", missing="EVENTS_URI")
        return
    record, waiting = DeltaRecord(uri), GraphWaiting(given.driver, given.database)
    policies, clock, note = given.policies, given.clock, noting_on(given.write_path)
    recorder = Recorder(waiting, record, lambda: policies.active().events, note, clock, METRICS)
    replayer = Replayer(
        GraphReplays(given.driver, given.database),
        waiting,
        DeltaRecord(uri),
        GraphReader(given.driver, given.database),
        given.events.schemas,
        lambda: given.events.reading(policies.active(), 0),
        lambda: Preview(given.look, policies.active(), given.births, clock.now_ms),
        given.write_path,
        note,
        clock,
    )
    for part in (recorder, replayer):
        part.start()
        stack.push_async_callback(part.stop)

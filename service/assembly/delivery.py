"""Puts together what delivers: adapters, egress, the loop, comparison, cutover, proof."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import structlog

from service.adapters.delivery.registry import BadAdapter, installed
from service.adapters.delivery.shapes import Adapter
from service.clock import Clock
from service.commands.delivery_parts import DeliveryParts
from service.commands.policies import Policies
from service.commands.ports import Archive, Audit, Reader
from service.commands.proof import Proof
from service.commands.reconciling import Cutovers, Reconciler
from service.commands.record_ports import Span
from service.commands.write_path import WritePath
from service.delivery.dispatcher import Dispatcher
from service.delivery.egress import Allowed, Egress
from service.delivery.previews import PreviewBuilder
from service.delivery.secrets import Secrets
from service.delivery.sending import LiveSender
from service.delivery.surroundings import Installed
from service.delivery.tables import Tables
from service.errors import StartRefused
from service.graph.deliveries import GraphDeliveries
from service.graph.delivery_facts import GraphEventCounts, GraphEvents, GraphIntended, Recorded
from service.graph.driver import AsyncDriver
from service.model.events import CanonicalEvent
from service.record.table import DeltaRecord
from service.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Delivering:
    """What is given to routes, and the loop that has to be started."""

    parts: DeliveryParts
    dispatcher: Dispatcher
    egress: Egress

    async def start(self, stack: contextlib.AsyncExitStack) -> None:
        """Begin to send; leaving `stack` ends it."""
        stack.push_async_callback(self.egress.close)
        self.dispatcher.start()
        stack.push_async_callback(self.dispatcher.stop)
        self.parts.cutovers.start()
        stack.push_async_callback(self.parts.cutovers.stop)


def allowed_by(settings: Settings, adapters: dict[str, Adapter]) -> Allowed:
    """The hosts named in `EGRESS_ALLOW`, or else the built-in receivers' own."""
    if settings.egress_allow is not None:
        hosts = {host.strip() for host in settings.egress_allow.split(",") if host.strip()}
    else:
        hosts = {host for adapter in adapters.values() for host in adapter.manifest.hosts}
    return Allowed(frozenset(hosts), settings.egress_allow_private)


def _recorded(settings: Settings) -> Recorded:
    """Reads an event from the record; where there is no record the graph keeps all."""
    uri = settings.record_uri
    if uri is None:
        return lambda source, event_id, seq: None
    record = DeltaRecord(uri)

    def read(source: str, event_id: str, seq: int) -> CanonicalEvent | None:
        found = record.rows(Span(seq - 1, seq), 1_000)
        return next((event for event in found if (event.source, event.event_id) == (source, event_id)), None)

    return read


def _alert(destination: str, reason: str) -> None:
    log.error("destination_setup_failed", destination=destination, reason=reason)


def delivering(
    settings: Settings,
    driver: AsyncDriver,
    database: str,
    clock: Clock,
    policies: Policies,
    write_path: WritePath,
    reader: Reader,
    archive: Archive,
    audit: Audit,
) -> Delivering:
    """All of it, not started yet. Raises StartRefused for a package that registered something that is no adapter."""
    try:
        adapters = dict(installed())
    except BadAdapter as error:
        raise StartRefused(str(error)) from None
    secrets, allowed = Secrets(settings.destination_secrets or {}), allowed_by(settings, adapters)
    around, egress = Installed(adapters, secrets, allowed), Egress(allowed)
    deliveries = GraphDeliveries(driver, database)
    reconciler = Reconciler(deliveries, policies, clock)
    cutovers = Cutovers(deliveries, policies, write_path, reconciler, clock)
    proof = Proof(
        deliveries,
        GraphEventCounts(driver, database),
        GraphIntended(driver, database),
        policies,
        archive,
        reader,
        audit,
        reconciler,
        clock,
    )
    sender = LiveSender(egress, secrets, Tables(), clock)
    dispatcher = Dispatcher(policies, around, sender, deliveries, write_path, clock, _alert)
    write_path.committed = dispatcher.wake
    events = GraphEvents(driver, database, _recorded(settings))
    parts = DeliveryParts(deliveries, reconciler, cutovers, proof, around, PreviewBuilder(around), events)
    return Delivering(parts, dispatcher, egress)

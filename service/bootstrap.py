"""Puts the service together: the only place that builds graph and cache objects and knows the order of a start."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
import structlog
import uvicorn

from service.after_restore import apply_again, bury_again, remains_below
from service.api.app import ASGIApp, create_app
from service.api.asgi import request_ids
from service.api.auth import Keyring
from service.api.body import parse_json
from service.api.context import Health, Services
from service.api.items import consent_item, link_item
from service.api.joined import JoinedProtocol
from service.api.routes.events import read_events
from service.api.webhook_signature import WebhookKeys
from service.assembly.delivery import delivering
from service.assembly.events import event_services
from service.assembly.guarding import guarding
from service.assembly.limits import cache_limits, write_limits
from service.assembly.matching import MatchingAssembly
from service.assembly.record import Recording, replay_desk, start_quality, start_recording
from service.cache.profiles import ProfileCache
from service.clock import SteeredClock, SystemClock, random_bytes
from service.commands.account import pseudonyms_under
from service.commands.checkpoints import CheckedAudit, Checkpoints, hold_against
from service.commands.explain import Explainer
from service.commands.feed import Feed
from service.commands.follow import Follower
from service.commands.forget import Forgetting
from service.commands.gauges import Gauges
from service.commands.graph_view import GraphView
from service.commands.lookup import Lookup
from service.commands.outbox import Outbox
from service.commands.physical import Physical
from service.commands.policies import Policies
from service.commands.policy_examples import failing_examples
from service.commands.prober import Prober
from service.commands.refreshing import Refresher
from service.commands.sealing import Sealer
from service.commands.simulate import Simulator
from service.commands.steering import Steering
from service.commands.sweep import Sweeper
from service.commands.timely import Timely
from service.commands.write_path import WriteLimits, WritePath
from service.control.link_ids import link_ids_under
from service.control.policy_document import compile_policy
from service.control.tombstones import tombstones_under
from service.errors import LocalStoreError, StartRefused
from service.graph import migrations
from service.graph.answers import GraphAnswers
from service.graph.archive import GraphArchive
from service.graph.audit import Chain
from service.graph.audit_reader import GraphAudit
from service.graph.bulk import GraphBulk
from service.graph.chain_ends import GraphChainEnds
from service.graph.driver import AsyncDriver, answers, open_driver, shared_time
from service.graph.founding import Founding
from service.graph.ledger import GraphLedger
from service.graph.newcomers import rows_of
from service.graph.policies import GraphPolicies
from service.graph.reader import GraphReader
from service.graph.requests import GraphRequests
from service.graph.scrubbing import GraphScrubber
from service.graph.stretches import GraphStretches
from service.graph.unread import GraphUnread
from service.listening import base_url_of, listening_on
from service.local import Stores, local_stores
from service.local.checkpoints import SignedCheckpoints
from service.local.data_dir import remove_run_file, write_run_file
from service.local.joined import joined_stores
from service.local.journal import Journal
from service.local.sealed import FOLDER as SEALED_FOLDER
from service.local.sealed import SqliteSealed
from service.local.secrets import api_keys, identity_key, webhook_secrets
from service.resolution.profile_ids import births_under
from service.settings import MIGRATIONS_FOLDER, Settings
from service.telemetry import METRICS, configure_logs
from service.tls import tls_options
from service.volume.events import EventMeans, import_events
from service.volume.exporting import Source, export_tables
from service.volume.importing import Means, Request, import_rows
from service.volume.restoring import Target, restore_export
from service.welcome import welcome

Say = Callable[[str], None]
log = structlog.get_logger()

DEFAULT_POLICY: Final = Path(__file__).parent / "policies" / "default.json"
_DRAIN_S: Final = 10
_BULK_TURN_MS: Final = 300
_BULK_BATCH_MAX: Final = 4_000


@dataclass(frozen=True, slots=True)
class Assembled:
    """One instance, ready to be served."""

    app: ASGIApp
    services: Services
    policies: Policies
    cache: ProfileCache
    founding: Founding
    bulk: GraphBulk


def _policy_text(settings: Settings) -> bytes:
    """The document of the first policy. Raises StartRefused for one that is no policy."""
    path = settings.policy_file or DEFAULT_POLICY
    try:
        text = path.read_bytes()
        document = orjson.loads(text)
        failing = failing_examples(document, compile_policy(document, 1))
    except OSError as error:
        raise StartRefused(f"POLICY_FILE can't be read: {error.strerror}") from None
    except ValueError as error:
        first = str(error).splitlines()[0]
        raise StartRefused(f"POLICY_FILE is not a policy: {first}") from None
    if failing:
        raise StartRefused(f"POLICY_FILE does not hold its own examples: {failing[0].pointer} {failing[0].message}")
    return text


async def _prepare(settings: Settings, driver: AsyncDriver, database: str, founding: Founding, say: Say) -> None:
    """Check that the graph is ours before anything is written, then bring it up to date."""
    secret = identity_key(settings).encode()
    text = _policy_text(settings)
    await founding.refuse_stranger(secret)
    try:
        applied = await migrations.migrate(
            driver, database, MIGRATIONS_FOLDER, f"service {SystemClock().random_token(6)}", say=say
        )
    except migrations.MigrationError as error:
        raise StartRefused(str(error)) from None
    if applied:
        say(f"migrations applied: {', '.join(applied)}")
    await founding.found(secret, text)
    await founding.refuse_stranger(secret)  # another may have founded it while this one waited for the migrations


async def _health_of(driver: AsyncDriver, database: str, cache: ProfileCache) -> Health:
    graph, redis = await asyncio.gather(answers(driver, database), cache.ping())
    METRICS.neo4j_up.set(graph)
    METRICS.redis_up.set(redis)
    return Health("up" if graph else "down", "up" if redis else "down", "up")


async def _over(task: asyncio.Task[None]) -> None:
    """Let a task end that nobody waits for; what it failed with is not needed."""
    await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def assembled(
    settings: Settings, stores: Stores, say: Say, limits: WriteLimits | None = None
) -> AsyncIterator[Assembled]:
    """An instance on these stores: migrated, with its write path running. Leaving ends what it started."""
    clock = SteeredClock()
    secret = identity_key(settings).encode()
    keyring = Keyring(api_keys(settings), secret)
    webhook_keys = WebhookKeys(webhook_secrets(settings))
    driver = open_driver(
        stores.neo4j_uri,
        stores.neo4j_user,
        stores.neo4j_password,
        acquisition_timeout_ms=settings.acquisition_timeout_ms,
        connections_max=settings.graph_connections_max,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(driver.close)
        database = stores.neo4j_database
        founding = Founding(driver, database)
        await _prepare(settings, driver, database, founding, say)
        steering = Steering(clock, lambda: shared_time(driver, database), METRICS)
        await steering.start()
        stack.push_async_callback(steering.stop)
        cache = ProfileCache(
            stores.redis_url, now_ms=clock.now_ms, random_bytes=random_bytes, limits=cache_limits(settings)
        )
        stack.push_async_callback(cache.close)
        await cache.start()
        matching = MatchingAssembly(settings, secret, driver, database)
        policies = Policies(GraphPolicies(driver, database), cache, matching.equip)
        await policies.current()
        reader = GraphReader(driver, database, timeout_ms=settings.read_timeout_ms)
        sealed = SqliteSealed(settings.sealed_dir or settings.data_dir / SEALED_FOLDER)
        stack.callback(sealed.close)
        archive = GraphArchive(driver, database, sealed)
        tombstones = tombstones_under(secret)
        chain, ends = Chain(secret), GraphChainEnds(driver, database)
        vouched = SignedCheckpoints(settings.checkpoint_dir or settings.data_dir, secret, settings.data_dir)
        checkpoints = Checkpoints(ends, vouched, settings.checkpoint_every)
        await hold_against(checkpoints, say)
        ledger = GraphLedger(driver, database, chain, tombstones, timeout_ms=settings.transaction_timeout_ms)
        journal = Journal(settings.data_dir, tombstones)
        outbox = Outbox(ledger, cache, METRICS)
        scrubber = GraphScrubber(driver, database)
        physical = Physical(scrubber, sealed, tombstones, remains_below(settings))
        write_path = WritePath(
            ledger,
            outbox,
            policies.learn,
            births_under(secret),
            pseudonyms_under(secret),
            clock,
            METRICS,
            limits or write_limits(settings),
            journal=journal,
            erased=physical.erased,
        )
        matched = await matching.complete(policies, write_path, say)
        sweeper = Sweeper(write_path, reader.is_due)
        timely = Timely(reader, archive, sweeper.apply_due, clock.now_ms)
        follower = Follower(write_path, policies.store)
        refresher = Refresher(write_path, policies, clock)
        lookup = Lookup(cache, timely, policies, clock, METRICS)
        capture = event_services(driver, database, secret, link_ids_under(secret))
        recording = Recording(driver, database, write_path, policies, clock, capture, ledger.look, births_under(secret))
        audit = CheckedAudit(GraphAudit(driver, database, chain, sealed), ends, vouched)
        delivery = delivering(settings, driver, database, clock, policies, write_path, reader, archive, audit)
        services = Services(
            keyring,
            policies.active,
            lookup,
            write_path,
            reader,
            archive,
            timely,
            Explainer(ledger.look, archive, timely, policies.active, births_under(secret), clock.now_ms),
            GraphView(timely, archive, ledger.look),
            Feed(archive, clock),
            audit,
            pseudonyms_under(secret),
            link_ids_under(secret),
            lambda: _health_of(driver, database, cache),
            clock.now_ms,
            settings.max_body_bytes,
            webhook_keys,
            GraphUnread(driver, database),
            policies,
            follower,
            Simulator(policies, ledger.look, births_under(secret), clock),
            GraphRequests(driver, database),
            delivery.parts,
            capture,
            replay_desk(recording),
            await start_quality(stack, recording),
            matched,
        )
        seq = await founding.seq()
        behind, buried = journal.refusals(seq), journal.buried(seq)
        if behind or buried:
            await founding.advance(max([one.seq for one in behind] + [one.seq for one in buried]))
        outbox.start()
        stack.push_async_callback(outbox.stop)
        await ledger.plan_ahead()
        stack.push_async_callback(_over, asyncio.create_task(ledger.plan_erasure_ahead(), name="planning"))
        physical.start()
        stack.push_async_callback(physical.stop)
        write_path.start()
        checkpoints.start()
        stack.push_async_callback(checkpoints.stop)
        stack.push_async_callback(write_path.stop)
        await bury_again(write_path, scrubber, tombstones, buried, say)
        await apply_again(write_path, behind, say)
        follower.start()
        stack.push_async_callback(follower.stop)
        matched.trainer.start()
        stack.push_async_callback(matched.trainer.stop)
        refresher.start()
        stack.push_async_callback(refresher.stop)
        sweeper.start()
        stack.push_async_callback(sweeper.stop)
        forgetting = Forgetting(GraphAnswers(driver, database))
        forgetting.start()
        stack.push_async_callback(forgetting.stop)
        gauges = Gauges(archive.count_open_reviews, METRICS)
        gauges.start()
        stack.push_async_callback(gauges.stop)
        prober = Prober(cache, lookup.recent, lookup.past_cache, METRICS)
        prober.start()
        stack.push_async_callback(prober.stop)
        sealer = Sealer(GraphStretches(driver, database), sealed, settings.keep_days * 86_400_000)
        if settings.seals:
            sealer.start()
            stack.push_async_callback(sealer.stop)
        start_recording(stack, recording, settings.record_uri)
        if settings.delivers:
            await delivery.start(stack)
        guarded = await stack.enter_async_context(guarding(settings, stores.redis_url, keyring, secret))
        app = create_app(services, request_ids(clock.random_token(6)), guarded)
        yield Assembled(app, services, policies, cache, founding, GraphBulk(driver, database, ledger))


class _Server(uvicorn.Server):
    """A server whose end is decided by who started it, not by signal handlers of its own; `ready` once it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the command line."""
        yield


async def serve(settings: Settings, say: Say) -> None:
    """Start everything, serve until cancelled, end everything. Raises StartError in one line for what can't be."""
    configure_logs(settings.log_level)
    listening = listening_on(settings)
    base_url = base_url_of(settings, listening)
    with contextlib.closing(listening):
        async with local_stores(settings, say) as stores, assembled(settings, stores, say) as instance:
            if settings.sample and await instance.founding.is_empty():
                await _load_sample(instance, say)
            await _serve_until_told(settings, stores, instance, listening, base_url, say)


@contextlib.asynccontextmanager
async def beside(settings: Settings, say: Say) -> AsyncIterator[tuple[Settings, Stores, Assembled]]:
    """An instance without HTTP for one command, beside a running service or on stores of its own."""
    configure_logs(settings.log_level)
    limits = WriteLimits(turn_ms=_BULK_TURN_MS, batch_max=_BULK_BATCH_MAX)
    async with (
        joined_stores(settings, say) as (joined, stores),
        assembled(joined, stores, say, limits) as instance,
    ):
        yield joined, stores, instance


async def means_of(settings: Settings, stores: Stores, instance: Assembled) -> Means:
    """What an import works with."""
    version = instance.policies.active().version
    return Means(
        instance.services.write_path,
        instance.bulk,
        await instance.founding.policy(version) or {},
        version,
        identity_key(settings).encode(),
        settings.data_dir,
        f"{stores.neo4j_uri} {stores.neo4j_database}",
        rows_of,
        {"links": link_item, "consents": consent_item},
        _read_line,
    )


def _read_line(line: bytes) -> object:
    return parse_json(line, "application/json", limit_bytes=len(line))


async def target_of(instance: Assembled) -> Target:
    """Where an export is brought in."""
    document = await instance.founding.policy(instance.policies.active().version) or {}
    bulk, advance = instance.bulk, instance.founding.advance
    return Target(instance.services.write_path, bulk.is_empty, advance, await bulk.fingerprint(), document)


async def source_of(instance: Assembled) -> Source:
    """What an export reads."""
    version = instance.policies.active().version
    document = await instance.founding.policy(version) or {}
    return Source(instance.bulk.snapshot, await instance.bulk.fingerprint(), document, version)


async def import_file(settings: Settings, request: Request, say: Say) -> None:
    """Bring in a file's evidence, or an export. Raises StartError in one line for what can't be read."""
    async with beside(settings, say) as (joined, stores, instance):
        if request.is_export:
            await restore_export(request.file, await target_of(instance), say)
        elif request.kind == "events":
            services = instance.services
            means = EventMeans(services.write_path, lambda sent: read_events(services, sent), _read_line)
            await import_events(request.file, means, say)
        else:
            await import_rows(request, await means_of(joined, stores, instance), say)


async def export_to(settings: Settings, folder: Path, say: Say) -> None:
    """Write an export into a folder. Raises StartError in one line."""
    async with beside(settings, say) as (_, _, instance):
        await export_tables(await source_of(instance), folder, say)


async def _load_sample(instance: Assembled, say: Say) -> None:
    from service.sample.load import load_sample

    say("loading the sample world")
    await load_sample(instance.services, instance.policies.active(), say)


async def _serve_until_told(
    settings: Settings, stores: Stores, instance: Assembled, listening: socket.socket, base_url: str, say: Say
) -> None:
    lines = await welcome(settings, base_url, instance.services)
    config = uvicorn.Config(
        instance.app,
        log_config=None,
        access_log=False,
        http=JoinedProtocol,
        lifespan="off",
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
        backlog=2048,
        **tls_options(settings),
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    broken = asyncio.create_task(stores.wait_broken())
    try:
        ready = asyncio.ensure_future(server.ready.wait())
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        write_run_file(
            settings.data_dir,
            base_url=base_url,
            neo4j_uri=stores.neo4j_uri,
            neo4j_user=stores.neo4j_user,
            neo4j_password=stores.neo4j_password,
            redis_url=stores.redis_url,
            identity_key=identity_key(settings),
        )
        for line in lines:
            say(line)
        await asyncio.wait({serving, broken}, return_when=asyncio.FIRST_COMPLETED)
        if broken.done():
            raise LocalStoreError(broken.result())
        serving.result()
    finally:
        remove_run_file(settings.data_dir)
        instance.services.feed.close()
        server.should_exit = True
        broken.cancel()
        await asyncio.wait({serving, broken})

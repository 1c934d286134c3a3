"""Instances of the service for tests over HTTP; see `tests.service.instances`."""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import neo4j
import pytest
import redis.asyncio
import structlog

from service.local import Stores, local_stores
from service.settings import Settings
from service.telemetry import configure_logs
from tests.service.instances import KEYS, Api, Instance, opened, quiet
from tests.service.watch import Shelf, Watch

BODY_BYTES_MAX = 4 << 20


@pytest.fixture(scope="session")
def instance_settings(settings: Settings) -> Settings:
    """Settings of every instance: a key for each role."""
    given = {"api_keys": KEYS, "max_body_bytes": BODY_BYTES_MAX, "events_uri": str(settings.data_dir / "events")}
    return settings.model_copy(update=given)


@pytest.fixture(scope="module")
async def instance(instance_settings: Settings, stores: Stores) -> AsyncIterator[Instance]:
    """An instance in the loop of the tests."""
    async with opened(instance_settings, stores) as made:
        yield made


@pytest.fixture(scope="module")
async def second(instance_settings: Settings, stores: Stores) -> AsyncIterator[Instance]:
    """Another instance on the same stores."""
    async with opened(instance_settings, stores) as made:
        yield made


@pytest.fixture(scope="module")
def api(instance: Instance) -> Api:
    """A caller of `instance` with an admin's key."""
    return instance.api


# ---- for tests that need a graph to themselves


@pytest.fixture(scope="session")
async def own(instance_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stores]:
    """Stores that only those write to who wipe them first, see `tests.service.own`."""
    folder = tmp_path_factory.mktemp("own")
    settings = instance_settings.model_copy(update={"data_dir": folder, "neo4j_uri": None, "redis_url": None})
    async with local_stores(settings, quiet) as stores:
        yield stores


@pytest.fixture
def settings_here(instance_settings: Settings, tmp_path: Path) -> Settings:
    """Settings of an instance with a data folder of its own."""
    (tmp_path / "data").mkdir()
    return instance_settings.model_copy(update={"data_dir": tmp_path / "data"})


# ---- for garbage, see `tests.service.watch`


@pytest.fixture(scope="module")
async def shelf(stores: Stores) -> AsyncIterator[Shelf]:
    """The two stores themselves."""
    auth = (stores.neo4j_user, stores.neo4j_password)
    client = redis.asyncio.Redis.from_url(stores.redis_url)
    async with neo4j.AsyncGraphDatabase.driver(stores.neo4j_uri, auth=auth, telemetry_disabled=True) as driver:
        yield Shelf(driver, client)
    await client.aclose()


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All logs of the service, as they would be written, at the most talkative level."""
    root = logging.getLogger()
    handlers, level, stream = list(root.handlers), root.level, io.StringIO()
    configure_logs("DEBUG", stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
async def watch(instance: Instance, shelf: Shelf, logged: io.StringIO) -> AsyncIterator[Watch]:
    """Stands before the test; what it finds afterwards fails the test."""
    await instance.assembled.services.lookup.many([])
    made = Watch(shelf, await shelf.stock(), logged, [])
    yield made
    await made.leaves_no_trace()

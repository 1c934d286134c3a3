"""This data folder's graph for a short command: one that was set, a running service's, or one started for it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import neo4j
import orjson

from service.local.connect import await_neo4j
from service.local.data_dir import RUN_FILE, in_use
from service.local.jars import Say
from service.local.stores import local_stores
from service.settings import Settings


@contextlib.asynccontextmanager
async def open_graph(settings: Settings, say: Say) -> AsyncIterator[tuple[neo4j.AsyncDriver, str]]:
    """A driver and the database's name. Raises LocalStoreError or StartRefused in one line."""
    running = _running(settings)
    if running is not None:
        await await_neo4j(*running, settings.store_wait_ms / 1000)
        async with _driver(*running[:3]) as driver:
            yield driver, running[3]
        return
    async with (
        local_stores(settings, say) as found,
        _driver(found.neo4j_uri, found.neo4j_user, found.neo4j_password) as driver,
    ):
        yield driver, found.neo4j_database


def _driver(uri: str, user: str, password: str) -> neo4j.AsyncDriver:
    return neo4j.AsyncGraphDatabase.driver(uri, auth=(user, password), telemetry_disabled=True)


def _running(settings: Settings) -> tuple[str, str, str, str] | None:
    """URI, user, password and database of a graph that is up already."""
    if settings.neo4j_uri is not None:
        password = settings.neo4j_password.get_secret_value() if settings.neo4j_password else ""
        return settings.neo4j_uri, settings.neo4j_user, password, settings.neo4j_database
    if not in_use(settings.data_dir):
        return None
    try:
        found = orjson.loads((settings.data_dir / RUN_FILE).read_bytes())["neo4j"]
        return str(found["uri"]), str(found["user"]), str(found["password"]), settings.neo4j_database
    except (OSError, ValueError, KeyError, TypeError):
        return None  # still starting: claiming the folder then says who holds it

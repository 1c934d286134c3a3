"""The stores of a service that runs on this data folder, or else stores as a service of its own would have them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import orjson
from pydantic import SecretStr

from service.errors import StartRefused
from service.local.data_dir import RUN_FILE, in_use
from service.local.jars import Say
from service.local.stores import Stores, local_stores
from service.settings import Settings


@contextlib.asynccontextmanager
async def joined_stores(settings: Settings, say: Say) -> AsyncIterator[tuple[Settings, Stores]]:
    """Both stores, and the settings with the identity key that belongs to them.

    Raises LocalStoreError or StartRefused in one line.
    """
    if not in_use(settings.data_dir):
        async with local_stores(settings, say) as stores:
            yield settings, stores
        return
    try:
        found = orjson.loads((settings.data_dir / RUN_FILE).read_bytes())
        graph = found["neo4j"]
        broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        stores = Stores(
            str(graph["uri"]),
            str(graph["user"]),
            str(graph["password"]),
            settings.neo4j_database,
            str(found["redis_url"]),
            broken,
        )
        key = SecretStr(str(found["identity_key"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise StartRefused(f"a service is starting or ending on {settings.data_dir}; try again in a moment") from None
    yield settings.model_copy(update={"identity_key": key}), stores
    broken.cancel()

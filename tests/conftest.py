"""One real Neo4j and one real Redis for the whole test run; they end with it.

With NEO4J_URI and REDIS_URL in the environment (and the IDENTITY_KEY that belongs to them) those are used instead.
Tests share the two stores: one that needs them to itself uses values that nobody else does, or labels of its own.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from service.local import Stores, local_stores
from service.settings import Settings, load_settings

TEST_IDENTITY_KEY = "dGVzdHMtdGVzdHMtdGVzdHMtdGVzdHMtdGVzdHMtMDE="


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the test run, in a data folder of its own."""
    given: dict[str, object] = {"data_dir": tmp_path_factory.mktemp("run"), "sample": False, "port": 0}
    if not os.environ.get("IDENTITY_KEY"):
        given["identity_key"] = TEST_IDENTITY_KEY
    return load_settings(given)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stores(settings: Settings) -> AsyncIterator[Stores]:
    """Addresses and passwords of the two stores, both answering."""
    said: list[str] = []
    async with local_stores(settings, said.append) as found:
        yield found

"""Instances of the service for tests over HTTP; see `tests.service.instances`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from service.local import Stores
from service.settings import Settings
from tests.service.instances import KEYS, Api, Instance, opened

BODY_BYTES_MAX = 4 << 20


@pytest.fixture(scope="session")
def instance_settings(settings: Settings) -> Settings:
    """Settings of every instance: a key for each role."""
    return settings.model_copy(update={"api_keys": KEYS, "max_body_bytes": BODY_BYTES_MAX})


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

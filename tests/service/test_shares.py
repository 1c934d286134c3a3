"""What one key may, over two instances: requests a second, and look-ups that find nobody."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from service.local import Stores
from service.settings import Settings
from tests.service.instances import Api, Instance, fresh, named, opened, refused

SHARE, UNKNOWN = 40, 30
KEY, SLOW = "key-of-a-file", "key-with-a-share"


@pytest.fixture(scope="module")
def sharing(instance_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A file with two keys, one of them with a share of its own."""
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    digest = {key: hashlib.sha256(key.encode()).hexdigest() for key in (KEY, SLOW)}
    entries = [
        {"name": "a", "sha256": digest[KEY], "roles": ["steward"]},
        {"name": "b", "sha256": digest[SLOW], "roles": ["steward"], "rate": SHARE},
    ]
    file.write_bytes(orjson.dumps(entries))
    return instance_settings.model_copy(update={"keys_file": file, "unknown_per_minute": UNKNOWN})


@pytest.fixture(scope="module")
async def two(
    sharing: Settings, stores: Stores, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Instance]]:
    """Two instances with that file."""
    other = sharing.model_copy(update={"data_dir": Path(tmp_path_factory.mktemp("other"))})
    async with opened(sharing, stores) as first, opened(other, stores) as second:
        yield [first, second]


async def test_a_share_holds_over_all_instances(two: list[Instance]) -> None:
    apis = [made.api.as_(SLOW) for made in two]
    while time.time() % 1 > 0.1:  # at the beginning of a window
        pass
    let_in = seen = 0
    second = int(time.time())
    while int(time.time()) == second and seen < 4 * SHARE:
        reply = await apis[seen % 2].get("/v1/reviews", limit=1)
        seen += 1
        if reply.status == 200:
            let_in += 1
            continue
        refused(reply, 429, "rate_limited")
        assert reply.headers["retry-after"] == "1" or int(reply.headers["retry-after"]) <= 2
    assert let_in <= SHARE
    for each in two:  # both are in one process, and so are their figures
        await each.api.get("/v1/reviews", limit=1)
    metrics = (await two[0].api.get("/metrics")).body.decode()
    assert "fabric_key_last_used_seconds{caller=" in metrics and SLOW not in metrics


async def test_look_ups_that_find_nobody_are_bounded_and_seen(two: list[Instance]) -> None:
    if time.time() % 60 > 50:
        pytest.skip("a minute ends just now")
    found: list[int] = []
    api: Api = two[0].api.as_(KEY)
    body = {"identifiers": [named(fresh()) for _ in range(UNKNOWN // 2)]}
    found += [(await api.post("/v1/profiles/lookup", body)).status for _ in range(3)]
    other = two[1].api.as_(KEY)
    found += [(await other.lookup(fresh())).status for _ in range(3)]
    assert found[:2] == [200, 200] and 429 in found, found
    refused(await api.lookup(fresh()), 429, "rate_limited")
    assert (await two[0].api.lookup(fresh())).status == 404, "another key has its own share"
    assert 'fabric_lookups_unknown_total{caller="key:' in (await api.get("/metrics")).body.decode()

"""A short run of the fault suite on the graph of all tests, and the same without a cure: it must be found.

The graph itself is not harmed here; `make faults` kills, freezes and fills one of its own. The policy that was in force
is put back.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Any

from service.local import Stores
from service.local.secrets import identity_key
from service.settings import Settings
from tests.faults.calls import Caller
from tests.faults.ground import Ground, ground_on
from tests.faults.history import History
from tests.faults.run import run
from tests.service.instances import quiet

SEED = int(os.environ.get("SEED") or 20_261_124)
SECONDS, SECONDS_ROLLED, SECONDS_SICK = 12, 4, 5


async def test_nothing_is_violated_under_faults_and_what_is_without_a_cure_is_found(
    settings: Settings, stores: Stores, tmp_path: Path
) -> None:
    key = identity_key(settings)
    async with ground_on(tmp_path, stores.neo4j_uri, stores.neo4j_password, key, {}) as ground:
        before = await _asked(ground, "GET", "/v1/policies/active")
        result = await run(ground, SEED, SECONDS, quiet)
        assert result.violations == [], (SEED, result.violations[:5])
        assert result.faults and result.changes > 20 and result.reads > 50, result
        rolled = await run(ground, SEED, SECONDS_ROLLED, quiet, only=["rolling restart"])
        assert rolled.violations == [] and rolled.ended_itself == [] and rolled.faults, rolled
        assert rolled.unresolved == 0, "a change that was never acknowledged"
        await _anew(ground, "drops")
        for attempt in range(4):  # a busy machine may not read enough in one of them
            sick = await run(ground, SEED + attempt, SECONDS_SICK, quiet, only=[])
            found = [violation for violation in sick.violations if violation.kind.startswith("stale ")]
            if found:
                break
        assert found, sick
        await _asked(ground, "POST", f"/v1/policies/{before['version']}/activate", {})


async def _anew(ground: Ground, cure: str) -> None:
    """Both instances started again, without this cure."""
    for target in ground.targets:
        target.kill()
        target.env["CURE_OFF"], target.clock_off_ms = cure, 0
        target.start()
    for target in ground.targets:
        await target.ready()


async def _asked(ground: Ground, method: str, path: str, body: object = None) -> dict[str, Any]:
    urls = [target.base_url for target in ground.targets]
    caller = Caller(urls, History(), random.Random(SEED), asyncio.Event())
    status, found = await caller.once(method, path, body)
    await caller.close()
    assert status == 200, found
    return dict(found)

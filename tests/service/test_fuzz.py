"""A bounded run of Schemathesis with all its checks and stateful links; the long one is `make fuzz`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from service.local import Stores
from service.settings import Settings
from tests.service.instances import background, key_of

SEED = os.environ.get("SEED") or "20261124"


def test_nothing_that_fits_the_document_or_does_not_breaks_it(instance_settings: Settings, stores: Stores) -> None:
    with background(instance_settings, stores, 1) as [client]:
        env = os.environ | {"BASE_URL": client.base_url, "API_KEY": key_of("admin")}
        command = [sys.executable, "-m", "tests.fuzz", "--phases", "fuzzing,stateful", "--max-examples", "2"]
        command += ["--seed", SEED, "--suppress-health-check", "all"]
        done = subprocess.run(
            command, env=env, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
        assert " passed" in done.stdout

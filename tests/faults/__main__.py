"""`make faults`: the service under faults on stores of its own, and the table in docs/reliability.md.

    MINUTES=30 SEED=… python -m tests.faults
    ONLY="kill redis,FLUSHALL": only these (none: no faults)    CURE_OFF=drops: a target without that cure

Prints the seed; the same seed draws the same faults and the same changes (how they interleave is the machine's). The
page is written by runs of ten minutes or more with all cures on. Ends with status 1 where anything was violated.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.ground import own_ground
from tests.faults.reliability import PAGE, told, write_page
from tests.faults.run import Result, run
from tests.faults.target import CURES

MINUTES_OF_A_PAGE = 10
DISK_MB = 1_500


async def _faults(seed: int, minutes: float, only: list[str] | None, cure: str | None) -> Result:
    began = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.1f} s  {line}\n")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory(prefix="fabric-faults-") as folder:
        say(f"SEED={seed} MINUTES={minutes:g}" + (f" CURE_OFF={cure}" if cure else ""))
        async with own_ground(Path(folder), DISK_MB, {"CURE_OFF": cure or ""}) as ground:
            say("two instances on a Neo4j and a Redis of their own" + ("" if ground.disk else "; no disk to fill"))
            result = await run(ground, seed, minutes * 60, say, only)
        for line in told(result):
            say(line)
    return result


def main() -> int:
    """Carry it out."""
    seed = int(os.environ.get("SEED") or secrets.randbelow(1_000_000))
    minutes = float(os.environ.get("MINUTES") or 2)
    named = [kind.strip() for kind in os.environ.get("ONLY", "").split(",") if kind.strip()]
    only = [] if named == ["none"] else named or None
    cure = os.environ.get("CURE_OFF") or None
    assert cure is None or cure in CURES, f"CURE_OFF is one of {', '.join(CURES)}"
    result = asyncio.run(_faults(seed, minutes, only, cure))
    if minutes >= MINUTES_OF_A_PAGE and cure is None and only is None:
        write_page(PAGE, result)
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())

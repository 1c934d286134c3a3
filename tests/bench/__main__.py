"""`make bench`: the service against plain baselines on the same stores, side by side.

    python -m tests.bench     QUICK=1: fewer rounds, less of each

Starts stores of its own in a temporary folder, and ends everything that it started. Prints a table and writes
`build/bench.json`. Absolute figures are the machine's; the ratios are the result. Ends with status 0 also where a row
falls short: it measures, and says so.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

import uvloop
from rich.console import Console

from tests.bench import report
from tests.bench.measure import QUICK, Bench, Size
from tests.bench.people import World
from tests.bench.stage import staged

RESULT = Path("build/bench.json")
SEED = 20_261


async def bench(size: Size, console: Console) -> None:
    """Measure, and say what came out."""
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {line}", soft_wrap=True, highlight=False, markup=False)

    busy = report.cores_busy()
    if busy is not None and busy > 0.2:
        say(f"others keep {busy:.1f} of {os.cpu_count()} cores busy: expect noise")
    with tempfile.TemporaryDirectory(prefix="fabric-bench-") as folder:
        async with staged(Path(folder), say) as stage:
            where = await report.machine(stage)
            where["cores busy before the start"] = None if busy is None else round(busy, 2)
            rows = await Bench(stage, size, World(SEED, time.time_ns() // 1_000_000), say).all()
    where["seconds in all"] = round(time.monotonic() - began)
    report.show(console, rows, where)
    report.write(RESULT, rows, where)
    say(f"written to {RESULT}")


def main() -> None:
    """What `make bench` runs."""
    size = QUICK if os.environ.get("QUICK", "0") not in ("", "0") else Size()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bench(size, Console()))


if __name__ == "__main__":
    main()

"""`make bench`: the service against plain baselines on the same stores, side by side.

    python -m tests.bench     QUICK=1: fewer rounds, less of each; LARGE=1: only what a million identifiers cost

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
from tests.bench.figures import Row, unmeasured
from tests.bench.growth import SMALL, growth
from tests.bench.measure import QUICK, Bench, Size
from tests.bench.people import World
from tests.bench.stage import staged

RESULT, RESULT_LARGE = Path("build/bench.json"), Path("build/bench-large.json")
LARGER, LARGE = 200_000, 1_000_000
SEED = 20_261


async def bench(size: Size, console: Console, large: bool) -> None:
    """Measure, and say what came out. Raises RuntimeError where a row was not measured."""
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(f"{time.monotonic() - began:6.1f} s  {line}", soft_wrap=True, highlight=False, markup=False)

    busy = report.cores_busy()
    if busy is not None and busy > 0.2:
        say(f"others keep {busy:.1f} of {os.cpu_count()} cores busy: expect noise")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="fabric-bench-") as folder:
        async with staged(Path(folder), say) as stage:
            where = await report.machine(stage)
            where["cores busy before the start"] = None if busy is None else round(busy, 2)
            if not large:
                rows += await Bench(stage, size, World(SEED, time.time_ns() // 1_000_000), say).all()
    identifiers = LARGE if large else LARGER
    say(f"{identifiers:,} identifiers beside {SMALL:,}")
    rows += await growth(identifiers, size.rounds, size.growth_batches, size.seconds, say)
    where["seconds in all"] = round(time.monotonic() - began)
    report.show(console, rows, where)
    result = RESULT_LARGE if large else RESULT
    report.write(result, rows, where)
    say(f"written to {result}")
    if lacking := unmeasured(rows):
        raise RuntimeError("not measured: " + ", ".join(row.name for row in lacking))


def main() -> None:
    """What `make bench` runs."""
    quick, large = (os.environ.get(name, "0") not in ("", "0") for name in ("QUICK", "LARGE"))
    size = QUICK if quick else Size()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bench(size, Console(), large))


if __name__ == "__main__":
    main()

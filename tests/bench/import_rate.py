"""How fast an import is, beside the batch API on the same stores: the same kind of links, in turn.

    python -m tests.bench.import_rate     LINKS=60000 ROUNDS=3

The API is given batches of 1,000 by one client that builds no body meanwhile; the import reads a CSV file beside the
running service. Its rate is over the time from its first row to its last drop, as it says itself; what a start costs
(about two seconds of an idle machine) is the same for a file of any size and is told apart.
"""

from __future__ import annotations

import asyncio
import csv
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import orjson
import uvloop
from rich.console import Console

from tests.bench import report
from tests.bench.figures import Row
from tests.bench.people import Sent, World, rfc3339
from tests.bench.stage import Say, Stage, staged

BATCH = 1_000
COLUMNS = (
    "a_namespace", "a_value", "b_namespace", "b_value", "method", "source", "rule", "rule_version", "observed_at",
)  # fmt: skip
SAYS = re.compile(r"rows in .* \(([\d,]+) rows/s\): .*?([\d,]+) linked")


def write_csv(path: Path, links: Sequence[Sent]) -> None:
    """The links as a file."""
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for link in links:
            out.writerow([*link.a, *link.b, "deterministic", link.source, "login", "1", rfc3339(link.observed_at)])


async def imported(stage: Stage, links: Sequence[Sent], name: str) -> tuple[float, float]:
    """Rows a second by the import, and the seconds that starting and ending took. Raises RuntimeError if it fails."""
    path = stage.folder / f"{name}.csv"
    write_csv(path, links)
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service",
        "import",
        str(path),
        env={**os.environ, "DATA_DIR": str(stage.folder / "service"), "SAMPLE": "0"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    took = time.perf_counter() - began
    said = SAYS.search(out.decode())
    if process.returncode or said is None:
        tail = err.decode(errors="replace").splitlines()[-3:]
        raise RuntimeError(f"the import ended with status {process.returncode}: {tail}")
    rate = float(said[1].replace(",", ""))
    return rate, took - len(links) / rate


async def sent(stage: Stage, links: Sequence[Sent], name: str) -> float:
    """Links a second by the batch API."""
    groups = [links[at : at + BATCH] for at in range(0, len(links), BATCH)]
    path = stage.folder / name
    path.write_bytes(b"\n".join(orjson.dumps({"links": [one.request for one in group]}) for group in groups))
    result = await stage.load(
        stage.service_port,
        1,
        900.0,
        path,
        method="POST",
        path="/v1/links",
        first=0,
        count=len(groups),
        expect='"link_id":"lnk_',
    )
    if result.matched != len(links):
        raise RuntimeError(f"{len(links) - result.matched} links of batches were not taken")
    return len(links) / result.seconds


async def import_rate(stage: Stage, links: int, rounds: int, say: Say, seed: int = 91) -> list[Row]:
    """The import beside the batch API; the first round warms both up and does not count."""
    row = Row("import of a CSV file", "the batch API, 1,000 a request, one client", "links/s", at_least=3.0)
    start = Row("start and end of an import", "", "s")
    for number in range(rounds + 1):
        by_file, by_api = (World(seed + 2 * number + side, time.time_ns() // 1_000_000).links(links) for side in (0, 1))
        api = await sent(stage, by_api, f"import-api-{number}")
        rate, around = await imported(stage, by_file, f"import-{number}")
        say(f"import {rate:,.0f} links/s, batch API {api:,.0f} links/s")
        if number:
            row.add(rate, api)
            start.add(around)
    return [row, start]


async def bench(links: int, rounds: int, console: Console) -> None:
    """Measure, and say what came out."""

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, highlight=False, markup=False)

    with tempfile.TemporaryDirectory(prefix="fabric-import-") as folder:
        async with staged(Path(folder), say) as stage:
            rows = await import_rate(stage, links, rounds, say)
            report.show(console, rows, await report.machine(stage))


def main() -> None:
    """What the command line runs."""
    links, rounds = (int(os.environ.get(name, default)) for name, default in (("LINKS", "60000"), ("ROUNDS", "3")))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bench(links, rounds, Console()))


if __name__ == "__main__":
    sys.exit(main())

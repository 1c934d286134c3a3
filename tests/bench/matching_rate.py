"""Records through the API in batches, beside a store that is small and one that is large.

    python -m tests.bench.matching_rate     RECORDS=50000: the larger store; STEP=1000: records measured at each size

Starts stores of its own in a temporary folder, fills them with the seeded world, and prints records a second at 5,000
and at RECORDS, and how many others a record was compared with. The rate at the larger one over that at the smaller is
the result; absolute figures are the machine's.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from service.commands.records import blocks_of
from service.matching.encode import Encoder
from service.matching.fields import normalise
from service.sample.persons import Population
from tests.bench.stage import Client, staged

BATCH, SMALL = 500, 5_000
LARGE, STEP = int(os.environ.get("RECORDS", "50000")), int(os.environ.get("STEP", "1000"))
BLOCK_MAX, SEED = 20, 20_261_124
Item = dict[str, Any]


def say(line: str) -> None:
    """One line."""
    sys.stdout.write(line + "\n")


def items(count: int) -> list[Item]:
    """Records of the seeded world as they are sent."""
    known = Population(SEED).records(count)
    at = "2026-01-01T00:00:00Z"
    return [
        {
            "identifier": {"namespace": "mat_id", "value": f"r-{number}"},
            "source": "bench",
            "observed_at": at,
            "attributes": {name: value for name, value in one.attributes.items() if value},
        }
        for number, one in enumerate(known)
    ]


def candidates(sent: Sequence[Item]) -> str:
    """How many others each record is compared with once all of them are there: median, 99 of 100, most."""
    encoder = Encoder(b"bench of matching rate")
    blocks = [blocks_of(encoder.encode(normalise(item["attributes"]))) for item in sent]
    sizes = Counter(block for own in blocks for block in own)
    inside: dict[int, list[int]] = {}
    for number, own in enumerate(blocks):
        for block in own:
            if sizes[block] <= BLOCK_MAX:
                inside.setdefault(block, []).append(number)
    counts = sorted(
        len({other for block in own for other in inside.get(block, ())} - {number}) for number, own in enumerate(blocks)
    )
    return f"median {counts[len(counts) // 2]}, p99 {counts[len(counts) * 99 // 100]}, max {counts[-1]}"


def _fill(client: Client, sent: Sequence[Item]) -> float:
    """Send in batches; records a second."""
    began = time.perf_counter()
    for start in range(0, len(sent), BATCH):
        client.ask("POST", "/v1/records", {"records": sent[start : start + BATCH]})
    return len(sent) / (time.perf_counter() - began)


def _compares(client: Client) -> None:
    policy = orjson.loads(client.ask("GET", "/v1/policies/active"))["policy"]
    policy["namespaces"]["mat_id"] = {"kind": "person", "priority": 8}
    policy["matching"] = {"max_candidates": BLOCK_MAX}
    version = orjson.loads(client.ask("POST", "/v1/policies", policy))["version"]
    client.ask("POST", f"/v1/policies/{version}/activate?wait=30", {})


async def main() -> None:
    """Measure and print."""
    sent = [item for item in items(LARGE + STEP) if item["attributes"]]
    for count in (SMALL, LARGE):
        say(f"{count:,} records: compared with {candidates(sent[:count])}")
    with tempfile.TemporaryDirectory(prefix="fabric-bench-") as folder:
        async with staged(Path(folder), say) as stage:
            client = stage.client()
            await asyncio.to_thread(_compares, client)
            await asyncio.to_thread(_fill, client, sent[:SMALL])
            small = await asyncio.to_thread(_fill, client, sent[SMALL : SMALL + STEP])
            await asyncio.to_thread(_fill, client, sent[SMALL + STEP : LARGE])
            large = await asyncio.to_thread(_fill, client, sent[LARGE : LARGE + STEP])
    say(f"records/s beside {SMALL:,}: {small:.0f}; beside {LARGE:,}: {large:.0f}; {large / small:.2f} of the former")


if __name__ == "__main__":
    asyncio.run(main())

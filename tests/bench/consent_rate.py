"""What is measured of consent: recorded decisions, and revocations while others read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any
from urllib.parse import quote

import orjson

from tests.bench.figures import Row
from tests.bench.people import Identifier, World
from tests.bench.stage import Stage

CLIENTS, READERS = 32, 20
BATCH = 1_000
_DECISIONS = {"method": "POST", "path": "/v1/decisions"}


def _question(key: Identifier) -> dict[str, Any]:
    return {"identifier": {"namespace": key[0], "value": key[1]}, "destination": "meta_ads"}


def _written(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"\n".join(lines))
    return path


async def decisions(stage: Stage, known: Sequence[Identifier], rounds: int, seconds: float) -> list[Row]:
    """Decisions on `known`, one a request from 32 clients and 1,000 a request from one, against raw inserts of entries
    of the same size, 32 a transaction: as many as 32 clients can have waiting at once.
    """
    single = Row(f"recorded decisions, {CLIENTS} clients", "audit inserts, 32 a transaction", "1/s", at_least=0.5)
    many = Row("decisions in batches of 1,000", f"single ones, {CLIENTS} clients", "1/s", at_least=5)
    asked = [_question(key) for key in known]
    ones = _written(stage.folder / "questions", [orjson.dumps(question) for question in asked])
    groups = [asked[at : at + BATCH] for at in range(0, len(asked) - BATCH + 1, BATCH)]
    batches = _written(stage.folder / "question-batches", [orjson.dumps({"requests": group}) for group in groups])
    size = len(stage.client().ask("POST", "/v1/decisions", asked[0]))
    count = 40_000
    rows = [orjson.dumps({"seq": seq, "hash": f"{seq:064x}", "body": "x" * size}) for seq in range(count)]
    entries, at = _written(stage.folder / "entries", rows), 0
    for number in range(rounds + 1):
        port = stage.service_port
        alone = await stage.load(port, CLIENTS, seconds, ones, repeat=True, warming=not number, **_DECISIONS)
        together = await stage.load(port, 1, seconds, batches, repeat=True, warming=not number, **_DECISIONS)
        share = count // (rounds + 1)
        raw = await stage.raw_writes(entries, at, share, batch=CLIENTS, tasks=1, seconds=seconds, entries=True)
        at += share
        if number:  # the first one warms up
            single.add(alone.per_second, raw["links"] / raw["seconds"])
            many.add(together.per_second * BATCH, alone.per_second)
    return [single, many]


async def revocations(stage: Stage, world: World, known: Sequence[Identifier], count: int) -> list[Row]:
    """Revocations one by one, each beside a link write, while 20 clients read the same people from the cache."""
    middle = Row(f"revocation to its 2xx, {READERS} clients reading", "one link", "ms", below=3)
    late = Row("the same: p99", "one link: p99", "ms")
    chosen = random.Random(11).sample(list(known), count)
    lines = [f"/v1/profiles?namespace={n}&value={quote(v)}&purpose=analytics".encode() for n, v in chosen]
    paths = _written(stage.folder / "revoked", lines)
    reading = asyncio.create_task(stage.load(stage.service_port, READERS, 3600.0, paths, repeat=True))
    try:
        took = await asyncio.to_thread(_timed_pairs, stage, world, chosen)
    finally:
        reading.cancel()
    for revoked, linked in took:
        middle.add(revoked, linked)
    late.add(*(quantiles(side, n=100)[98] for side in zip(*took, strict=True)))
    return [middle, late]


def _timed_pairs(stage: Stage, world: World, chosen: Sequence[Identifier]) -> list[tuple[float, float]]:
    client = stage.client()
    took = []
    for key, link in zip(chosen, world.strangers(len(chosen)), strict=False):
        identifier = {"namespace": key[0], "value": key[1]}
        revocation = {"identifier": identifier, "scope": "purposes", "purposes": ["*"], "reason": "asked to"}
        began = perf_counter()
        client.ask("POST", "/v1/revocations", revocation)
        between = perf_counter()
        client.ask("POST", "/v1/links", link.request)
        took.append(((between - began) * 1000, (perf_counter() - between) * 1000))
    return took[len(took) // 10 :]

"""How fast deliveries go out, beside a bare HTTP client that asks the same receiver.

    python -m tests.bench.delivery_rate

Takes a running graph and Redis from the environment (NEO4J_URI …), as tests do, and starts nothing but an instance and
a receiver in this process. Prints a line a figure. The receiver answers after 20 ms.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from service.local import local_stores
from service.settings import load_settings
from tests.service.instances import KEYS, Api, fresh, named, opened, quiet

DELAY_S: Final = 0.02
COUNT: Final = int(os.environ.get("COUNT", "1000"))
CONCURRENCY: Final = 64
SECRETS: Final = {"HOOK": "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "META": "token"}


class Receiver:
    """Answers every request after 20 ms, and notes when it came and how many items it held."""

    def __init__(self) -> None:
        self.times: list[tuple[float, int]] = []
        self.came = asyncio.Event()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r")[0] or 0)
                body = await reader.readexactly(length)
                self.times.append((time.monotonic(), max(1, body.count(b'"event_id"'))))
                self.came.set()
                await asyncio.sleep(DELAY_S)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def rate(self, began: float) -> float:
        """Items a second, from a time of the monotonic clock to the answer to the last."""
        spent = self.times[-1][0] + DELAY_S - began
        return sum(items for _, items in self.times) / max(spent, 1e-9)


async def bare(url: str, count: int) -> float:
    """Requests a second of a plain httpx loop with the same concurrency."""
    gate = asyncio.Semaphore(CONCURRENCY)
    limits = httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
    async with httpx.AsyncClient(limits=limits, trust_env=False) as client:

        async def one() -> None:
            async with gate:
                (await client.post(url, content=b"{}")).raise_for_status()

        began = time.monotonic()
        await asyncio.gather(*(one() for _ in range(count)))
        return count / (time.monotonic() - began)


def _event(source: str, number: int, key: str) -> dict[str, Any]:
    properties = {"order_id": f"o-{number}", "value": 1.0, "currency": "EUR"}
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    data = {"identifiers": [named(key)], "properties": properties, "retention": "events-default"}
    data |= {"consent": {"advertising": "granted"}, "regulation": "GDPR"}
    head = {"specversion": "1.0", "id": f"{source}-{number}", "source": source, "type": "checkout", "time": moment}
    return head | {"dataschema": "checkout/1-0-0", "data": data}


def _block(adapter: str, settings: dict[str, Any], secret: str, source: str) -> dict[str, Any]:
    delivery = {"adapter": adapter, "settings": settings, "secret": secret, "on": ["checkout"], "mode": "live"}
    delivery |= {"when": f'event.source == "{source}"', "share": 1.0}
    return {"purpose": "advertising", "namespaces": ["*"], "granularity": "person", "delivery": delivery}


async def _drain(api: Api, name: str) -> None:
    while True:
        items = (await api.get("/v1/destinations")).json["items"]
        if not next(item["pending"] for item in items if item["name"] == name):
            return
        await asyncio.sleep(0.2)


async def _backlog(api: Api, name: str, receiver: Receiver, source: str, count: int) -> float:
    """Items a second of a backlog, sent from the moment that the destination is resumed."""
    assert (await api.post(f"/v1/destinations/{name}/pause", {})).status == 200
    events = [_event(source, n, fresh()) for n in range(count)]
    for start in range(0, count, 200):
        await api.post("/v1/events", {"events": events[start : start + 200]})
    receiver.times.clear()
    began = time.monotonic()
    assert (await api.post(f"/v1/destinations/{name}/resume", {})).status == 200
    await _drain(api, name)
    return receiver.rate(began)


async def _latency(api: Api, receiver: Receiver, source: str, count: int) -> Sequence[float]:
    """Milliseconds from the answer to an event until its request is at the receiver, one after another."""
    found = []
    for number in range(count):
        receiver.times.clear()
        receiver.came.clear()
        await api.post("/v1/events", _event(source, 1_000_000 + number, fresh()))
        answered = time.monotonic()
        await receiver.came.wait()
        found.append(max(0.0, (receiver.times[0][0] - answered) * 1000))
    return sorted(found)


async def measure() -> None:
    """All of it."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.meet, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with tempfile.TemporaryDirectory(prefix="fabric-bench-") as folder:
        given = {"data_dir": Path(folder), "sample": False, "port": 0, "api_keys": KEYS}
        given |= {"egress_allow": "127.0.0.1", "egress_allow_private": True, "destination_secrets": SECRETS}
        settings = load_settings(given)
        async with local_stores(settings, quiet) as stores, opened(settings, stores) as instance:
            api, source = instance.api, fresh("s").replace(":", "_").replace("-", "_")[:16]
            active = (await api.get("/v1/policies/active")).json
            singly, batched = f"{source}_single", f"{source}_batch"
            rules = {
                singly: _block("webhook", {"url": f"{url}/in"}, "HOOK", singly),
                batched: _block("meta_capi", {"dataset": "1", "base_url": url}, "META", batched),
            }
            document = active["policy"] | {"destinations": active["policy"]["destinations"] | rules}
            version = (await api.post("/v1/policies", document)).json["version"]
            await api.post(f"/v1/policies/{version}/activate", {})
            plain = await bare(url, COUNT)
            say("bare httpx, requests a second", plain)
            say("singly, deliveries a second", rate := await _backlog(api, singly, receiver, singly, COUNT))
            say("singly, beside bare", rate / plain)
            say("in batches, deliveries a second", rate := await _backlog(api, batched, receiver, batched, COUNT))
            say("in batches, beside bare", rate / plain)
            waits = await _latency(api, receiver, singly, 100)
            say("answer to send, p50, ms", waits[len(waits) // 2])
            say("answer to send, p99, ms", waits[-2])
            await api.post(f"/v1/policies/{active['version']}/activate", {})
    server.close()


def say(name: str, figure: float) -> None:
    """One figure."""
    sys.stdout.write(orjson.dumps({"name": name, "figure": round(figure, 3)}).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(measure())

"""Everything that is measured, started side by side: the stores, the service on them, and the baselines on them too."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import redis.asyncio

from service.local import Stores, local_stores
from service.settings import load_settings
from tests.bench import load, raw_writes

READY_S = 120.0
Say = Callable[[str], None]


@dataclass(slots=True)
class Stage:
    """What is running, and the ways to put load on it."""

    folder: Path
    stores: Stores
    service_port: int
    service_pid: int
    key: str
    baselines: dict[str, int]
    redis: redis.asyncio.Redis

    async def load(
        self, port: int, connections: int, seconds: float, file: Path, *, warming: bool = False, **more: Any
    ) -> load.Result:
        """Run the load generator. Raises RuntimeError for an answer other than 200, unless `warming`."""
        authorization = f"Bearer {self.key}" if port == self.service_port else ""
        spec = load.Spec(port, connections, seconds, str(file), authorization=authorization, **more)
        result = load.Result(**await _child("tests.bench.load", asdict(spec)))
        if result.failed and not warming:
            told = ", ".join(f"{count} x {status}" for status, count in result.statuses.items())
            raise RuntimeError(f"requests failed while measured: {told}")
        return result

    async def raw_writes(
        self,
        file: Path,
        first: int,
        count: int,
        *,
        batch: int,
        tasks: int,
        seconds: float = 60.0,
        entries: bool = False,
    ) -> dict[str, float]:
        """Write links, or audit entries, by the plain driver."""
        uri, password = self.stores.neo4j_uri, self.stores.neo4j_password
        spec = raw_writes.Spec(uri, password, str(file), first, count, batch, tasks, seconds, entries)
        found: dict[str, float] = await _child("tests.bench.raw_writes", asdict(spec))
        return found

    def client(self) -> Client:
        """One keep-alive connection to the service."""
        return Client(self.service_port, self.key)

    def metrics(self) -> dict[str, float]:
        """The service's counters by their line in the Prometheus text."""
        text = self.client().ask("GET", "/metrics").decode()
        pairs = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}

    def rss_mb(self) -> float:
        """Resident memory of the service's process, in MB of 1,000,000 bytes."""
        for line in Path(f"/proc/{self.service_pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise RuntimeError("no VmRSS")


class Client:
    """A plain client for calls that are timed one by one."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, content: object = None) -> bytes:
        """The body of a 200 or 202. Raises RuntimeError for anything else."""
        body = None if content is None else orjson.dumps(content)
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status not in (200, 202):
            raise RuntimeError(f"{method} {path.partition('?')[0]} was answered {response.status}")
        return answer


async def _child(module: str, spec: object) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await process.communicate(orjson.dumps(spec))
    finally:
        if process.returncode is None:  # whoever waited was cancelled
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"{module} ended with status {process.returncode}")
    return orjson.loads(out)


@contextlib.asynccontextmanager
async def _running(
    arguments: list[str], log: Path, env: dict[str, str], *, piped: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *arguments,
            env={**os.environ, **env},
            stdout=asyncio.subprocess.PIPE if piped else output,
            stderr=output,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 30)
            except TimeoutError:
                process.kill()
                await process.wait()


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


async def _ready(process: asyncio.subprocess.Process, run_file: Path, log: Path) -> dict[str, Any]:
    for _ in range(int(READY_S / 0.1)):
        if found := _content(run_file):
            ready: dict[str, Any] = orjson.loads(found)
            return ready
        if process.returncode is not None:
            break
        await asyncio.sleep(0.1)
    tail = "\n".join(_content(log).decode(errors="replace").splitlines()[-5:])
    raise RuntimeError(f"the service did not start:\n{tail}")


@contextlib.asynccontextmanager
async def staged(folder: Path, say: Say, command: tuple[str, ...] = ("service", "run")) -> AsyncIterator[Stage]:
    """Start it all in `folder`; ends it all on leaving. `command`: the service's module and its arguments."""
    nothing: dict[str, object] = {"neo4j_uri": None, "redis_url": None, "data_dir": folder / "stores", "sample": False}
    key = secrets.token_urlsafe(24)
    async with contextlib.AsyncExitStack() as stack:
        stores = await stack.enter_async_context(local_stores(load_settings(nothing), say))
        where = {
            "NEO4J_URI": stores.neo4j_uri,
            "NEO4J_USER": stores.neo4j_user,
            "NEO4J_PASSWORD": stores.neo4j_password,
            "NEO4J_DATABASE": stores.neo4j_database,
            "REDIS_URL": stores.redis_url,
        }
        data_dir, log = folder / "service", folder / "service.log"
        own = {
            "DATA_DIR": str(data_dir),
            "EVENTS_URI": str(data_dir / "events"),
            "PORT": "0",
            "HOST": "127.0.0.1",
            "SAMPLE": "0",
            "POLICY_FILE": "",
            "IDENTITY_KEY": secrets.token_urlsafe(32),
            "API_KEYS": orjson.dumps({key: ["activation", "collector", "steward", "privacy"]}).decode(),
        }
        process = await stack.enter_async_context(_running(list(command), log, {**where, **own}))
        found = await _ready(process, data_dir / "run.json", log)
        ports = {}
        for name in ("asgi", "fastapi", "neo4j"):
            arguments = ["tests.bench.baselines", name]
            started = _running(arguments, folder / f"{name}.log", where, piped=True)
            baseline = await stack.enter_async_context(started)
            assert baseline.stdout is not None
            ports[name] = int(await asyncio.wait_for(baseline.stdout.readline(), READY_S))
        client = redis.asyncio.Redis.from_url(stores.redis_url)
        stack.push_async_callback(client.aclose)
        port = int(str(found["base_url"]).rpartition(":")[2])
        yield Stage(folder, stores, port, int(found["pid"]), key, ports, client)

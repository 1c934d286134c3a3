"""Where a run takes place: real stores, a proxy before each for each instance, and instances as processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from service.local import neo4j_server
from service.local.child import Child
from service.local.connect import await_neo4j, free_port
from service.local.jars import class_path
from service.local.neo4j_server import Neo4jServer
from service.local.secrets import store_password
from service.settings import Settings, load_settings
from tests.faults.proxy import Proxy
from tests.service.instances import KEYS
from tests.service.redis_server import PrivateRedis

TOP = Path(__file__).parents[2]
START_S = 240
MINE = ("NEO4J_", "REDIS_", "IDENTITY_KEY", "API_KEYS", "WEBHOOK_SECRETS", "POLICY_FILE", "DATA_DIR", "PORT", "SAMPLE")


@dataclass(slots=True)
class Graph:
    """A Neo4j that the suite may kill, freeze and start again: the very one that a local run starts."""

    server: Neo4jServer
    child: Child | None = None

    async def start(self) -> None:
        """Start it; returns once it answers."""
        self.child = await self.server.start()
        await await_neo4j(self.server.uri, neo4j_server.USER, self.server.password, neo4j_server.DATABASE, START_S)

    async def kill(self) -> None:
        """kill -9."""
        if self.child is not None and self.child.running:
            self.signal(signal.SIGKILL)
            await self.child.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT."""
        assert self.child is not None
        os.kill(self.child.process.pid, number)


@dataclass(slots=True)
class Target:
    """One instance of the service behind its two proxies; started again when it ends, as an orchestrator would."""

    number: int
    folder: Path
    port: int
    env: dict[str, str]
    graph_line: Proxy
    redis_line: Proxy
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    ended_itself: list[str] = field(default_factory=list)
    down: bool = False
    clock_off_ms: int = 0

    @property
    def base_url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process; see `ready`."""
        self.down = False
        self.starts += 1
        env = self.env | {"CLOCK_OFF_MS": str(self.clock_off_ms)}
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            command = [sys.executable, "-m", "tests.faults.target", "run"]
            self.process = subprocess.Popen(command, cwd=TOP, env=env, stdout=log, stderr=log)

    async def ready(self, within_s: float = START_S) -> None:
        """Returns once it answers. Raises TimeoutError."""
        ends = time.monotonic() + within_s
        async with httpx.AsyncClient(timeout=5) as http:
            while time.monotonic() < ends:
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(f"{self.base_url}/healthz")).status_code == 200:
                        return
                await asyncio.sleep(0.1)
        raise TimeoutError(f"instance {self.number} does not answer")

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT, SIGTERM."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        """kill -9."""
        self.down = True
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    async def keep(self) -> None:
        """Starts it again whenever it ended of itself, and notes that it did."""
        while True:
            await asyncio.sleep(0.2)
            if not self.down and self.process is not None and self.process.poll() is not None:
                tail = (self.folder.parent / f"{self.folder.name}.log").read_text(errors="replace")[-400:]
                self.ended_itself.append(f"status {self.process.returncode}: {tail.strip().splitlines()[-1:]}")
                await asyncio.sleep(1.0)
                self.start()


@dataclass(slots=True)
class Ground:
    """All of it. `graph` is None where the graph is shared and must not be harmed."""

    folder: Path
    graph: Graph | None
    redis: PrivateRedis
    targets: list[Target]
    neo4j_uri: str
    neo4j_password: str
    disk: Path | None = None


async def _lines(uri: str, redis: PrivateRedis) -> tuple[Proxy, Proxy]:
    host, _, port = uri.removeprefix("bolt://").partition(":")
    graph_line, redis_line = Proxy(host, int(port)), Proxy("127.0.0.1", redis.port)
    await graph_line.open()
    await redis_line.open()
    return graph_line, redis_line


def _env(folder: Path, port: int, password: str, redis: PrivateRedis, lines: tuple[Proxy, Proxy]) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(MINE)}
    env |= {"DATA_DIR": str(folder), "PORT": str(port), "SAMPLE": "0", "API_KEYS": json.dumps(KEYS)}
    env |= {"LOG_LEVEL": "WARNING", "STORE_WAIT_MS": "60000", "NEO4J_PASSWORD": password}
    env["NEO4J_URI"] = f"bolt://127.0.0.1:{lines[0].port}"
    env["REDIS_URL"] = f"redis://:{redis.password}@127.0.0.1:{lines[1].port}/0"
    return env


@contextlib.asynccontextmanager
async def ground_on(
    folder: Path, neo4j_uri: str, password: str, identity_key: str, more: dict[str, str], graph: Graph | None = None
) -> AsyncIterator[Ground]:
    """Two instances on this graph and a Redis of their own, all answering; everything ended at the end."""
    (folder / "redis").mkdir()
    redis = PrivateRedis(folder / "redis")
    redis.start()
    targets: list[Target] = []
    keeping: list[asyncio.Task[None]] = []
    try:
        for number in range(2):
            lines = await _lines(neo4j_uri, redis)
            home, port = folder / f"instance-{number}", free_port()
            env = _env(home, port, password, redis, lines) | {"IDENTITY_KEY": identity_key} | more
            targets.append(Target(number, home, port, env, *lines))
            targets[-1].start()
        for target in targets:
            await target.ready()
        keeping = [asyncio.create_task(target.keep()) for target in targets]
        yield Ground(folder, graph, redis, targets, neo4j_uri, password)
    finally:
        for task in keeping:
            task.cancel()
        for target in targets:
            target.signal(signal.SIGCONT)
            target.kill()
            await target.graph_line.close()
            await target.redis_line.close()
        redis.kill()


@contextlib.asynccontextmanager
async def own_ground(folder: Path, disk_mb: int | None, more: dict[str, str]) -> AsyncIterator[Ground]:
    """The same on a Neo4j of its own, which may be killed; its folder on a small disk where one can be mounted."""
    settings: Settings = load_settings({"data_dir": folder, "sample": False, "port": 0})
    jars = await class_path(settings.cache_dir, lambda _line: None)
    home = folder / "neo4j"
    home.mkdir(mode=0o700)
    mounted = disk_mb is not None and mount(home, disk_mb)
    server = Neo4jServer(home, free_port(), store_password(home), settings, jars)
    graph = Graph(server)
    try:
        await graph.start()
        async with ground_on(folder, server.uri, server.password, "faults-" * 6, more, graph) as ground:
            ground.disk = home if mounted else None
            yield ground
    finally:
        with contextlib.suppress(ProcessLookupError, AssertionError):
            graph.signal(signal.SIGCONT)
        await graph.kill()
        if mounted:
            await asyncio.to_thread(subprocess.run, ["umount", "-l", str(home)], check=False)


def mount(folder: Path, size_mb: int) -> bool:
    """A disk of its own for the folder; False where this user may not mount one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=700", "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0

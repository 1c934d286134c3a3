"""Makes `neo4j_jars.lock` anew, for a new version of Neo4j: `python -m service.local.pin CACHE_DIR`.

Set `NEO4J_VERSION` first. jgo resolves what that version needs; each jar is fetched, its size and digest written down.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import sys
from pathlib import Path
from typing import Final

from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext
from jgo.parse import Coordinate

from service.local.jars import LOCK_FILE, NEO4J_VERSION, repository

_WORKERS: Final = 6


def main() -> None:
    """Writes the lock file."""
    context = MavenContext(
        repo_cache=repository(Path(sys.argv[1])),
        local_repos=[],
        remote_repos={"central": MAVEN_CENTRAL_URL},
        timeout=30,
    )
    root = Coordinate(groupId="org.neo4j", artifactId="neo4j", version=NEO4J_VERSION, scope="compile")
    asked, needed = context.resolver.resolve([context.create_dependency(root)])
    artifacts = [found.artifact for found in (*asked, *needed) if found.scope in ("compile", "runtime")]
    with concurrent.futures.ThreadPoolExecutor(_WORKERS) as workers:
        contents = workers.map(lambda artifact: artifact.resolve().read_bytes(), artifacts)
        lines = [_line(artifact, content) for artifact, content in zip(artifacts, contents, strict=True)]
    LOCK_FILE.write_text("".join(lines), encoding="ascii")
    sys.stdout.write(f"{LOCK_FILE.name}: {len(lines)} jars\n")


def _line(artifact: object, content: bytes) -> str:
    parts = (getattr(artifact, name) for name in ("groupId", "artifactId", "version", "classifier"))
    coordinate = ":".join(part for part in parts if part)
    return f"{coordinate} {len(content)} sha256:{hashlib.sha256(content).hexdigest()}\n"


if __name__ == "__main__":
    main()

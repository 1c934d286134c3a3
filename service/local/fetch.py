"""Fetches Neo4j's jars from Maven Central through jgo: `python -m service.local.fetch CACHE_DIR`.

Prints a JSON line a second: `{"done_bytes", "total_bytes"}`, and at the end of a failure `{"trouble": "…"}`. One fetch
at a time works in a cache folder; the others wait and see its progress. What was fetched is kept: the next one goes on.
"""

from __future__ import annotations

import concurrent.futures
import fcntl
import logging
import sys
import time
from pathlib import Path
from typing import Final

import orjson

from service.local.jars import Jar, lock_digest, mark_path, repository, wanted

_WORKERS: Final = 6
_TRIES: Final = 4
_TIMEOUT_S: Final = 30
_REPORT_EVERY_S: Final = 1.0


class FetchFailed(Exception):
    """A jar can't be had. The text names it and the kind of trouble."""


def main() -> int:
    """Returns the exit status: 0 when every jar is there and sound."""
    logging.disable(logging.CRITICAL)  # a library's words may name hosts; ours are the ones shown
    cache_dir = Path(sys.argv[1])
    jars = wanted()
    try:
        repository(cache_dir).mkdir(parents=True, exist_ok=True)
        with (cache_dir / "fetch.lock").open("w") as lock:
            _wait_for(lock.fileno(), cache_dir, jars)
            _fetch_all(cache_dir, jars)
            mark_path(cache_dir).write_text(lock_digest() + "\n")
    except FetchFailed as error:
        _print({"trouble": str(error)})
        return 1
    except OSError as error:
        _print({"trouble": f"{cache_dir}: {error.strerror} (CACHE_DIR names another folder)"})
        return 1
    return 0


def _print(line: dict[str, object]) -> None:
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    sys.stdout.buffer.flush()


def _report(cache_dir: Path, jars: list[Jar]) -> None:
    done = 0
    for jar in jars:
        path = jar.path(cache_dir)
        done += min(path.stat().st_size, jar.size_bytes) if path.exists() else 0
    _print({"done_bytes": done, "total_bytes": sum(jar.size_bytes for jar in jars)})


def _wait_for(lock: int, cache_dir: Path, jars: list[Jar]) -> None:
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _report(cache_dir, jars)
            time.sleep(_REPORT_EVERY_S)


def _fetch_all(cache_dir: Path, jars: list[Jar]) -> None:
    with concurrent.futures.ThreadPoolExecutor(_WORKERS) as workers:
        running = {workers.submit(_fetch_one, cache_dir, jar) for jar in sorted(jars, key=lambda jar: -jar.size_bytes)}
        try:
            while running:
                done, running = concurrent.futures.wait(running, timeout=_REPORT_EVERY_S)
                for future in done:
                    future.result()
                _report(cache_dir, jars)
        finally:
            workers.shutdown(cancel_futures=True)


def _fetch_one(cache_dir: Path, jar: Jar) -> None:
    if jar.sound(cache_dir):
        return
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    kind = "its content is not what was pinned"
    for attempt in range(_TRIES):
        jar.path(cache_dir).unlink(missing_ok=True)
        context = MavenContext(
            repo_cache=repository(cache_dir),
            local_repos=[],
            remote_repos={"central": MAVEN_CENTRAL_URL},
            timeout=_TIMEOUT_S,
        )
        component = context.project(jar.group, jar.artifact).at_version(jar.version)
        try:
            component.artifact(jar.classifier, "jar").resolve()
            if jar.sound(cache_dir):
                return
        except Exception as error:  # of any of the libraries below jgo
            kind = type(error).__name__
        time.sleep(0.5 * 2**attempt)
    raise FetchFailed(
        f"{jar.artifact} {jar.version}: {kind}; check the network and start again, what was fetched is kept"
    )


if __name__ == "__main__":
    sys.exit(main())

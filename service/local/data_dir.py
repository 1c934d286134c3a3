"""The data folder: made for its owner only, used by one service at a time, its files written whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson

from service.clock import random_token
from service.errors import StartRefused

RUN_FILE: Final = "run.json"
_LOCK_FILE = "service.lock"


def write_private(path: Path, content: bytes) -> None:
    """Replaces `path` by a file with this content, readable by its owner only; a crash leaves the old one."""
    draft = path.with_name(f".{path.name}.{random_token(6)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_private_folder(path: Path) -> Path:
    """The folder, made if need be, closed to others. Raises StartRefused when that can't be."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise StartRefused(f"DATA_DIR can't be used: {path}: {error.strerror}") from None
    return path


@contextlib.contextmanager
def claimed(data_dir: Path) -> Iterator[Path]:
    """Holds the data folder for this process, until it ends in whatever way. Raises StartRefused if another does."""
    make_private_folder(data_dir)
    lock = os.open(data_dir / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            who = f" (process {owner})" if owner.isdigit() else ""
            raise StartRefused(
                f"another service{who} is running on {data_dir}; give this one another DATA_DIR"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        (data_dir / RUN_FILE).unlink(missing_ok=True)  # of a run that crashed
        yield data_dir
    finally:
        os.close(lock)


def in_use(data_dir: Path) -> bool:
    """Whether a service holds the data folder now."""
    try:
        lock = os.open(data_dir / _LOCK_FILE, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def write_run_file(
    data_dir: Path,
    *,
    base_url: str | None,
    neo4j_uri: str,
    neo4j_user: str,
    neo4j_password: str,
    redis_url: str,
    identity_key: str,
) -> Path:
    """Tells others, once the service is ready, how to reach it and its stores. Returns the path of run.json."""
    path = data_dir / RUN_FILE
    found = {
        "base_url": base_url,
        "pid": os.getpid(),
        "neo4j": {"uri": neo4j_uri, "user": neo4j_user, "password": neo4j_password},
        "redis_url": redis_url,
        "identity_key": identity_key,
    }
    write_private(path, orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return path


def remove_run_file(data_dir: Path) -> None:
    """Takes run.json away at a clean end."""
    (data_dir / RUN_FILE).unlink(missing_ok=True)

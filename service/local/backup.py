"""Backups of a local run: the graph, the record of events and the secrets that belong to them, in one archive for its
owner only.

The journal of refusals and the checkpoints of the audit are in no backup and are left alone by a restore: what they
remember beyond the backup is applied again, or noted as lost, at the next start, before the service is ready. A Neo4j
of one's own is backed up with its own tools.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path
from typing import Final

from service.errors import StartRefused
from service.local.checkpoints import announce_restore
from service.local.data_dir import claimed

SECRETS: Final = ("identity-key", "api-keys.json", "webhook-secrets.json")
GRAPH: Final = "neo4j"
SEALED: Final = "sealed"
RECORD: Final = "events"
FORMER: Final = "neo4j.before-restore"


def backup(data_dir: Path, archive: Path) -> int:
    """Write the graph and its secrets to `archive` (.tar.gz); returns its size in bytes.

    Raises StartRefused while a service runs on the folder, or where there is nothing to back up.
    """
    with claimed(data_dir):
        if not (data_dir / GRAPH).is_dir():
            raise StartRefused(f"there is no graph in {data_dir} to back up")
        draft = archive.with_name(f".{archive.name}.part")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                with tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as tar:
                    for name in (GRAPH, SEALED, RECORD, *SECRETS):
                        if (data_dir / name).exists():
                            tar.add(data_dir / name, arcname=name)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(archive)
        finally:
            draft.unlink(missing_ok=True)
    return archive.stat().st_size


def restore(data_dir: Path, archive: Path) -> Path | None:
    """Put a backup in the place of the graph; returns where the former graph is kept, None where there was none.

    Raises StartRefused while a service runs on the folder, or where the archive is none of ours.
    """
    with claimed(data_dir):
        try:
            tar = tarfile.open(archive, mode="r:gz")  # noqa: SIM115 - closed below
        except (OSError, tarfile.TarError):
            raise StartRefused(f"{archive} can't be read as a backup") from None
        with tar:
            members = tar.getmembers()
            if not any(member.name == GRAPH for member in members):
                raise StartRefused(f"{archive} holds no graph")
            former = None
            if (data_dir / GRAPH).exists():
                former = data_dir / FORMER
                shutil.rmtree(former, ignore_errors=True)
                (data_dir / GRAPH).rename(former)
            for name in (SEALED, RECORD):
                if (data_dir / name).exists():
                    kept = data_dir / f"{name}.before-restore"
                    shutil.rmtree(kept, ignore_errors=True)
                    (data_dir / name).rename(kept)
            tar.extractall(data_dir, members, filter="data")
            announce_restore(data_dir)
    return former

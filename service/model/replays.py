"""Replays: history applied once more, under today's rules. Times in ms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

ReplayState = Literal["running", "paused", "cancelled", "completed", "failed"]
ReplayAct = Literal["pause", "resume", "cancel"]
OVER: Final = frozenset({"cancelled", "completed", "failed"})


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay and how far it has come.

    Events that occurred from `since` until before `until`, of these types and schema versions (empty: all), with
    sequence numbers up to `upto`, the head's when it was asked for; those up to `after` are through. `corrects`: links
    that today's rules do not make any more are retracted at the end. `dry_run`: nothing is changed. `counts`: events by
    what became of them. `report`: JSON text, what a dry run found.
    `fingerprint`: of the request.
    """

    replay_id: str
    since: int | None
    until: int | None
    types: tuple[str, ...]
    versions: tuple[str, ...]
    dry_run: bool
    corrects: bool
    actor: str
    asked_at: int
    fingerprint: str = ""
    upto: int = 0
    state: ReplayState = "running"
    after: int = 0
    total: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    report: str | None = None
    ended_at: int | None = None
    reason: str | None = None

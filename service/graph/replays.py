"""Replays as they are kept: `(:Replay)`, and what the graph knows of the events that they go through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import orjson
from neo4j import AsyncDriver

from service.graph.driver import rows_of
from service.model.identifiers import LinkId
from service.model.replays import Replay, ReplayAct

# The head is read after the lock that its number is written under is free again, so all up to it is committed.
CREATE: LiteralString = """
MATCH (h:Head {id: 'head'}) SET h.looked = null
WITH h MERGE (r:Replay {id: $replay.id})
ON CREATE SET r = $replay, r.upto = h.seq, r.asked_at = timestamp(), r.new = true
WITH r, r.new IS NOT NULL AS is_new REMOVE r.new
RETURN properties(r) AS replay, is_new
"""
FIND: LiteralString = "MATCH (r:Replay {id: $id}) RETURN properties(r) AS replay"
LIST: LiteralString = """
MATCH (r:Replay) WHERE r.asked_at < $before RETURN properties(r) AS replay ORDER BY r.asked_at DESC LIMIT $limit
"""
NEXT: LiteralString = """
MATCH (r:Replay {state: 'running'}) RETURN properties(r) AS replay ORDER BY r.asked_at LIMIT 1
"""
ACT: LiteralString = """
MATCH (r:Replay {id: $id}) SET r.acted_at = timestamp()
WITH r SET r.state = CASE WHEN r.state IN $before THEN $after ELSE r.state END,
           r.ended_at = CASE WHEN r.state = 'cancelled' THEN coalesce(r.ended_at, timestamp()) ELSE r.ended_at END
RETURN properties(r) AS replay
"""
ADVANCE: LiteralString = """
MATCH (r:Replay {id: $id}) SET r.acted_at = timestamp()
WITH r WHERE r.state = 'running' SET r += $more
SET r.ended_at = CASE WHEN r.state = 'running' THEN null ELSE timestamp() END
RETURN r.id AS id
"""
MADE: LiteralString = """
UNWIND $seqs AS seq MATCH (e:Event {seq: seq}) WHERE e.links IS NOT NULL RETURN seq, e.links AS links
"""
COUNT_WAITING: LiteralString = "MATCH (e:Unrecorded) WHERE e.seq > 0 AND e.seq <= $upto RETURN count(e) AS count"
_ACTS: dict[ReplayAct, tuple[list[str], str]] = {
    "pause": (["running"], "paused"),
    "resume": (["paused"], "running"),
    "cancel": (["running", "paused"], "cancelled"),
}


class GraphReplays:
    """See `service.commands.replays.ReplayStore`. Raises StoreUnavailable."""

    def __init__(self, driver: AsyncDriver, database: str) -> None:
        self._driver = driver
        self._database = database

    async def _rows(self, query: LiteralString, **parameters: Any) -> list[Any]:
        return await rows_of(self._driver, self._database, query, parameters)

    async def create(self, replay: Replay) -> tuple[Replay, bool]:
        """Keep a new one, which ends at the head as it is now; or the one that is there, and False."""
        row = {
            "id": replay.replay_id,
            "since": replay.since,
            "until": replay.until,
            "types": list(replay.types),
            "versions": list(replay.versions),
            "dry_run": replay.dry_run,
            "corrects": replay.corrects,
            "actor": replay.actor,
            "state": replay.state,
            "after": replay.after,
            "fingerprint": replay.fingerprint,
        }
        (found,) = await self._rows(CREATE, replay=row)
        return _replay(found["replay"]), found["is_new"]

    async def find(self, replay_id: str) -> Replay | None:
        """One replay."""
        rows = await self._rows(FIND, id=replay_id)
        return _replay(rows[0]["replay"]) if rows else None

    async def newest(self, before: int, limit: int) -> list[Replay]:
        """Replays asked for before a time (ms), the newest first."""
        return [_replay(row["replay"]) for row in await self._rows(LIST, before=before, limit=limit)]

    async def next_running(self) -> Replay | None:
        """The oldest that is to be carried out."""
        rows = await self._rows(NEXT)
        return _replay(rows[0]["replay"]) if rows else None

    async def act(self, replay_id: str, act: ReplayAct) -> Replay | None:
        """Pause, resume or cancel; one that is in no state for it stays as it is."""
        before, after = _ACTS[act]
        rows = await self._rows(ACT, id=replay_id, before=before, after=after)
        return _replay(rows[0]["replay"]) if rows else None

    async def advance(self, replay_id: str, more: Mapping[str, Any]) -> bool:
        """Note how far a running one has come; False where it is not running any more."""
        row = dict(more)
        if "counts" in row:
            row["counts"] = orjson.dumps(row["counts"]).decode()
        return bool(await self._rows(ADVANCE, id=replay_id, more=row))

    async def made(self, seqs: Sequence[int]) -> dict[int, list[LinkId]]:
        """The links that each of these events spoke for when it was recorded."""
        return {row["seq"]: [LinkId(one) for one in row["links"]] for row in await self._rows(MADE, seqs=list(seqs))}

    async def count_waiting(self, upto: int) -> int:
        """How many events are not in the record yet."""
        return int((await self._rows(COUNT_WAITING, upto=upto))[0]["count"])


def _replay(row: Mapping[str, Any]) -> Replay:
    return Replay(
        row["id"],
        row.get("since"),
        row.get("until"),
        tuple(row["types"]),
        tuple(row["versions"]),
        row["dry_run"],
        row["corrects"],
        row["actor"],
        row["asked_at"],
        row["fingerprint"],
        row["upto"],
        row["state"],
        row["after"],
        row.get("total"),
        orjson.loads(row["counts"]) if row.get("counts") else {},
        row.get("report"),
        row.get("ended_at"),
        row.get("reason"),
    )

"""Events in the graph: `(:Event)-[:OF]->(:Identifier)`, `(:Quarantined)-[:MENTIONS]->(:Mention)`, schemas, senders.

An event's key and digest stay for ever, so that it is known again. Its body is there until the record has taken it
(label `Unrecorded`); one that named somebody erased has the label `ErasedEvent` until the record has deleted its row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, LiteralString

import orjson

from service.commands.capture import Capture, Captured, CaptureLoaded, CaptureWanted
from service.control.tombstones import Tombstones
from service.graph.queries import KEPT_PLAN
from service.model.events import EventError, KnownEvent, Quarantined, SenderState

Row = dict[str, Any]
Rows = Callable[..., Awaitable[list[Any]]]

# Lists are in one map: a plan for each combination of their sizes would be made anew (`queries.LOAD`).
LOAD_CAPTURE: LiteralString = (
    KEPT_PLAN
    + """
CALL () { UNWIND $capture.events AS key MATCH (e:Event {key: key})
          RETURN collect([e.key, e.digest, e.seq, coalesce(e.erased, false)]) AS events }
CALL () { UNWIND $capture.senders AS name MATCH (s:Sender {name: name})
          RETURN collect([s.source, s.sender, s.highest, s.seen_at, s.missing, s.lost]) AS senders }
CALL () { UNWIND $capture.quarantined AS id MATCH (q:Quarantined {id: id})
          RETURN collect(properties(q)) AS quarantined }
CALL () { UNWIND $capture.schemas AS name MATCH (s:EventSchema {name: name})
          RETURN collect([s.name, s.document]) AS schemas }
RETURN events, senders, quarantined, schemas
"""
)

# `about`: the identifiers that there are by now; the turn has written them before.
WRITE_CAPTURE: LiteralString = (
    KEPT_PLAN
    + """
CALL () {
  UNWIND $capture.events AS row
  CREATE (e:Event) SET e = row.event
  FOREACH (_ IN row.waits | SET e:Unrecorded)
  WITH e, row UNWIND row.about AS key
  MATCH (i:Identifier {key: key})
  CREATE (e)-[:OF]->(i)
}
CALL () {
  UNWIND $capture.quarantined AS row
  MERGE (q:Quarantined {id: row.kept.id}) SET q += row.kept
  WITH q, row UNWIND row.mentions AS id
  MERGE (m:Mention {id: id}) MERGE (q)-[:MENTIONS]->(m)
}
CALL () { UNWIND $capture.senders AS row MERGE (s:Sender {name: row.name}) SET s += row }
CALL () { UNWIND $capture.schemas AS row CREATE (s:EventSchema) SET s = row }
FINISH
"""
)

# ---- erasure: `$of` as in `service.graph.erasing`

ERASE_EVENTS: Final[LiteralString] = """
MATCH (e:Event)-[:OF]->(:Identifier {key: $of.key})
SET e.body = null, e.erased = true, e.links = null, e.consents = null, e:ErasedEvent
REMOVE e:Unrecorded
WITH DISTINCT e MATCH (e)-[o:OF]->() DELETE o
"""
ERASE_QUARANTINED: Final[LiteralString] = """
MATCH (m:Mention {id: $of.tombstone})
OPTIONAL MATCH (q:Quarantined)-[:MENTIONS]->(m)
SET q.body = null
WITH DISTINCT m DETACH DELETE m
"""


def row_of_event(captured: Captured) -> Row:
    """`{"event": properties, "waits": [] or [true], "about": keys}`."""
    event = captured.event
    return {
        "event": {
            "key": event.key,
            "digest": event.digest,
            "seq": event.seq,
            "at": event.recorded_at,
            "occurred_at": event.occurred_at,
            "received_at": event.received_at,
            "type": event.type,
            "version": event.schema_version,
            "links": list(captured.links) or None,
            "consents": list(captured.consents) or None,
            "resubmits": captured.resubmits,
            "flags": list(event.flags) or None,
            "granularity": event.granularity,
            "retention": event.retention,
            "body": captured.body or None,
        },
        "waits": [True] if captured.body else [],
        "about": list(captured.about),
    }


def quarantined_of(row: Row) -> Quarantined:
    """A quarantined event as stored; `mentions` are not read back."""
    return Quarantined(
        row["id"],
        row.get("source"),
        row.get("event_id"),
        row.get("type"),
        row.get("schema"),
        row["received_at"],
        tuple(EventError(*error) for error in orjson.loads(row["errors"])),
        row.get("body"),
        (),
        row.get("times", 1),
        row.get("status", "open"),
        row.get("event"),
        row.get("seq"),
    )


def _row_of_quarantined(kept: Quarantined, tombstones: Tombstones) -> Row:
    return {
        "kept": {
            "id": kept.quarantine_id,
            "seq": kept.seq,
            "source": kept.source,
            "event_id": kept.event_id,
            "type": kept.type,
            "schema": kept.schema,
            "received_at": kept.received_at,
            "errors": orjson.dumps([list(error) for error in kept.errors]).decode(),
            "body": kept.body,
            "times": kept.times,
            "status": kept.status,
            "event": kept.event,
        },
        "mentions": [tombstones(key) for key in kept.mentions],
    }


def sender_of(source: str, sender: str, highest: int, seen_at: int, missing: str, lost: int) -> SenderState:
    """What came of a sender, as stored."""
    ranges = tuple((first, last) for first, last in orjson.loads(missing))
    return SenderState(source, sender, highest, seen_at, ranges, lost)


def _row_of_sender(state: SenderState) -> Row:
    return {
        "name": sender_name(state.source, state.sender),
        "source": state.source,
        "sender": state.sender,
        "highest": state.highest,
        "seen_at": state.seen_at,
        "missing": orjson.dumps(state.missing).decode(),
        "lost": state.lost,
    }


def sender_name(source: str, sender: str) -> str:
    """What a sender is known by."""
    return f"{source}\n{sender}"


async def load_capture(rows: Rows, wanted: CaptureWanted) -> CaptureLoaded:
    """What `wanted` names, as it stands under the lock; one round trip."""
    (row,) = await rows(
        LOAD_CAPTURE,
        capture={
            "events": list(wanted.events),
            "senders": [sender_name(*sender) for sender in wanted.senders],
            "quarantined": list(wanted.quarantined),
            "schemas": list(wanted.schemas),
        },
    )
    states = [sender_of(*columns) for columns in row["senders"]]
    return CaptureLoaded(
        {key: KnownEvent(digest, seq, erased) for key, digest, seq, erased in row["events"]},
        {(state.source, state.sender): state for state in states},
        {kept["id"]: quarantined_of(kept) for kept in row["quarantined"]},
        dict(row["schemas"]),
    )


def rows_of_capture(capture: Capture, at: int, tombstones: Tombstones) -> Row:
    """What a turn captured, as the parameter `capture` has it."""
    changed = [capture.quarantined[quarantine_id] for quarantine_id in sorted(capture.quarantined_changed)]
    senders = [capture.senders[sender] for sender in sorted(capture.senders_changed)]
    return {
        "events": [row_of_event(captured) for captured in capture.captured],
        "quarantined": [_row_of_quarantined(kept, tombstones) for kept in changed if kept is not None],
        "senders": [_row_of_sender(state) for state in senders if state is not None],
        "schemas": [{"name": name, "document": text, "at": at} for name, text in capture.schemas_new.items()],
    }


async def plan_capture(rows: Rows, transaction_run: Callable[..., Awaitable[Any]]) -> None:
    """Have both statements planned before anybody waits for them: they run on nothing."""
    none: Row = {name: [] for name in ("events", "quarantined", "senders", "schemas")}
    await rows(LOAD_CAPTURE, capture=none)
    await (await transaction_run(WRITE_CAPTURE, {"capture": none})).consume()

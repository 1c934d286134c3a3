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
from service.model.events import EventError, KnownEvent, Quarantined, SenderState

Row = dict[str, Any]
Rows = Callable[..., Awaitable[list[Any]]]
Run = Callable[..., Awaitable[None]]

LOAD_EVENTS: LiteralString = """
UNWIND $keys AS key MATCH (e:Event {key: key})
RETURN e.key AS key, e.digest AS digest, e.seq AS seq, coalesce(e.erased, false) AS erased
"""
LOAD_SENDERS: LiteralString = """
UNWIND $names AS name MATCH (s:Sender {name: name})
RETURN s.source AS source, s.sender AS sender, s.highest AS highest, s.seen_at AS seen_at, s.missing AS missing,
       s.lost AS lost
"""
LOAD_QUARANTINED: LiteralString = """
UNWIND $ids AS id MATCH (q:Quarantined {id: id}) RETURN properties(q) AS kept
"""
LOAD_SCHEMAS: LiteralString = """
UNWIND $names AS name MATCH (s:EventSchema {name: name}) RETURN s.name AS name, s.document AS document
"""

# `about`: the identifiers that there are by now; the turn has written them before.
WRITE_EVENTS: LiteralString = """
UNWIND $rows AS row
CREATE (e:Event) SET e = row.event
FOREACH (_ IN row.waits | SET e:Unrecorded)
WITH e, row UNWIND row.about AS key
MATCH (i:Identifier {key: key})
CREATE (e)-[:OF]->(i)
"""
WRITE_QUARANTINED: LiteralString = """
UNWIND $rows AS row
MERGE (q:Quarantined {id: row.kept.id}) SET q += row.kept
WITH q, row UNWIND row.mentions AS id
MERGE (m:Mention {id: id}) MERGE (q)-[:MENTIONS]->(m)
"""
WRITE_SENDERS: LiteralString = "UNWIND $rows AS row MERGE (s:Sender {name: row.name}) SET s += row"
WRITE_SCHEMAS: LiteralString = "UNWIND $rows AS row CREATE (s:EventSchema) SET s = row"

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


def sender_of(row: Any) -> SenderState:
    """What came of a sender, as stored."""
    missing = tuple((first, last) for first, last in orjson.loads(row["missing"]))
    return SenderState(row["source"], row["sender"], row["highest"], row["seen_at"], missing, row["lost"])


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
    """What `wanted` names, as it stands under the lock."""
    loaded = CaptureLoaded()
    if wanted.events:
        found = await rows(LOAD_EVENTS, keys=list(wanted.events))
        loaded.events = {row["key"]: KnownEvent(row["digest"], row["seq"], row["erased"]) for row in found}
    if wanted.senders:
        states = [sender_of(row) for row in await rows(LOAD_SENDERS, names=[sender_name(*s) for s in wanted.senders])]
        loaded.senders = {(state.source, state.sender): state for state in states}
    if wanted.quarantined:
        found = await rows(LOAD_QUARANTINED, ids=list(wanted.quarantined))
        loaded.quarantined = {row["kept"]["id"]: quarantined_of(row["kept"]) for row in found}
    if wanted.schemas:
        found = await rows(LOAD_SCHEMAS, names=list(wanted.schemas))
        loaded.schemas = {row["name"]: row["document"] for row in found}
    return loaded


async def write_capture(run: Run, capture: Capture, at: int, tombstones: Tombstones) -> None:
    """Write what a turn captured; its identifiers must have been written. At most one round trip for each kind."""
    await run(WRITE_EVENTS, [row_of_event(captured) for captured in capture.captured])
    changed = [capture.quarantined[quarantine_id] for quarantine_id in sorted(capture.quarantined_changed)]
    await run(WRITE_QUARANTINED, [_row_of_quarantined(kept, tombstones) for kept in changed if kept is not None])
    senders = [capture.senders[sender] for sender in sorted(capture.senders_changed)]
    await run(WRITE_SENDERS, [_row_of_sender(state) for state in senders if state is not None])
    schemas = [{"name": name, "document": text, "at": at} for name, text in capture.schemas_new.items()]
    await run(WRITE_SCHEMAS, schemas)

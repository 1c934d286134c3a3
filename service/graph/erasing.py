"""Blanks what the graph recorded of an erased identifier: every text and list that names it, and the identifier itself.

Runs in the transaction of the erasure, after the rest of it was written, so that the turn's own record is seen as well.
What names it is found through the profiles that it was ever in; nothing is searched for over the whole graph, but the
few webhooks that could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, LiteralString

import orjson
from neo4j import AsyncTransaction

from service.control.rewriting import events_without, mentions, view_without
from service.graph.events import ERASE_EVENTS, ERASE_QUARANTINED
from service.model.identifiers import IdentifierKey, parse_key

BURY: LiteralString = """
UNWIND $rows AS row MERGE (t:Tombstone {id: row.id}) SET t.at = row.at, t.base = row.base, t.consents = row.consents,
    t.seq = $seq
"""

# After a restore of an older backup: as the journal has it.
REBURY: LiteralString = """
UNWIND $rows AS row MERGE (t:Tombstone {id: row.id})
SET t.at = row.at, t.seq = row.seq, t.base = CASE WHEN coalesce(t.base, 0) < row.base THEN row.base ELSE t.base END
"""

# All parameters are in one map: a plan for each combination of sizes of lists would be made anew (`queries.LOAD`).

# Every profile that it was ever in; of a household also those of the identifiers linked to it.
_PROFILES: LiteralString = """
MATCH (i:Identifier {key: $of.key})
OPTIONAL MATCH (i)-[:IN|WAS_IN]->(p:Profile)
WITH i, collect(DISTINCT p.id) AS own
OPTIONAL MATCH (i)-[:LINK]-(:Identifier)-[:IN|WAS_IN]->(q:Profile) WHERE size(own) = 0
WITH own, collect(DISTINCT q.id) AS beside
RETURN own + beside AS ids
"""

_VIEWS: LiteralString = """
UNWIND $of.ids AS id MATCH (p:Profile {id: id})-[:WAS]->(v:Past) WHERE v.view CONTAINS $of.quoted
RETURN elementId(v) AS id, v.view AS view
"""
_SET_VIEWS: LiteralString = """
UNWIND $of.rows AS row MATCH (v:Past) WHERE elementId(v) = row.id SET v.view = row.view
WITH v WHERE v.view IS NULL DETACH DELETE v
"""

_TURNS: LiteralString = """
UNWIND $of.ids AS id MATCH (:Profile {id: id})-[:CHANGED]->(t:Turn)
WHERE any(item IN t.items WHERE item CONTAINS $of.quoted OR item CONTAINS $of.escaped)
RETURN DISTINCT t.seq AS seq, t.items AS items
"""
_SET_TURNS: LiteralString = "UNWIND $of.rows AS row MATCH (t:Turn {seq: row.seq}) SET t.items = row.items"

# Decisions and answers about a profile whose id the person was born with go too, whether they name it or not.
_BLANK_DECISIONS: LiteralString = """
UNWIND $of.ids AS id MATCH (p:Profile {id: id}) MATCH (d:Decision {profile: id})
WHERE p.born = $of.key OR d.body CONTAINS $of.named SET d.body = null, d.erased = true
"""
_BLANK_ANSWERS: LiteralString = """
MATCH (i:Identifier {key: $of.key})
CALL (i) { MATCH (x:Answer)-[:NAMES]->(i) RETURN x
           UNION UNWIND $of.ids AS id MATCH (x:Answer)-[:NAMES]->(p:Profile {id: id}) WHERE p.born = $of.key RETURN x }
SET x.body = null, x.status = 410
"""
_BLANK_IDS: LiteralString = """
UNWIND $of.ids AS id MATCH (p:Profile {id: id})
SET p.born = CASE WHEN p.born = $of.key THEN null ELSE p.born END,
    p.holder = CASE WHEN p.holder = $of.key THEN null ELSE p.holder END,
    p.held = CASE WHEN p.held IS NULL THEN null ELSE [x IN p.held WHERE NOT x ENDS WITH '|' + $of.key] END,
    p.hands = CASE WHEN p.hands IS NULL THEN null ELSE [x IN p.hands WHERE NOT x ENDS WITH '|' + $of.key] END
"""
_BLANK_ASSERTIONS: LiteralString = """
MATCH (a:Assertion)-[:ABOUT]->(:Identifier {key: $of.key})
SET a.reason = '', a.seniors = [x IN a.seniors WHERE x <> $of.key], a.named = [x IN a.named WHERE x <> $of.key],
    a.left = [x IN a.left WHERE x <> $of.key], a.right = [x IN a.right WHERE x <> $of.key],
    a.hand_id = CASE WHEN a.hand_to = $of.key THEN null ELSE a.hand_id END,
    a.hand_to = CASE WHEN a.hand_to = $of.key THEN null ELSE a.hand_to END
"""
_BLANK_REVOCATIONS: LiteralString = """
MATCH (v:Revocation)-[:OF]->(:Identifier {key: $of.key})
SET v.identifier = $of.tombstone, v.reason = '', v.nameless = true
"""
_DELETE_CONSENTS: LiteralString = """
MATCH (:Identifier {key: $of.key})-[:CONSENTED]->(c:Consent) DETACH DELETE c
"""
# What was sent stays on record, without whom it was decided on, and without what it would be sent from.
_BLANK_DELIVERIES: LiteralString = """
UNWIND $of.ids AS id MATCH (d:Delivery) WHERE d.profile = id AND d.asked = $of.key
SET d.asked = null, d.basis = null
"""
# Its links go with it, and what waited for a steward among them.
_DELETE: LiteralString = """
MATCH (i:Identifier {key: $of.key})
OPTIONAL MATCH (i)-[r:LINK]-() WHERE r.review IS NOT NULL
WITH i, count(DISTINCT r) AS reviews
MATCH (h:Head {id: 'head'}) SET h.reviews_open = coalesce(h.reviews_open, 0) - reviews
DETACH DELETE i
"""

_BLANKS: Final = (
    _BLANK_DECISIONS,
    _BLANK_ANSWERS,
    _BLANK_IDS,
    _BLANK_ASSERTIONS,
    _BLANK_REVOCATIONS,
    _DELETE_CONSENTS,
    ERASE_EVENTS,
    _BLANK_DELIVERIES,
    _DELETE,
)

_UNREAD: LiteralString = "MATCH (u:Unreadable) WHERE u.body IS NOT NULL RETURN u.key AS key, u.body AS body"
_BLANK_UNREAD: LiteralString = (
    "UNWIND $of.keys AS key MATCH (u:Unreadable {key: key}) SET u.body = null, u.webhook_id = ''"
)


async def blank(transaction: AsyncTransaction, key: IdentifierKey, tombstone: str) -> None:
    """Leave nothing that names the identifier but the tombstone, which is written already."""
    identifier = parse_key(key)
    of: dict[str, Any] = {
        "key": key,
        "tombstone": tombstone,
        "quoted": orjson.dumps(key).decode(),
        "escaped": orjson.dumps(identifier.value).decode()[1:-1],
        "named": orjson.dumps(identifier._asdict()).decode()[1:-1],
    }
    found = await _rows(transaction, _PROFILES, of)
    if found:
        of["ids"] = found[0]["ids"]
        views = await _rows(transaction, _VIEWS, of)
        of["rows"] = [{"id": row["id"], "view": view_without(row["view"], key)} for row in views]
        await _rows(transaction, _SET_VIEWS, of)
        turns = await _rows(transaction, _TURNS, of)
        of["rows"] = [{"seq": row["seq"], "items": events_without(row["items"], key)} for row in turns]
        for query in (_SET_TURNS, *_BLANKS):
            await _rows(transaction, query, of)
    await _rows(transaction, ERASE_QUARANTINED, of)
    unread = await _rows(transaction, _UNREAD, of)
    of["keys"] = [row["key"] for row in unread if mentions(bytes(row["body"]), key)]
    if of["keys"]:
        await _rows(transaction, _BLANK_UNREAD, of)


async def _rows(transaction: AsyncTransaction, query: LiteralString, of: Mapping[str, Any]) -> list[Any]:
    return [record async for record in await transaction.run(query, {"of": of})]


STATEMENTS: Final = (
    BURY,
    _PROFILES,
    _VIEWS,
    _SET_VIEWS,
    _TURNS,
    _SET_TURNS,
    *_BLANKS,
    ERASE_QUARANTINED,
    _BLANK_UNREAD,
)
_NOBODY: Final[dict[str, Any]] = {
    "key": "",
    "tombstone": "",
    "quoted": "-",
    "escaped": "-",
    "named": "-",
    "ids": [],
    "rows": [],
    "keys": [],
}


async def plan_ahead(transaction: AsyncTransaction, query: LiteralString) -> None:
    """Have one of the statements planned before anybody waits for it: it runs on nothing."""
    await (await transaction.run(query, {"of": _NOBODY, "rows": [], "seq": 0})).consume()

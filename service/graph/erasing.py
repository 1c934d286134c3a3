"""Blanks what the graph recorded of an erased identifier: every text and list that names it, and the identifier itself.

Runs in the transaction of the erasure, after the rest of it was written, so that the turn's own record is seen as well.
What names it is found through the profiles that it was ever in; nothing is searched for over the whole graph, but the
few webhooks that could not be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

import orjson
from neo4j import AsyncTransaction

from service.graph.rewriting import events_without, mentions, view_without
from service.model.identifiers import IdentifierKey, parse_key

BURY: LiteralString = """
UNWIND $rows AS row MERGE (t:Tombstone {id: row.id}) SET t.at = row.at, t.base = row.base, t.consents = row.consents,
    t.seq = $seq
"""

# Every profile that it was ever in; of a household also those of the identifiers linked to it.
_PROFILES: LiteralString = """
MATCH (i:Identifier {key: $key})
OPTIONAL MATCH (i)-[:IN|WAS_IN]->(p:Profile)
WITH i, collect(DISTINCT p.id) AS own
OPTIONAL MATCH (i)-[:LINK]-(:Identifier)-[:IN|WAS_IN]->(q:Profile) WHERE size(own) = 0
WITH own, collect(DISTINCT q.id) AS beside
RETURN own + beside AS ids
"""

_VIEWS: LiteralString = """
UNWIND $ids AS id MATCH (p:Profile {id: id})-[:WAS]->(v:Past) WHERE v.view CONTAINS $quoted
RETURN elementId(v) AS id, v.view AS view
"""
_SET_VIEWS: LiteralString = """
UNWIND $rows AS row MATCH (v:Past) WHERE elementId(v) = row.id SET v.view = row.view
"""
_DELETE_EMPTY: LiteralString = """
UNWIND $rows AS row MATCH (v:Past) WHERE elementId(v) = row.id AND v.view IS NULL DETACH DELETE v
"""

_TURNS: LiteralString = """
UNWIND $ids AS id MATCH (:Profile {id: id})-[:CHANGED]->(t:Turn)
WHERE any(item IN t.items WHERE item CONTAINS $quoted OR item CONTAINS $escaped)
RETURN DISTINCT t.seq AS seq, t.items AS items
"""
_SET_TURNS: LiteralString = "UNWIND $rows AS row MATCH (t:Turn {seq: row.seq}) SET t.items = row.items"

# Decisions and answers about a profile whose id the person was born with go too, whether they name it or not.
_BLANK_DECISIONS: LiteralString = """
UNWIND $ids AS id MATCH (p:Profile {id: id}) MATCH (d:Decision {profile: id})
WHERE p.born = $key OR d.body CONTAINS $named SET d.body = null, d.erased = true
"""
_BLANK_ANSWERS: LiteralString = """
MATCH (i:Identifier {key: $key})
CALL (i) { MATCH (x:Answer)-[:NAMES]->(i) RETURN x
           UNION UNWIND $ids AS id MATCH (x:Answer)-[:NAMES]->(p:Profile {id: id}) WHERE p.born = $key RETURN x }
SET x.body = null, x.status = 410
"""
_BLANK_IDS: LiteralString = """
UNWIND $ids AS id MATCH (p:Profile {id: id})
SET p.born = CASE WHEN p.born = $key THEN null ELSE p.born END,
    p.holder = CASE WHEN p.holder = $key THEN null ELSE p.holder END,
    p.held = CASE WHEN p.held IS NULL THEN null ELSE [x IN p.held WHERE NOT x ENDS WITH '|' + $key] END,
    p.hands = CASE WHEN p.hands IS NULL THEN null ELSE [x IN p.hands WHERE NOT x ENDS WITH '|' + $key] END
"""
_BLANK_ASSERTIONS: LiteralString = """
MATCH (a:Assertion)-[:ABOUT]->(:Identifier {key: $key})
SET a.reason = '', a.seniors = [x IN a.seniors WHERE x <> $key], a.named = [x IN a.named WHERE x <> $key],
    a.left = [x IN a.left WHERE x <> $key], a.right = [x IN a.right WHERE x <> $key],
    a.hand_id = CASE WHEN a.hand_to = $key THEN null ELSE a.hand_id END,
    a.hand_to = CASE WHEN a.hand_to = $key THEN null ELSE a.hand_to END
"""
_BLANK_REVOCATIONS: LiteralString = """
MATCH (v:Revocation)-[:OF]->(:Identifier {key: $key})
SET v.identifier = $tombstone, v.reason = '', v.nameless = true
"""
_DELETE_CONSENTS: LiteralString = """
MATCH (:Identifier {key: $key})-[:CONSENTED]->(c:Consent) DETACH DELETE c
"""
# Its links go with it, and what waited for a steward among them.
_DELETE: LiteralString = """
MATCH (i:Identifier {key: $key})
OPTIONAL MATCH (i)-[r:LINK]-() WHERE r.review IS NOT NULL
WITH i, count(DISTINCT r) AS reviews
MATCH (h:Head {id: 'head'}) SET h.reviews_open = coalesce(h.reviews_open, 0) - reviews
DETACH DELETE i
"""

_UNREAD: LiteralString = "MATCH (u:Unreadable) WHERE u.body IS NOT NULL RETURN u.key AS key, u.body AS body"
_BLANK_UNREAD: LiteralString = (
    "UNWIND $keys AS key MATCH (u:Unreadable {key: key}) SET u.body = null, u.webhook_id = ''"
)


async def blank(transaction: AsyncTransaction, key: IdentifierKey, tombstone: str) -> None:
    """Leave nothing that names the identifier but the tombstone, which is written already."""
    value = parse_key(key).value
    quoted = orjson.dumps(key).decode()
    escaped = orjson.dumps(value).decode()[1:-1]
    named = orjson.dumps(parse_key(key)._asdict()).decode()[1:-1]

    async def rows(query: LiteralString, **parameters: Any) -> list[Any]:
        found = await transaction.run(query, {"key": key, "ids": ids, **parameters})
        return [record async for record in found]

    ids: Sequence[str] = ()
    found = await rows(_PROFILES)
    if found:
        ids = found[0]["ids"]
        views = await rows(_VIEWS, quoted=quoted)
        kept_views = [{"id": row["id"], "view": view_without(row["view"], key)} for row in views]
        await rows(_SET_VIEWS, rows=kept_views)
        await rows(_DELETE_EMPTY, rows=kept_views)
        turns = await rows(_TURNS, quoted=quoted, escaped=escaped)
        await rows(_SET_TURNS, rows=[{"seq": row["seq"], "items": events_without(row["items"], key)} for row in turns])
        await rows(_BLANK_DECISIONS, named=named)
        await rows(_BLANK_ANSWERS)
        await rows(_BLANK_IDS)
        await rows(_BLANK_ASSERTIONS)
        await rows(_BLANK_REVOCATIONS, tombstone=tombstone)
        await rows(_DELETE_CONSENTS)
        await rows(_DELETE)
    unread = await rows(_UNREAD)
    kept = [row["key"] for row in unread if mentions(bytes(row["body"]), key)]
    if kept:
        await rows(_BLANK_UNREAD, keys=kept)

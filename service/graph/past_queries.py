"""Cypher that reads what was recorded: the change feed, histories, what was believed at a time, the graph around."""

from __future__ import annotations

from typing import LiteralString

from service.graph.queries import LINK_COLUMNS

# The bound up to which outbox entries were moved out of the graph is read after them: what was gone then is below it.
READ_TURNS: LiteralString = """
CALL () {
    MATCH (t:Turn) WHERE t.seq > $after AND size(t.items) > 0 WITH t ORDER BY t.seq LIMIT $limit
    RETURN collect([t.seq, t.items]) AS turns
}
OPTIONAL MATCH (s:Sealed {id: 'sealed'}) RETURN turns, coalesce(s.turns, 0) AS bound
"""

READ_TURNS_OF: LiteralString = """
CALL () {
    MATCH (p:Profile {id: $id})-[c:CHANGED]->(t:Turn) WHERE c.seq < $before WITH t ORDER BY c.seq DESC LIMIT $limit
    RETURN collect([t.seq, t.items]) AS turns
}
OPTIONAL MATCH (s:Sealed {id: 'sealed'}) RETURN turns, coalesce(s.turns, 0) AS bound
"""

READ_HOLDER: LiteralString = "MATCH (p:Profile {id: $id}) RETURN p.holder AS holder, p.held AS held"

# Who was in which profile at which moment.
READ_MEMBERS_AT: LiteralString = """
UNWIND $rows AS row
MATCH (p:Profile {id: row.id})<-[r:IN|WAS_IN]-(i:Identifier)
WHERE r.since <= row.at AND (r.until IS NULL OR r.until > row.at)
RETURN row.id AS id, row.at AS at, collect(i.key) AS members
"""

READ_PROFILES_AT: LiteralString = """
UNWIND $keys AS asked
MATCH (i:Identifier {key: asked})-[r:IN|WAS_IN]->(p:Profile)
WHERE r.since <= $at AND (r.until IS NULL OR r.until > $at)
OPTIONAL MATCH (p)-[w:WAS]->(v:Past) WHERE w.since <= $at AND w.until > $at
WITH asked, p, v, p.since <= $at AND p.view IS NOT NULL AS present
WITH asked, p, CASE WHEN present THEN p.view ELSE v.view END AS view, CASE WHEN present THEN p.due END AS due
WHERE view IS NOT NULL
RETURN asked, p.id AS id, view, due
"""

READ_PAST_BOUND: LiteralString = "MATCH (s:Sealed {id: 'sealed'}) RETURN s.past AS bound"

# The two halves of READ_PROFILES_AT, for when one of them is not in the graph any more.
READ_STAYS_AT: LiteralString = """
UNWIND $keys AS key
MATCH (i:Identifier {key: key})-[r:IN|WAS_IN]->(p:Profile)
WHERE r.since <= $at AND (r.until IS NULL OR r.until > $at)
RETURN key, p.id AS id
"""

READ_VIEWS_AT: LiteralString = """
UNWIND $ids AS id
MATCH (p:Profile {id: id})
OPTIONAL MATCH (p)-[w:WAS]->(v:Past) WHERE w.since <= $at AND w.until > $at
WITH id, CASE WHEN p.since <= $at AND p.view IS NOT NULL THEN p.view ELSE v.view END AS view
WHERE view IS NOT NULL
RETURN id, view
"""

READ_ASSERTIONS_OF: LiteralString = """
MATCH (i:Identifier {key: $key})<-[:ABOUT]-(a:Assertion)
RETURN a.id AS id, a.kind AS kind, a.at AS at, a.at_ms AS at_ms, a.seniors AS seniors, a.named AS named,
       a.left AS left, a.right AS right, a.hand_id AS hand_id, a.hand_to AS hand_to, a.reason AS reason,
       a.actor AS actor, a.undone AS undone
ORDER BY a.at DESC LIMIT $limit
"""

READ_CONSENTS: LiteralString = "MATCH (i:Identifier {key: $key}) RETURN i.consents AS consents"

READ_SIGNALS: LiteralString = """
MATCH (:Identifier {key: $key})-[:CONSENTED]->(c:Consent) WHERE c.consent_id IN $ids AND c.signal IS NOT NULL
RETURN c.consent_id AS id, c.signal AS signal
"""

READ_HOUSEHOLD: LiteralString = """
MATCH (h:Identifier {key: $key}) WHERE h.first_seen IS NOT NULL
OPTIONAL MATCH (h)-[r:LINK WHERE r.inactive IS NULL]-(i:Identifier WHERE i.bar IS NULL)-[:IN]->(p:Profile)
RETURN h.key AS household, collect(DISTINCT p.id) AS profiles
"""

# What waits for a steward, the most worthwhile first; pairs that another way has joined meanwhile do not, nor those of
# which one may not be linked.
READ_OPEN_REVIEWS: LiteralString = (
    "MATCH (a:Identifier)-[r:LINK]->(b:Identifier) "
    "WHERE r.review <= $worth AND (r.review < $worth OR r.id > $after) AND coalesce(r.due > timestamp(), true) "
    "AND a.linking IS NULL AND b.linking IS NULL AND NOT EXISTS { MATCH (a)-[:IN]->(:Profile)<-[:IN]-(b) } "
    "WITH a, r, b ORDER BY r.review DESC, r.id LIMIT $limit RETURN "
    + LINK_COLUMNS
    + ", a.key, b.key] AS link, a.sides AS sides_a, b.sides AS sides_b"
)

COUNT_OPEN_REVIEWS: LiteralString = (
    "MATCH (a:Identifier)-[r:LINK]->(b:Identifier) WHERE r.review >= 0 AND coalesce(r.due > timestamp(), true) "
    "AND a.linking IS NULL AND b.linking IS NULL AND NOT EXISTS { MATCH (a)-[:IN]->(:Profile)<-[:IN]-(b) } "
    "RETURN count(r) AS count"
)

READ_CLOSED_REVIEWS: LiteralString = (
    "MATCH (a:Identifier)-[r:LINK]->(b:Identifier) WHERE r.reviewed = $verdict AND r.id > $after "
    "WITH a, r, b ORDER BY r.id LIMIT $limit RETURN "
    + LINK_COLUMNS
    + ", a.key, b.key] AS link, null AS sides_a, null AS sides_b"
)

READ_REVIEWS_AT: LiteralString = (
    "MATCH (i:Identifier {key: $key})-[r:LINK]-() "
    "WHERE r.reviewed IS NOT NULL OR r.review IS NOT NULL AND coalesce(r.due > timestamp(), true) "
    "WITH r, startNode(r) AS a, endNode(r) AS b "
    "WHERE r.reviewed IS NOT NULL OR a.linking IS NULL AND b.linking IS NULL "
    "AND NOT EXISTS { MATCH (a)-[:IN]->(:Profile)<-[:IN]-(b) } "
    "WITH a, r, b ORDER BY r.id LIMIT $limit RETURN "
    + LINK_COLUMNS
    + ", a.key, b.key] AS link, a.sides AS sides_a, b.sides AS sides_b"
)

# Every link at some identifiers but those taken back, with where the other end is now.
READ_LINKS_AT: LiteralString = (
    "UNWIND $keys AS key MATCH (k:Identifier {key: key})-[r:LINK]-(n:Identifier) WHERE r.retracted_at IS NULL "
    "OPTIONAL MATCH (n)-[:IN]->(q:Profile) WITH r, n, q LIMIT $limit RETURN "
    + LINK_COLUMNS
    + ", startNode(r).key, endNode(r).key] AS link, n.key AS other, q.id AS profile"
)

# Links between one identifier set and a profile, from the side that has fewer links.
READ_LINKS_BETWEEN: LiteralString = (
    "UNWIND $keys AS key MATCH (k:Identifier {key: key})-[r:LINK]-(n:Identifier)-[:IN]->(:Profile {id: $profile}) "
    "WHERE r.retracted_at IS NULL WITH DISTINCT r LIMIT $limit RETURN "
    + LINK_COLUMNS
    + ", startNode(r).key, endNode(r).key] AS link"
)

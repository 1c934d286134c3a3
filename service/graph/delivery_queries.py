"""Cypher about deliveries: read and written by turns, searched, counted."""

from __future__ import annotations

from typing import LiteralString

LOAD_DELIVERIES: LiteralString = "UNWIND $ids AS id MATCH (d:Delivery {id: id}) RETURN properties(d) AS d"

LOAD_LANES: LiteralString = """
UNWIND $lanes AS lane
CALL (lane) { MATCH (d:Delivery) WHERE d.lane = lane RETURN d ORDER BY d.order LIMIT 2 }
RETURN lane, properties(d) AS d
"""
LOAD_DESTINATIONS: LiteralString = (
    "UNWIND $names AS name MATCH (s:DestinationState {name: name}) RETURN properties(s) AS s"
)
LOAD_ASSIGNMENTS: LiteralString = (
    "UNWIND $places AS place MATCH (a:Assignment {place: place}) RETURN properties(a) AS a"
)
LOAD_RECORDS: LiteralString = "UNWIND $ids AS id MATCH (r:LegacyRecord {id: id}) RETURN r.id AS id, r.digest AS digest"
LOAD_COMPARISONS: LiteralString = (
    "UNWIND $places AS place MATCH (c:Comparison {place: place}) RETURN properties(c) AS c"
)
LOAD_RECEIVED: LiteralString = """
UNWIND $keys AS key
MATCH (:Identifier {key: key})-[:IN|WAS_IN]->(p:Profile)
WITH DISTINCT key, p.id AS id
MATCH (d:Delivery) WHERE d.profile = id AND (d.outcome IN ['delivered', 'accepted_unverified', 'uncertain']
    OR d.action = 'remove')
WITH key, d.destination AS destination, d
ORDER BY d.order DESC
WITH key, destination, collect(d) AS all
RETURN key, destination, all[0].profile AS profile,
    reduce(n = -1, d IN all | CASE WHEN d.action = 'send' AND d.order > n THEN d.order ELSE n END) AS sent,
    reduce(n = -1, d IN all | CASE WHEN d.action = 'remove' AND d.order > n THEN d.order ELSE n END) AS removed
"""

WRITE_DELIVERIES: LiteralString = "UNWIND $rows AS row MERGE (d:Delivery {id: row.id}) SET d = row"
WRITE_DESTINATIONS: LiteralString = "UNWIND $rows AS row MERGE (s:DestinationState {name: row.name}) SET s = row"
WRITE_ASSIGNMENTS: LiteralString = "UNWIND $rows AS row MERGE (a:Assignment {place: row.place}) SET a = row"
WRITE_RECORDS: LiteralString = "UNWIND $rows AS row CREATE (r:LegacyRecord) SET r = row"
WRITE_COMPARISONS: LiteralString = "UNWIND $rows AS row MERGE (c:Comparison {place: row.place}) SET c = row"
WRITE_EXPLANATIONS: LiteralString = "UNWIND $rows AS row CREATE (x:Explanation) SET x = row"
WRITE_STEPS: LiteralString = "UNWIND $rows AS row CREATE (s:CutoverStep) SET s = row"
UNDO_STEPS: LiteralString = (
    "UNWIND $rows AS row MATCH (s:CutoverStep {destination: row.destination, at: row.at}) SET s.undone = true"
)

WRITE_INTAKE: LiteralString = "UNWIND $rows AS row CREATE (i:Intake) SET i = row"

# ---- the loop

READ_DUE: LiteralString = """
OPTIONAL MATCH (s:DestinationState {name: $destination})
WITH coalesce(s.failures, 0) AS failures, coalesce(s.until, 0) AS until, coalesce(s.state, 'ok') AS state
WHERE until <= $now AND NOT state IN ['paused', 'setup_failed']
MATCH (d:Delivery) WHERE d.waits = $destination AND d.due <= $now
RETURN properties(d) AS d, failures ORDER BY d.due, d.order LIMIT $limit
"""
NEXT_DUE: LiteralString = "MATCH (d:Delivery) WHERE d.waits = $destination RETURN min(d.due) AS due"
READ_STATES: LiteralString = "MATCH (s:DestinationState) RETURN properties(s) AS s"

# ---- the history

READ_DELIVERY: LiteralString = "MATCH (d:Delivery {id: $id}) RETURN properties(d) AS d"

_REST: LiteralString = """
WHERE d.order < $before AND ($destination IS NULL OR d.destination = $destination)
    AND ($outcome IS NULL OR d.outcome = $outcome) AND ($since IS NULL OR d.at >= $since)
    AND ($until IS NULL OR d.at < $until) AND ($event IS NULL OR d.event = $event)
RETURN properties(d) AS d ORDER BY d.order DESC LIMIT $limit
"""
SEARCH: LiteralString = "MATCH (d:Delivery)" + _REST
SEARCH_DESTINATION: LiteralString = (
    "MATCH (d:Delivery) WHERE d.destination = $destination AND d.order >= 0 WITH d" + _REST
)
SEARCH_EVENT: LiteralString = "MATCH (d:Delivery) WHERE d.event = $event WITH d" + _REST
SEARCH_SUBJECT: LiteralString = (
    """
MATCH (:Identifier {key: $subject})-[r:IN|WAS_IN]->(p:Profile)
MATCH (d:Delivery) WHERE d.profile = p.id AND d.order >= 0
    AND r.since <= d.at AND (r.until IS NULL OR r.until > d.at)
WITH DISTINCT d
"""
    + _REST
)

COUNT_BY_DESTINATION: LiteralString = """
UNWIND $names AS name
CALL (name) { MATCH (d:Delivery) WHERE d.destination = name AND d.outcome IS NOT NULL AND d.action = 'send'
              RETURN d.outcome AS outcome, count(*) AS n }
RETURN name, outcome, n
"""
PENDING: LiteralString = """
UNWIND $names AS name
CALL (name) { MATCH (d:Delivery) WHERE d.destination = name AND d.outcome = 'pending'
              RETURN count(*) AS n, min(d.at) AS oldest }
RETURN name, n, oldest
"""
COUNT_SINCE: LiteralString = """
MATCH (d:Delivery) WHERE d.order >= 0 AND d.action = 'send' AND d.path = 'new'
    AND ($since IS NULL OR d.at >= $since) AND ($until IS NULL OR d.at < $until)
RETURN d.outcome AS outcome, count(*) AS n
"""
INTENDED_SINCE: LiteralString = """
MATCH (e:Audit) WHERE e.at >= $since AND e.at < $until AND e.action = 'delivery.intended'
    AND e.path = 'new'
RETURN count(*) AS n
"""

# ---- comparison

COUNT_SAME: LiteralString = """
MATCH (c:Comparison) WHERE c.destination = $destination AND c.same = true AND c.at >= $since AND c.at < $until
RETURN count(*) AS n
"""
READ_OTHERS: LiteralString = """
MATCH (c:Comparison) WHERE c.destination = $destination AND c.same = false AND c.at >= $since AND c.at < $until
RETURN properties(c) AS c ORDER BY c.at LIMIT $limit
"""
READ_EXPLANATIONS: LiteralString = (
    "MATCH (x:Explanation) WHERE x.destination = $destination RETURN properties(x) AS x ORDER BY x.at"
)
READ_STEPS: LiteralString = (
    "MATCH (s:CutoverStep) WHERE s.destination = $destination AND s.at >= 0 RETURN properties(s) AS s ORDER BY s.at"
)
READ_ROLLBACKS: LiteralString = """
MATCH (s:CutoverStep) WHERE s.kind <> 'step' AND s.at >= $since AND s.at < $until
RETURN properties(s) AS s ORDER BY s.at
"""
SAMPLE_ATTEMPTED: LiteralString = """
MATCH (d:Delivery) WHERE d.order >= 0 AND size(d.attempts) > 0 AND d.action = 'send'
    AND ($since IS NULL OR d.at >= $since) AND ($until IS NULL OR d.at < $until)
RETURN properties(d) AS d ORDER BY d.id LIMIT $limit
"""

COUNT_INTAKE: LiteralString = """
MATCH (i:Intake) WHERE i.at >= $since AND i.at < $until
RETURN sum(i.accepted) AS accepted, sum(i.duplicate) AS duplicate, sum(i.quarantined) AS quarantined,
    sum(i.lost) AS lost
"""
READ_EVENT: LiteralString = "MATCH (e:Event {key: $key}) WHERE e.erased IS NULL RETURN e.body AS body, e.seq AS seq"

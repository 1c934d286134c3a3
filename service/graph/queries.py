"""Every Cypher statement of the service, named. Parameters are lists, so that one round trip serves a whole turn."""

from __future__ import annotations

from typing import Final, LiteralString

# Columns of an identifier and of a link, in the order that `records` reads them.
_STATE: LiteralString = """[i.key, i.first_seen, i.last_seen, i.sources, i.neighbours, i.linking, i.sides, i.named,
        i.holds, i.handed, i.consents, i.erased_at, i.base, i.bar, i.barred_until, i.lasting, i.traits,
        i.linking_until"""
LINK_COLUMNS: LiteralString = """[r.id, r.method, r.confidence, r.source, r.rule, r.rule_version, r.observed_at,
        r.first_observed_at, r.expires_at, r.evidence, r.due, r.inactive, r.retracted_at, r.reviewed,
        r.withheld, r.review, r.assumed"""

# Plans of the statements that every request waits for are kept for good. Each is a walk from unique keys, so one made
# on an empty graph is as good as one made on a full one, while making it again, as Neo4j does each time the graph has
# grown by three quarters, takes up to a second of a core.
KEPT_PLAN: LiteralString = "CYPHER replan=skip "

TAKE_HEAD: LiteralString = (
    KEPT_PLAN
    + """
MATCH (h:Head {id: 'head'})
SET h.lock = $op
WITH h
OPTIONAL MATCH (t:Pending)
WITH h, t ORDER BY t.seq
RETURN h.seq AS seq, h.at AS at, h.audit_seq AS audit_seq, h.audit_hash AS audit_hash,
       h.policy_version AS policy_version, h.policy_since AS policy_since, h.policy_last AS policy_last,
       h.policy_former AS policy_former, h.policy_pass AS policy_pass,
       timestamp() AS now, collect([t.seq, t.drops]) AS pending,
       EXISTS { MATCH ()-[r:LINK]->() WHERE r.due <= timestamp() }
         OR EXISTS { MATCH (i:Identifier) WHERE i.linking_until <= timestamp() } AS due,
       EXISTS { MATCH (:Tombstone) } AS erased
"""
)

TURN_BY_OP: LiteralString = "MATCH (t:Turn {op: $op}) RETURN t.seq AS seq"

# One round trip for what most turns load. Each part answers with one list; a part that nothing is asked of costs
# nothing. `around`: identifiers whose whole profiles are wanted. All lists are in one map: Neo4j keeps a plan for each
# combination of the sizes of list parameters (none, one, ten, a hundred …), and making this one takes about a second.
LOAD: LiteralString = (
    KEPT_PLAN
    + "CALL () { UNWIND $wanted.keys AS key MATCH (i:Identifier {key: key}) OPTIONAL MATCH (i)-[:IN]->(p:Profile) "
    "RETURN collect(" + _STATE + ", p.id]) AS identifiers } "
    "CALL () { UNWIND $wanted.pairs AS pair MATCH (a:Identifier {key: pair[0]}), (b:Identifier {key: pair[1]}) "
    # The inner CALL looks from both ends: without it the planner walks all links of one, be it a kiosk with 100,000.
    "CALL (a, b) { MATCH (a)-[r:LINK]->(b) RETURN r } "
    "RETURN collect(" + LINK_COLUMNS + ", pair[0], pair[1]]) AS pair_links } "
    "CALL () { CALL () { UNWIND $wanted.profiles AS id MATCH (p:Profile {id: id}) RETURN p "
    "UNION UNWIND $wanted.around AS key MATCH (:Identifier {key: key})-[:IN]->(p:Profile) RETURN p } "
    "RETURN collect(p) AS profiles } "
    "CALL (profiles) { UNWIND profiles AS p MATCH (p)<-[:IN]-(i:Identifier) RETURN collect([p.due, p.audiences, "
    + _STATE
    + ", p.id]]) AS members } "
    # Links of members that bridge and those that wait for a steward, with what is known of an end outside the profile.
    "CALL (profiles) { UNWIND profiles AS p MATCH (p)<-[:IN]-(m:Identifier) WHERE m.bar IS NULL "
    "MATCH (m)-[r:LINK]-(i:Identifier) WHERE r.inactive IS NULL OR r.review IS NOT NULL "
    "OPTIONAL MATCH (i)-[:IN]->(q:Profile) "
    "WITH p, m, r, i, q WHERE q IS NULL OR q <> p OR m.key < i.key OR i.bar IS NOT NULL "
    "RETURN collect([" + LINK_COLUMNS + ", startNode(r).key, endNode(r).key], "
    "CASE WHEN q = p THEN null ELSE " + _STATE + ", q.id] END]) AS profile_links } "
    "RETURN identifiers, pair_links, members, profile_links"
)

LOAD_LINKS: LiteralString = (
    "UNWIND $ids AS id MATCH (a:Identifier)-[r:LINK {id: id}]->(b:Identifier) RETURN "
    + LINK_COLUMNS
    + ", a.key, b.key] AS link"
)

# Live links and the other ends of identifiers that bridge again, or whose right to be linked changes.
LOAD_LINKS_OF: LiteralString = (
    "UNWIND $keys AS key MATCH (k:Identifier {key: key})-[r:LINK]-(i:Identifier) "
    "WHERE r.inactive IS NULL OR r.inactive = 'link_not_permitted' OR r.review IS NOT NULL "
    "OPTIONAL MATCH (i)-[:IN]->(p:Profile) RETURN "
    + LINK_COLUMNS
    + ", startNode(r).key, endNode(r).key] AS link, "
    + _STATE
    + ", p.id] AS state"
)

# Links that follow from records, whatever became of them, and the other ends.
LOAD_MATCHED: LiteralString = (
    "UNWIND $keys AS key MATCH (k:Identifier {key: key})-[r:LINK]-(i:Identifier) WHERE r.source = 'matching' "
    "OPTIONAL MATCH (i)-[:IN]->(p:Profile) RETURN "
    + LINK_COLUMNS
    + ", startNode(r).key, endNode(r).key] AS link, "
    + _STATE
    + ", p.id] AS state"
)

# Of an identifier's active links, however many they are, only where they lead and when they end.
LOAD_ENDS_OF: LiteralString = """
UNWIND $keys AS key MATCH (:Identifier {key: key})-[r:LINK WHERE r.inactive IS NULL]-(i:Identifier)
OPTIONAL MATCH (i)-[:IN]->(p:Profile)
RETURN key, collect([r.id, i.key, r.due, p.id]) AS ends
"""

LOAD_IDS: LiteralString = """
UNWIND $ids AS id MATCH (p:Profile {id: id}) RETURN id, p.born AS born, p.hands AS hands
"""

LOAD_ASSERTIONS: LiteralString = """
UNWIND $ids AS id MATCH (a:Assertion {id: id})
RETURN a.id AS id, a.kind AS kind, a.at AS at, a.at_ms AS at_ms, a.seniors AS seniors, a.named AS named,
       a.left AS left, a.right AS right, a.hand_id AS hand_id, a.hand_to AS hand_to, a.reason AS reason,
       a.actor AS actor, a.undone AS undone
"""

LOAD_DUE: LiteralString = (
    "MATCH (a:Identifier)-[r:LINK]->(b:Identifier) WHERE r.due <= $now "
    "WITH a, r, b ORDER BY r.due LIMIT $limit RETURN " + LINK_COLUMNS + ", a.key, b.key] AS link"
)

LOAD_RUN_OUT: LiteralString = (
    "MATCH (i:Identifier) WHERE i.linking_until <= $now WITH i ORDER BY i.linking_until LIMIT $limit "
    "OPTIONAL MATCH (i)-[:IN]->(p:Profile) RETURN " + _STATE + ", p.id] AS identifier"
)

# Apart from LOAD, which is large enough: most graphs have no tombstones.
LOAD_TOMBS: LiteralString = """
UNWIND $wanted.tombstones AS id MATCH (t:Tombstone {id: id})
RETURN t.id AS id, t.at AS at, t.base AS base, t.consents AS consents
"""

# Of whom there is nothing but a tombstone.
LOAD_ERASED: LiteralString = """
UNWIND $rows AS row MATCH (t:Tombstone {id: row.tombstone})
WHERE NOT EXISTS { MATCH (:Identifier {key: row.key}) } RETURN row.key AS key
"""

LOAD_ANSWERS: LiteralString = """
UNWIND $keys AS key MATCH (x:Answer {key: key})
RETURN x.key AS key, x.fingerprint AS fingerprint, x.status AS status, x.body AS body
"""

CREATE_IDENTIFIERS: LiteralString = "UNWIND $rows AS row CREATE (i:Identifier) SET i = row"

UPDATE_IDENTIFIERS: LiteralString = """
UNWIND $rows AS row MATCH (i:Identifier {key: row.key}) SET i += row
"""

WRITE_PROFILES: LiteralString = """
UNWIND $rows AS row
MERGE (p:Profile {id: row.id}) ON CREATE SET p.born = row.born, p.holder = row.born
SET p.view = row.view, p.stamp = row.stamp, p.due = row.due, p.since = coalesce(row.since, p.since),
    p.audiences = row.audiences
"""

# What a profile looked like until its structure changed; before WRITE_PROFILES, which writes over it.
CLOSE_PROFILES: LiteralString = """
UNWIND $rows AS row
MATCH (p:Profile {id: row.id}) WHERE p.view IS NOT NULL AND p.since < row.closes_at
CREATE (p)-[:WAS {since: p.since, until: row.closes_at}]->(:Past {view: p.view})
"""

PASS_VERSIONS: LiteralString = """
UNWIND $rows AS row
MATCH (p:Profile {id: row.id})
CREATE (p)-[:WAS {since: row.since, until: row.until}]->(:Past {view: row.view})
"""

LOWER_DUES: LiteralString = """
UNWIND $rows AS row MATCH (p:Profile {id: row.id}) SET p.due = row.due
"""

LEAVE_PROFILES: LiteralString = """
UNWIND $rows AS row
MATCH (i:Identifier {key: row.key})-[in:IN]->(p:Profile)
CREATE (i)-[:WAS_IN {since: in.since, until: row.until}]->(p)
DELETE in
"""

PASS_PROFILES: LiteralString = """
UNWIND $rows AS row
MATCH (i:Identifier {key: row.key}), (p:Profile {id: row.profile})
CREATE (i)-[:WAS_IN {since: row.since, until: row.until}]->(p)
"""

JOIN_PROFILES: LiteralString = """
UNWIND $rows AS row
MATCH (i:Identifier {key: row.key}), (p:Profile {id: row.profile})
CREATE (i)-[:IN {since: row.since}]->(p)
"""

# Who is in an audience, beside the names that the profile carries.
WRITE_MEMBERSHIPS: LiteralString = """
UNWIND $rows AS row
MATCH (p:Profile {id: row.profile})
CALL (p, row) { UNWIND row.left AS name MATCH (p)-[m:MEMBER]->(:Audience {name: name}) DELETE m }
CALL (p, row) { UNWIND row.entered AS name MERGE (a:Audience {name: name}) MERGE (p)-[:MEMBER]->(a) }
"""

CREATE_LINKS: LiteralString = """
UNWIND $rows AS row
MATCH (a:Identifier {key: row.a}), (b:Identifier {key: row.b})
CREATE (a)-[r:LINK]->(b) SET r = row.link
"""

UPDATE_LINKS: LiteralString = """
UNWIND $rows AS row MATCH ()-[r:LINK {id: row.link.id}]->() SET r += row.link
"""

# An identifier that bridges nothing from now on: the reason goes to all its live links, loaded or not.
BAR_LINKS: LiteralString = """
UNWIND $rows AS row
MATCH (:Identifier {key: row.key})-[r:LINK]-() WHERE r.inactive IS NULL SET r.withheld = row.reason
"""

# `held`: who held the id before, each as `until|identifier`.
WRITE_IDS: LiteralString = """
UNWIND $rows AS row
MERGE (p:Profile {id: row.id}) ON CREATE SET p.born = row.born, p.holder = row.born
SET p.held = CASE WHEN p.holder = row.holder THEN p.held
                  ELSE coalesce(p.held, []) + [toString($at) + '|' + p.holder] END
SET p.hands = row.hands, p.holder = row.holder
"""

CREATE_ASSERTIONS: LiteralString = """
UNWIND $rows AS row
CREATE (a:Assertion) SET a = row.assertion
WITH a, row UNWIND row.about AS key
MATCH (i:Identifier {key: key}) CREATE (a)-[:ABOUT]->(i)
"""

UPDATE_ASSERTIONS: LiteralString = """
UNWIND $rows AS row MATCH (a:Assertion {id: row.assertion.id}) SET a += row.assertion
"""

CREATE_CONSENTS: LiteralString = """
UNWIND $rows AS row
MATCH (i:Identifier {key: row.key})
CREATE (i)-[:CONSENTED]->(c:Consent) SET c = row.consent
"""

CREATE_REVOCATIONS: LiteralString = """
UNWIND $rows AS row
CREATE (v:Revocation) SET v = row.revocation
WITH v, row MATCH (i:Identifier {key: row.key}) CREATE (v)-[:OF]->(i)
"""

CREATE_TURN: LiteralString = """
UNWIND $rows AS row
CREATE (t:Turn) SET t = row.turn
FOREACH (owed IN row.owed | SET t:Pending)
WITH t, row UNWIND row.profiles AS id
MATCH (p:Profile {id: id}) CREATE (p)-[:CHANGED {seq: t.seq}]->(t)
"""

CREATE_AUDIT: LiteralString = "UNWIND $rows AS row CREATE (e:Audit) SET e = row"

CREATE_DECISIONS: LiteralString = "UNWIND $rows AS row CREATE (d:Decision) SET d = row"

CREATE_ANSWERS: LiteralString = "UNWIND $rows AS row CREATE (x:Answer) SET x = row"

# Whom answers name, apart from the common write: it is large enough, and few answers are kept.
NAME_IDENTIFIERS: LiteralString = """
UNWIND $rows AS row MATCH (x:Answer {key: row.key}) UNWIND row.names AS name
MATCH (i:Identifier {key: name}) CREATE (x)-[:NAMES]->(i)
"""
NAME_PROFILES: LiteralString = """
UNWIND $rows AS row MATCH (x:Answer {key: row.key}) UNWIND row.names AS name
MATCH (p:Profile {id: name}) CREATE (x)-[:NAMES]->(p)
"""

ADVANCE_HEAD: LiteralString = """
UNWIND $rows AS row
MATCH (h:Head {id: 'head'})
SET h.reviews_open = coalesce(h.reviews_open, 0) + row.reviews_more
SET h.seq = row.seq, h.at = row.at, h.audit_seq = row.audit_seq, h.audit_hash = row.audit_hash
"""

MARK_DROPPED: LiteralString = """
UNWIND $rows AS seq MATCH (t:Pending {seq: seq}) REMOVE t:Pending REMOVE t.drops
"""

# What almost every turn writes, in one round trip: name of the rows in the map `$turn` → statement, in order. One map,
# since a plan for each combination of sizes would be made anew (see LOAD).
COMMON_WRITES: Final[dict[LiteralString, LiteralString]] = {
    "dropped": MARK_DROPPED,
    "identifiers_new": CREATE_IDENTIFIERS,
    "identifiers": UPDATE_IDENTIFIERS,
    "left": LEAVE_PROFILES,
    "closed": CLOSE_PROFILES,
    "profiles": WRITE_PROFILES,
    "joined": JOIN_PROFILES,
    "links_new": CREATE_LINKS,
    "links": UPDATE_LINKS,
    "turns": CREATE_TURN,
    "decisions": CREATE_DECISIONS,
    "entries": CREATE_AUDIT,
    "answers": CREATE_ANSWERS,
    "heads": ADVANCE_HEAD,
}

WRITE: LiteralString = (
    KEPT_PLAN
    + " ".join("CALL () {" + query.replace("$rows", "$turn." + rows) + "}" for rows, query in COMMON_WRITES.items())
    + " FINISH"
)

# ---- reads

READ_PROFILES: LiteralString = (
    KEPT_PLAN
    + """
UNWIND $asked AS key
MATCH (i:Identifier {key: key}) WHERE i.first_seen IS NOT NULL
OPTIONAL MATCH (i)-[:IN]->(p:Profile)
RETURN key AS asked, p.id AS id, p.stamp AS stamp, p.view AS view, p.due AS due
"""
)

READ_PROFILES_BY_ID: LiteralString = (
    KEPT_PLAN
    + """
UNWIND $asked AS id
MATCH (held:Profile {id: id})
OPTIONAL MATCH (:Identifier {key: held.holder})-[:IN]->(p:Profile)
RETURN id AS asked, p.id AS id, p.stamp AS stamp, p.view AS view, p.due AS due
"""
)

READ_LINK: LiteralString = (
    "MATCH (a:Identifier)-[r:LINK {id: $id}]->(b:Identifier) RETURN " + LINK_COLUMNS + ", a.key, b.key] AS link"
)

READ_REVOCATION: LiteralString = """
MATCH (v:Revocation {id: $id})
RETURN properties(v) AS revocation, EXISTS { MATCH (t:Pending) WHERE t.seq <= v.seq } AS pending
"""

READ_DECISION: LiteralString = "MATCH (d:Decision {id: $id}) RETURN d.body AS body"

READ_PENDING: LiteralString = "MATCH (t:Pending) RETURN t.seq AS seq, t.drops AS drops ORDER BY t.seq"

READ_FINGERPRINT: LiteralString = "MATCH (h:Head {id: 'head'}) RETURN h.identity_fingerprint AS fingerprint"

READ_ACTIVE_POLICY: LiteralString = """
MATCH (h:Head {id: 'head'}) WHERE h.policy_version > 0 RETURN h.policy_version AS version
"""

READ_POLICY: LiteralString = "MATCH (p:Policy {version: $version}) RETURN p.document AS document"

READ_SEQ: LiteralString = "MATCH (h:Head {id: 'head'}) RETURN h.seq AS seq"

ADVANCE_SEQ: LiteralString = """
MATCH (h:Head {id: 'head'}) SET h.seq = CASE WHEN h.seq < $seq THEN $seq ELSE h.seq END
"""

ANY_IDENTIFIER: LiteralString = "MATCH (i:Identifier) RETURN 1 AS found LIMIT 1"

IS_DUE: LiteralString = (
    "RETURN EXISTS { MATCH ()-[r:LINK]->() WHERE r.due <= timestamp() } "
    "OR EXISTS { MATCH (i:Identifier) WHERE i.linking_until <= timestamp() } AS due"
)

PING: LiteralString = "RETURN 1 AS one"

READ_TIME: LiteralString = "RETURN timestamp() AS now"

FOUND_GRAPH: LiteralString = """
MATCH (h:Head {id: 'head'})
SET h.lock = $fingerprint, h.identity_fingerprint = coalesce(h.identity_fingerprint, $fingerprint)
WITH h WHERE h.policy_version = 0
CREATE (:Policy {version: 1, document: $document, status: 'active', at: timestamp()})
SET h.policy_version = 1
"""

"""Cypher about policy versions, and about what a pass after an activation goes through."""

from __future__ import annotations

from typing import LiteralString

LOAD_VERSIONS: LiteralString = """
UNWIND $versions AS version MATCH (p:Policy {version: version})
RETURN p.version AS version, p.document AS document, p.status AS status, p.at AS at, p.activations AS activations
"""

# Keys of one namespace are a range of the index: from `crm_id:` up to, not including, `crm_id;`.
IN_USE: LiteralString = """
UNWIND $names AS name
CALL (name) {
  MATCH (i:Identifier) WHERE i.key >= name + ':' AND i.key < name + ';' RETURN true AS used LIMIT 1
}
RETURN name
"""

COUNTS: LiteralString = """
CALL () { MATCH ()-[r:LINK]->() RETURN count(r) AS links }
CALL () { MATCH (i:Identifier) RETURN count(i) AS identifiers }
RETURN links, identifiers
"""

STRETCH_OF_LINKS: LiteralString = """
MATCH ()-[r:LINK]->() WHERE r.id > $after RETURN r.id AS place ORDER BY r.id LIMIT $limit
"""

STRETCH_OF_KEYS: LiteralString = """
MATCH (i:Identifier) WHERE i.key > $after AND i.key < $end RETURN i.key AS place ORDER BY i.key LIMIT $limit
"""

STRETCH_OF_DOSSIERS: LiteralString = """
MATCH (d:Dossier) WHERE d.key > $after RETURN d.key AS place ORDER BY d.key LIMIT $limit
"""

CREATE_VERSIONS: LiteralString = "UNWIND $rows AS row CREATE (p:Policy) SET p = row"

# `activations`: each as `sequence number|time in ms`.
ACTIVATE: LiteralString = """
UNWIND $rows AS row
MATCH (h:Head {id: 'head'})
OPTIONAL MATCH (was:Policy {version: h.policy_version}) SET was.status = 'former'
WITH h, row
MATCH (p:Policy {version: row.version})
SET p.status = 'active', p.activations = coalesce(p.activations, []) + [row.activation]
"""

WRITE_DESK: LiteralString = """
UNWIND $rows AS row MATCH (h:Head {id: 'head'})
SET h.policy_version = row.version, h.policy_since = row.since, h.policy_last = row.last,
    h.policy_former = row.former, h.policy_pass = row.pass
"""

READ_HEAD: LiteralString = """
MATCH (h:Head {id: 'head'})
RETURN h.policy_version AS version, h.policy_since AS since, h.policy_last AS last, h.policy_former AS former,
       h.policy_pass AS pass
"""

READ_VERSIONS: LiteralString = """
MATCH (p:Policy) WHERE p.version < $before
RETURN p.version AS version, p.document AS document, p.status AS status, p.at AS at, p.activations AS activations
ORDER BY p.version DESC LIMIT $limit
"""

# What was in force at a time: the latest activation up to then; the first policy of a graph has none noted.
READ_IN_FORCE_AT: LiteralString = """
MATCH (p:Policy) UNWIND p.activations AS activation
WITH p.version AS version, toInteger(split(activation, '|')[1]) AS at
WHERE at <= $at RETURN version ORDER BY at DESC LIMIT 1
"""

READ_MEMBERS: LiteralString = """
MATCH (:Audience {name: $name})<-[:MEMBER]-(p:Profile) WHERE p.id > $after AND p.view IS NOT NULL
RETURN p.id AS id, p.stamp AS stamp, p.view AS view, p.due AS due ORDER BY p.id LIMIT $limit
"""

READ_SHOWN_PROFILES: LiteralString = """
MATCH (p:Profile) WHERE p.id > $after AND p.view IS NOT NULL
RETURN p.id AS id, p.stamp AS stamp, p.view AS view, p.due AS due ORDER BY p.id LIMIT $limit
"""

// Keys that are looked up, each unique. Statements end with a semicolon at the end of a line.

CREATE CONSTRAINT identifier_key IF NOT EXISTS FOR (i:Identifier) REQUIRE i.key IS UNIQUE;
CREATE CONSTRAINT profile_id IF NOT EXISTS FOR (p:Profile) REQUIRE p.id IS UNIQUE;
CREATE CONSTRAINT link_id IF NOT EXISTS FOR ()-[r:LINK]-() REQUIRE r.id IS UNIQUE;
CREATE CONSTRAINT assertion_id IF NOT EXISTS FOR (a:Assertion) REQUIRE a.id IS UNIQUE;
CREATE CONSTRAINT revocation_id IF NOT EXISTS FOR (v:Revocation) REQUIRE v.id IS UNIQUE;
CREATE CONSTRAINT turn_seq IF NOT EXISTS FOR (t:Turn) REQUIRE t.seq IS UNIQUE;
CREATE CONSTRAINT turn_op IF NOT EXISTS FOR (t:Turn) REQUIRE t.op IS UNIQUE;
CREATE CONSTRAINT audit_seq IF NOT EXISTS FOR (e:Audit) REQUIRE e.seq IS UNIQUE;
CREATE CONSTRAINT answer_key IF NOT EXISTS FOR (x:Answer) REQUIRE x.key IS UNIQUE;
CREATE CONSTRAINT policy_version IF NOT EXISTS FOR (p:Policy) REQUIRE p.version IS UNIQUE;
CREATE CONSTRAINT head_id IF NOT EXISTS FOR (h:Head) REQUIRE h.id IS UNIQUE;

// Due times: only links that can still expire carry one.
CREATE INDEX link_due IF NOT EXISTS FOR ()-[r:LINK]-() ON (r.due);
// The outbox: turns whose cache drops are not known to be through.
CREATE INDEX pending_seq IF NOT EXISTS FOR (t:Pending) ON (t.seq);
CREATE INDEX answer_at IF NOT EXISTS FOR (x:Answer) ON (x.at);
CREATE INDEX audit_subject IF NOT EXISTS FOR (e:Audit) ON (e.subject);

// The one node whose lock orders all writes.
MERGE (h:Head {id: 'head'}) ON CREATE SET h.seq = 0, h.at = 0, h.audit_seq = 0, h.audit_hash = '', h.policy_version = 0;

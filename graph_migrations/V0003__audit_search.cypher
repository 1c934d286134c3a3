// The audit is searched by subject (V0001), by time and by who acted.
CREATE INDEX audit_at IF NOT EXISTS FOR (e:Audit) ON (e.at);
CREATE INDEX audit_actor IF NOT EXISTS FOR (e:Audit) ON (e.actor);

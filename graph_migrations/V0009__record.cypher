// Who of several instances does what only one may; what the record of events still owes to erasures.
CREATE CONSTRAINT lease_name IF NOT EXISTS FOR (l:Lease) REQUIRE l.name IS UNIQUE;
CREATE INDEX revocation_seq IF NOT EXISTS FOR (v:Revocation) ON (v.seq);
// Replays, and what the quality of events was, hour by hour.
CREATE CONSTRAINT replay_id IF NOT EXISTS FOR (r:Replay) REQUIRE r.id IS UNIQUE;
CREATE INDEX replay_state IF NOT EXISTS FOR (r:Replay) ON (r.state);
CREATE CONSTRAINT quality_name IF NOT EXISTS FOR (q:Quality) REQUIRE q.name IS UNIQUE;
CREATE INDEX quality_hour IF NOT EXISTS FOR (q:Quality) ON (q.hour);

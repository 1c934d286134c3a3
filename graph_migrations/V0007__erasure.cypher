// What is left of erased identifiers: a keyed hash, and what is needed to keep them from coming back.
CREATE CONSTRAINT tombstone_id IF NOT EXISTS FOR (t:Tombstone) REQUIRE t.id IS UNIQUE;
CREATE INDEX tombstone_seq IF NOT EXISTS FOR (t:Tombstone) ON (t.seq);
// Requests of persons about their own data, by the id that the sender gave them.
CREATE CONSTRAINT subject_request_id IF NOT EXISTS FOR (q:SubjectRequest) REQUIRE q.id IS UNIQUE;

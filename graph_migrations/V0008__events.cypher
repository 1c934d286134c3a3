// Canonical events: known by source and id for ever, their bodies until the record has taken them.
CREATE CONSTRAINT event_key IF NOT EXISTS FOR (e:Event) REQUIRE e.key IS UNIQUE;
CREATE INDEX event_seq IF NOT EXISTS FOR (e:Event) ON (e.seq);
// Those with a body that waits for the record have a label of their own.
CREATE INDEX unrecorded_seq IF NOT EXISTS FOR (e:Unrecorded) ON (e.seq);
// Those whose rows the record still has to delete, since they named somebody erased.
CREATE INDEX erased_event_seq IF NOT EXISTS FOR (e:ErasedEvent) ON (e.seq);
// Events that could not be taken, and the keyed hashes of the identifiers that they mention.
CREATE CONSTRAINT quarantined_id IF NOT EXISTS FOR (q:Quarantined) REQUIRE q.id IS UNIQUE;
CREATE INDEX quarantined_seq IF NOT EXISTS FOR (q:Quarantined) ON (q.seq);
CREATE CONSTRAINT mention_id IF NOT EXISTS FOR (m:Mention) REQUIRE m.id IS UNIQUE;
// Published versions of schemas, and what came of each sender.
CREATE CONSTRAINT event_schema IF NOT EXISTS FOR (s:EventSchema) REQUIRE s.name IS UNIQUE;
CREATE CONSTRAINT sender_name IF NOT EXISTS FOR (s:Sender) REQUIRE s.name IS UNIQUE;

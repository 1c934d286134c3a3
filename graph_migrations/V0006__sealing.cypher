// Up to where audit entries, outbox entries and past intervals have been moved out of the graph; what is over is found by its end.
CREATE CONSTRAINT sealed_id IF NOT EXISTS FOR (s:Sealed) REQUIRE s.id IS UNIQUE;
CREATE INDEX was_until IF NOT EXISTS FOR ()-[w:WAS]-() ON (w.until);
CREATE INDEX was_in_until IF NOT EXISTS FOR ()-[w:WAS_IN]-() ON (w.until);

MERGE (s:Sealed {id: 'sealed'}) ON CREATE SET s.audit = 0, s.turns = 0, s.past = 0;

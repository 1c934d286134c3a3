// The review queue: links that wait for a steward carry what a decision on them is worth; decided ones the verdict.
CREATE INDEX link_review IF NOT EXISTS FOR ()-[r:LINK]-() ON (r.review);
CREATE INDEX link_reviewed IF NOT EXISTS FOR ()-[r:LINK]-() ON (r.reviewed);

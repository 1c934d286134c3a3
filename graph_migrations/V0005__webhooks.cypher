// Webhooks that are well signed and can't be read, kept for inspection, the oldest found to be removed.
CREATE CONSTRAINT unreadable_key IF NOT EXISTS FOR (u:Unreadable) REQUIRE u.key IS UNIQUE;
CREATE INDEX unreadable_received_at IF NOT EXISTS FOR (u:Unreadable) ON (u.received_at);

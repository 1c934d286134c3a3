// Identifiers whose grant of linking runs out are found by the time.
CREATE INDEX identifier_linking_until IF NOT EXISTS FOR (i:Identifier) ON (i.linking_until);

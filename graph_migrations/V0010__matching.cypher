// Records, kept as keyed encodings: one dossier an identifier, and the blocks in which they are compared.
CREATE CONSTRAINT dossier_key IF NOT EXISTS FOR (d:Dossier) REQUIRE d.key IS UNIQUE;
CREATE CONSTRAINT block_key IF NOT EXISTS FOR (b:Block) REQUIRE b.key IS UNIQUE;
// Models of matching, by name and version.
CREATE CONSTRAINT model_id IF NOT EXISTS FOR (m:Model) REQUIRE m.id IS UNIQUE;
CREATE INDEX model_name IF NOT EXISTS FOR (m:Model) ON (m.name);

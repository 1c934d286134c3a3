// Decisions as they were answered, read by id. By profile for the day when the person is erased.
CREATE CONSTRAINT decision_id IF NOT EXISTS FOR (d:Decision) REQUIRE d.id IS UNIQUE;
CREATE INDEX decision_profile IF NOT EXISTS FOR (d:Decision) ON (d.profile);

// Deliveries: by id, those that wait by destination and due time, those of a lane in their order, by person and event.
CREATE CONSTRAINT delivery_id IF NOT EXISTS FOR (d:Delivery) REQUIRE d.id IS UNIQUE;
CREATE INDEX delivery_waits IF NOT EXISTS FOR (d:Delivery) ON (d.waits, d.due);
CREATE INDEX delivery_lane IF NOT EXISTS FOR (d:Delivery) ON (d.lane, d.order);
CREATE INDEX delivery_profile IF NOT EXISTS FOR (d:Delivery) ON (d.profile, d.order);
CREATE INDEX delivery_event IF NOT EXISTS FOR (d:Delivery) ON (d.event);
CREATE INDEX delivery_outcome IF NOT EXISTS FOR (d:Delivery) ON (d.destination, d.outcome);
CREATE INDEX delivery_order IF NOT EXISTS FOR (d:Delivery) ON (d.order);
CREATE INDEX delivery_destination IF NOT EXISTS FOR (d:Delivery) ON (d.destination, d.order);
// How destinations are doing, who owns whom there, and what the old stack sent.
CREATE CONSTRAINT destination_name IF NOT EXISTS FOR (s:DestinationState) REQUIRE s.name IS UNIQUE;
CREATE CONSTRAINT assignment_place IF NOT EXISTS FOR (a:Assignment) REQUIRE a.place IS UNIQUE;
CREATE CONSTRAINT legacy_record IF NOT EXISTS FOR (r:LegacyRecord) REQUIRE r.id IS UNIQUE;
CREATE CONSTRAINT comparison_place IF NOT EXISTS FOR (c:Comparison) REQUIRE c.place IS UNIQUE;
CREATE INDEX comparison_at IF NOT EXISTS FOR (c:Comparison) ON (c.destination, c.same, c.at);
CREATE CONSTRAINT explanation_id IF NOT EXISTS FOR (x:Explanation) REQUIRE x.id IS UNIQUE;
CREATE INDEX explanation_destination IF NOT EXISTS FOR (x:Explanation) ON (x.destination);
CREATE INDEX cutover_destination IF NOT EXISTS FOR (s:CutoverStep) ON (s.destination, s.at);
CREATE INDEX intake_at IF NOT EXISTS FOR (i:Intake) ON (i.at);

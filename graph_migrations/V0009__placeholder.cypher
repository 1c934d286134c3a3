CREATE INDEX placeholder_x IF NOT EXISTS FOR (x:Placeholder) ON (x.x);

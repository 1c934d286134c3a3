"""Pure matching: what records of persons say, encoded, compared, scored by a model, and how a model is made."""

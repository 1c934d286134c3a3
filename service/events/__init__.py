"""Events as they are understood: schemas, compatibility, upcasting, validation, canonical form, fallback rules."""

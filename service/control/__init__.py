"""Pure control: what consent and policy make of a profile."""

"""The loop that sends: the only user of outbound HTTP."""

"""HTTP: reads requests, calls commands, writes answers. Decides nothing."""

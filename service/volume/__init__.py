"""At volume: evidence from files into the write path, and the graph's evidence out into files."""

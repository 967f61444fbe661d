"""Reading a result tree: cells, run records, and whether files belong together."""

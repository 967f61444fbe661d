"""Files, tables, progress and heartbeats: what reads and writes, and knows nothing of NER."""

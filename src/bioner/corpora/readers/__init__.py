"""One file per format: raw files to sentences, or to documents with stand-off annotations."""

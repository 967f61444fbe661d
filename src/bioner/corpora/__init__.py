"""Corpora: fetching raw files, reading their formats, normalizing to instances, counting."""

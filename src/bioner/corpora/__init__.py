"""Corpora: fetch raw files, read their formats, normalize them to instances, count."""

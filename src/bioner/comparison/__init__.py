"""Whether systems differ: counts per document, sources of variance, tests and families of tests."""

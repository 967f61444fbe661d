"""Decoding of LLMs: free generation, and constrained generation of tags for the input's words."""

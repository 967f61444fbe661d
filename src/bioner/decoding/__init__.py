"""Decoding of LLMs: free generation, and generation with the input's words forced."""

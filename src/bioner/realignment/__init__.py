"""Realignment: what a model wrote, brought onto the gold tokens."""

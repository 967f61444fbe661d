"""Realignment of model output with the gold tokens."""

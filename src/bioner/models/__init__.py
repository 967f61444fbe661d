"""Models: encoders, LLMs and their prompt, and controls."""

IGNORED = -100  # the label that torch's cross-entropy skips

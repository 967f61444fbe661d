"""Models: encoders, LLMs and their prompt, and controls."""

IGNORED = -100  # the label that torch's cross-entropy skips
TASK_FILE = "bioner.json"  # next to an LLM's weights: what it was trained for

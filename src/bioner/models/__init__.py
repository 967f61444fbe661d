"""Models: encoders, LLMs and their prompt, and controls."""

IGNORED = -100  # the label that torch's cross-entropy skips
TASK_FILE = "bioner.json"  # beside the weights of an LLM: what it must be asked with

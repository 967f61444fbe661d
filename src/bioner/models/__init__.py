"""Models: encoders, LLMs and their prompt, and controls."""

IGNORED = -100  # the label that torch's cross-entropy skips
ADAPTER_FILE = "adapter_config.json"  # next to an adapter, in place of config.json
TASK_FILE = "bioner.json"  # next to an LLM's weights: what it was trained for

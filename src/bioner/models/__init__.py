"""Models: encoders, LLMs and their prompt, and controls."""

IGNORED = -100  # the label that torch's cross-entropy skips
ADAPTER_FILE = "adapter_config.json"  # next to an adapter, in place of config.json
TASK_FILE = "bioner.json"  # next to trained weights: what for, and with which settings

"""Models: encoders, LLMs and their prompt, and controls."""

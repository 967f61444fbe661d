"""Training of encoders and LLMs: one Trainer for both, its checkpoints, and what it leaves."""

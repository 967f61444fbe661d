"""Training: one Trainer set-up for encoders and LLMs, what it reports, and what it leaves
behind.
"""

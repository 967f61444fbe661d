"""The steps of `benchmarks/gpu_session.py`: what a card does with this project's own code."""

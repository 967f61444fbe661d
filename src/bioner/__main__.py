"""`python -m bioner`, for launchers that start a module (accelerate, torchrun)."""

from bioner.cli import main

main()

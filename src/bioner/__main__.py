"""`python -m bioner`: the command line, for launchers that start a module (accelerate,
torchrun).
"""

from bioner.cli import main

main()

"""The errors users see: what was found where, expected and to be done; and a training that a signal ended."""

import signal


def hidden(text: str) -> str:
    """What stands for text in messages: logs of a corpus that may not be redistributed must not hold it."""
    return f"text of {len(text)} characters"


class InputError(Exception):
    """Bad input or usage; the command line prints it as one line and exits with code 2."""

    def __init__(self, where: object, found: str, expected: str, remedy: str) -> None:
        super().__init__(f"{where}: found {found}; expected {expected}. {remedy}")


class Interrupted(Exception):
    """Training ended on a signal, with a checkpoint written; the command line exits with 128 + `signal`."""

    def __init__(self, name: str, number: int, step: int, steps: int) -> None:
        self.signal = number
        super().__init__(
            f"{name}: {signal.Signals(number).name} at step {step} of {steps}. A checkpoint is written; "
            "the same command goes on from there."
        )

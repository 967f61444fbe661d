"""The one error users see: where, what was found, what was expected, what to do."""


def hidden(text: str) -> str:
    """What stands for text in messages: logs of a corpus that may not be redistributed must not hold it."""
    return f"text of {len(text)} characters"


class InputError(Exception):
    """Bad input or usage; the command line prints it as one line and exits with code 2."""

    def __init__(self, where: object, found: str, expected: str, remedy: str) -> None:
        super().__init__(f"{where}: found {found}; expected {expected}. {remedy}")

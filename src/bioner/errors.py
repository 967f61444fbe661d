"""The errors users see: what was found where, expected and to be done; and work that a signal
ended.
"""

import os
import re
import signal

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")  # variables that hold one
SHORTEST = 6  # of tokens: replacing what is shorter would leave little of a message
# The hub's tokens; what stands before the last @ of an address, for passwords may hold any sign.
SECRETS = re.compile(
    r"hf_[A-Za-z0-9]{16,}|hf_(?:oauth|jwt)_[\w.-]+|(?<=Bearer )[^\s'\"]+"
    r"|(?<=://)(?:[^\s:]*:\S*|[^/\s]+)(?=@)"
)


def hidden(text: str) -> str:
    """What stands for text in messages: logs of a corpus that may not be redistributed must not
    hold it.
    """
    return f"text of {len(text)} characters"


def unsecret(text: str) -> str:
    """Text without tokens and passwords, which some libraries quote in their errors."""
    for name in TOKENS:
        if len(token := os.environ.get(name, "").strip()) >= SHORTEST:
            text = text.replace(token, "…")
    return SECRETS.sub("…", text)


def reason_of(error: BaseException) -> str:
    """What a library says, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [
        type(error).__name__
    ]
    return f"{lines[0]} {lines[1]}" if lines[0].endswith(":") and lines[1:] else lines[0]


class InputError(Exception):
    """Bad input or usage; the command line prints it as one line, without secrets, and exits with
    code 2.
    """

    def __init__(self, where: object, found: str, expected: str, remedy: str) -> None:
        super().__init__(unsecret(f"{where}: found {found}; expected {expected}. {remedy}"))


class Interrupted(BaseException):
    """Work ended on a signal, what was finished is kept; the command line exits with 128 +
    `signal`.

    Like KeyboardInterrupt no Exception: what a library catches of its own errors is not to catch
    this.
    """

    def __init__(self, name: str, number: int, kept: str) -> None:
        self.signal = number
        super().__init__(
            f"{name}: {signal.Signals(number).name}{kept}; the same command goes on from there."
        )

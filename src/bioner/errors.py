"""Errors that users see: what is wrong where, and what to do; and work ended by a signal."""

import os
import re
import signal

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")  # environment variables
SHORTEST = 6  # length of a token: replacing shorter ones would garble messages
# The hub's tokens, and addresses up to their last @, since passwords may hold any character.
SECRETS = re.compile(
    r"hf_[A-Za-z0-9]{16,}|hf_(?:oauth|jwt)_[\w.-]+|(?<=Bearer )[^\s'\"]+"
    r"|(?<=://)(?:[^\s:]*:\S*|[^/\s]+)(?=@)"
)


def hidden(text: str) -> str:
    """Stand in for text in messages: logs must not hold text of corpora that are not free."""
    return f"text of {len(text)} characters"


def unsecret(text: str) -> str:
    """Remove tokens and passwords, which some libraries quote in their errors."""
    for name in TOKENS:
        if len(token := os.environ.get(name, "").strip()) >= SHORTEST:
            text = text.replace(token, "…")
    return SECRETS.sub("…", text)


def reason_of(error: BaseException) -> str:
    """Return the message of a library's error on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [
        type(error).__name__
    ]
    return f"{lines[0]} {lines[1]}" if lines[0].endswith(":") and lines[1:] else lines[0]


class InputError(Exception):
    """Bad input or usage: the command line prints one line without secrets and exits with 2."""

    def __init__(self, where: object, found: str, expected: str, remedy: str) -> None:
        super().__init__(unsecret(f"{where}: found {found}; expected {expected}. {remedy}"))


class Interrupted(BaseException):
    """Work ended by a signal; the command line exits with 128 + `signal`.

    Not an Exception, like KeyboardInterrupt, so that no library catches it with its own errors.
    """

    def __init__(self, name: str, number: int, kept: str) -> None:
        self.signal = number
        super().__init__(
            f"{name}: {signal.Signals(number).name}{kept}; the same command goes on from there."
        )

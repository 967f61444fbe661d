"""What a check found, as one line: `ok`, `FAIL` with what to do, or `skip` with why."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from bioner.errors import InputError, reason_of, unsecret

COLUMN = 11  # of the checks' names


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `said` tells what was found, `remedy` what to do about a FAIL."""

    check: str
    state: Literal["ok", "FAIL", "skip"]
    said: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.said.rstrip('.')}. {self.remedy}" if self.remedy else self.said
        return f"{self.state:<5}{self.check:<{COLUMN}}{unsecret(' '.join(text.split()))}"


Check = Callable[[], Iterable[Finding]]


def ok(check: str, said: str) -> Finding:
    """The machine has it."""
    return Finding(check, "ok", said)


def fail(check: str, found: str, remedy: str) -> Finding:
    """The machine lacks it: what was found, and what to do."""
    return Finding(check, "FAIL", found, remedy)


def skip(check: str, why: str) -> Finding:
    """There is nothing to check, or no way to."""
    return Finding(check, "skip", why)


def examine(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """What the checks find, one after the other; one that breaks has failed, and the others go
    on.
    """
    for name, check in checks:
        try:
            yield from check()
        except InputError as error:
            yield Finding(name, "FAIL", str(error))
        except Exception as error:  # a broken machine breaks libraries in any way
            found = f"{type(error).__name__}: {reason_of(error)}"
            yield fail(name, found, "Mend what it names, then run `bioner doctor` again.")

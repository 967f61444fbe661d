"""What a check found, as one line: `ok`, `FAIL` with what to do, or `skip` with why."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from bioner.errors import InputError, reason_of, unsecret

COLUMN = 11  # of the checks' names


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: what a check found, and for a FAIL what to do about it."""

    state: Literal["ok", "FAIL", "skip"]
    check: str
    said: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.said.rstrip('.')}. {self.remedy}" if self.remedy else self.said
        return f"{self.state:<5}{self.check:<{COLUMN}}{unsecret(' '.join(text.split()))}"


Check = Callable[[], Iterable[Finding]]

ok = partial(Finding, "ok")  # the machine has what is checked
fail = partial(Finding, "FAIL")  # it does not: what was found, and a remedy
skip = partial(Finding, "skip")  # there is nothing to check, or no way to


def examine(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """Run the checks and yield what they find; a check that breaks counts as failed."""
    for name, check in checks:
        try:
            yield from check()
        except InputError as error:
            yield fail(name, str(error))
        except Exception as error:  # a broken machine breaks libraries in any way
            found = f"{type(error).__name__}: {reason_of(error)}"
            yield fail(name, found, "Mend what it names, then run `bioner doctor` again.")

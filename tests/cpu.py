"""What tests cost: CPU seconds, user and system, of a test's call phase with all processes that it
starts and ends.

`--cpu-limit SECONDS` prints the most expensive tests and fails the run if one without the marker
`slow` takes more. `--preload` imports what takes seconds before the first test, so that no test is
charged for it.
"""

import resource
from collections.abc import Iterator

import pytest

from tests import forked

SHOWN = 20
spent: dict[str, dict[str, float]] = {}  # by test, then by phase
slow: set[str] = set()


def cpu_seconds() -> float:
    """Return the CPU seconds of this process, of its children that have ended, and of forked
    commands.
    """
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(times.ru_utime + times.ru_stime for times in usage) + forked.cpu_seconds()


def pytest_addoption(parser: pytest.Parser) -> None:
    help_ = (
        "print the most expensive tests; fail the run if one takes more CPU seconds and is not"
        " marked slow"
    )
    parser.addoption("--cpu-limit", type=float, metavar="SECONDS", help=help_)
    parser.addoption(
        "--preload", action="store_true", help="import what takes seconds before the first test"
    )


def pytest_runtestloop(session: pytest.Session) -> None:
    """Import what takes seconds, in each process that runs tests."""
    distributed = session.config.getoption("numprocesses", None) and not hasattr(
        session.config, "workerinput"
    )
    if session.config.getoption("preload") and not distributed:
        from tests.forked.imports import preload

        preload()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    yield from measured(item, "setup")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    yield from measured(item, "call")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield from measured(item, "teardown")


def measured(item: pytest.Item, phase: str) -> Iterator[None]:
    """Note what a phase of a test costs; the note travels with its report, also from another
    process.
    """
    before = cpu_seconds()
    try:
        return (yield)
    finally:
        item.user_properties.append((f"cpu_{phase}", cpu_seconds() - before))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    spent[report.nodeid] = {
        name.removeprefix("cpu_"): value
        for name, value in report.user_properties
        if name.startswith("cpu_")
    }
    if "slow" in report.keywords:
        slow.add(report.nodeid)


def too_expensive(limit: float) -> dict[str, float]:
    """Return the tests over the limit that are not marked slow."""
    calls = {name: phases.get("call", 0.0) for name, phases in spent.items()}
    return {
        name: seconds for name, seconds in calls.items() if seconds > limit and name not in slow
    }


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    limit = session.config.getoption("cpu_limit")
    if limit and too_expensive(limit) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if not (limit := config.getoption("cpu_limit")) or not spent:
        return
    total = sum(sum(phases.values()) for phases in spent.values())
    terminalreporter.section(
        f"{total:.0f} CPU seconds in {len(spent)} tests; calls of the most expensive"
    )
    calls = sorted(spent, key=lambda name: -spent[name].get("call", 0.0))
    for name in calls[:SHOWN]:
        terminalreporter.line(f"{spent[name].get('call', 0.0):8.2f}  {name}")
    for name, seconds in too_expensive(limit).items():
        terminalreporter.line(
            f"FAILED {name}: {seconds:.1f} CPU seconds; without the marker slow at most {limit:g}"
        )

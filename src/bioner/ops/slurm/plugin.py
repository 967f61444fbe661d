"""Slurm's answers as Snakemake's executor plugin (2.8) understands them: else it waits for some
jobs for ever.
"""

import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

SETTLED = 60.0  # seconds after which a job that is still PREEMPTED will not be queued again


class Settled:
    """States of jobs in the words that the plugin knows; call it with every answer.

    `CANCELLED by 1000`, as sacct says it, is CANCELLED. A job that stays PREEMPTED is on a cluster
    that cancels what it preempts (PreemptMode=CANCEL): it counts as cancelled, and is tried again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def __call__(self, states: Mapping[str, str]) -> dict[str, str]:
        """The same jobs with their states."""
        now, found = self._clock(), {}
        for job, words in states.items():
            state = words.split(" ")[0]
            if state != "PREEMPTED":
                self._since.pop(job, None)
            elif now - self._since.setdefault(job, now) >= SETTLED:
                state = "CANCELLED"
            found[job] = state
        return found


def has_accounting() -> bool | None:
    """Whether the cluster keeps an account of jobs, which sacct reads; None where Slurm does not
    say.
    """
    storage = _configured("AccountingStorageType")
    return None if storage is None else storage not in ("accounting_storage/none", "(null)", "")


def remembered() -> int | None:
    """Seconds for which Slurm's controller knows jobs that have ended (MinJobAge); None where it
    does not say.
    """
    seconds = (_configured("MinJobAge") or "").split(" ")[0]
    return int(seconds) if seconds.isdigit() else None


def mend(settings: Any) -> None:
    """Have the executor plugin understand all states; and ask squeue alone where squeue is to be
    asked.

    Without accounting sacct hangs, or knows nothing: the plugin takes it all the same while Slurm's
    controller is away.
    """
    import snakemake_executor_plugin_slurm as plugin  # type: ignore[import-untyped]

    asked, settled = plugin.query_job_status, Settled()

    async def query_job_status(
        command: str, logger: Any
    ) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await asked(command, logger)
        return (None if states is None else settled(states)), seconds

    plugin.query_job_status = query_job_status
    if settings.status_command == "squeue" and not has_accounting():
        there = plugin.is_query_tool_available
        plugin.is_query_tool_available = lambda tool: tool != "sacct" and there(tool)


def _configured(key: str) -> str | None:
    """A line of `scontrol show config`."""
    try:
        done = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    for line in done.stdout.splitlines() if done.returncode == 0 else ():
        name, _, value = line.partition("=")
        if name.strip() == key:
            return value.strip()
    return None

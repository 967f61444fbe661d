"""Job states in words that Snakemake's executor plugin (2.8) knows; else it waits for ever."""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from bioner.ops.slurm.commands import SlurmError, ask

SETTLED = 60.0  # seconds after which a job that is still PREEMPTED will not be queued again


class Settled:
    """Translate job states; call it with every answer of squeue or sacct.

    sacct's `CANCELLED by 1000` is CANCELLED. A job that stays PREEMPTED is on a cluster that
    cancels preempted jobs (PreemptMode=CANCEL): it counts as cancelled and is tried again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def __call__(self, states: Mapping[str, str]) -> dict[str, str]:
        """Return the translated state of each job."""
        now, found = self._clock(), {}
        for job, words in states.items():
            state = words.split(" ")[0]
            if state != "PREEMPTED":
                self._since.pop(job, None)
            elif now - self._since.setdefault(job, now) >= SETTLED:
                state = "CANCELLED"
            found[job] = state
        return found


def has_accounting() -> bool:
    """Return whether Slurm says that it has accounting, which sacct reads."""
    storage = _configured("AccountingStorageType")
    return storage not in (None, "accounting_storage/none", "(null)", "")


def remembered() -> int | None:
    """Return the seconds for which Slurm knows jobs that have ended; None if it does not say."""
    seconds = (_configured("MinJobAge") or "").split(" ")[0]
    return int(seconds) if seconds.isdigit() else None


def mend(settings: Any) -> None:
    """Make the executor plugin understand all states, and not use sacct without accounting.

    Without accounting sacct hangs or knows nothing, but the plugin falls back on it while Slurm's
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
    """Return a value of `scontrol show config`; None if there is none."""
    try:
        settings = ask("scontrol", "show", "config")
    except SlurmError:
        return None
    found = re.search(rf"^{key}\s*=\s*(.*?)\s*$", settings, re.MULTILINE)
    return found[1] if found else None

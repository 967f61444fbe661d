"""The records of `bioner status`: a run, its cells, their rows, and the states of jobs."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from bioner.corpora.fetching.sources import why_absent
from bioner.settings.matrix import Matrix

State = Literal["running", "failed", "waiting", "left out", "done"]
STRENGTH: tuple[State, ...] = get_args(State)  # of several states the first counts


@dataclass(frozen=True, slots=True)
class JobState:
    """The state of a job, and what else its files say.

    Attributes:
        dev_f1: Best strict F1 on dev so far, in percent.
        left: Seconds left.
        where: Host, and Slurm job if it is one.
        took: Seconds of a whole training; an estimate while it is running.
        sentences: Sentences per epoch of a finished training.
    """

    state: State
    progress: str = ""
    dev_f1: float | None = None
    left: float | None = None
    where: str = ""
    note: str = ""
    took: float | None = None
    sentences: int | None = None


@dataclass(frozen=True, slots=True)
class StatusRow:
    """The current stage of a seed, or of a job that belongs to no seed.

    Attributes:
        trainings: Number of trainings that have not begun.
        left: Seconds left, as far as known, including these trainings.
    """

    dataset: str
    model: str
    seed: int | None
    stage: str
    job_state: JobState
    trainings: int = 0
    left: float | None = None

    @property
    def state(self) -> State:
        """The state of the current stage."""
        return self.job_state.state


@dataclass(frozen=True, slots=True)
class CellStatus:
    """The rows of one corpus and model; `sentences` is the size of the training set, if known."""

    dataset: str
    model: str
    rows: tuple[StatusRow, ...]
    sentences: int | None = None

    @property
    def state(self) -> State:
        """The first in `STRENGTH` of its rows' states."""
        return min((row.state for row in self.rows), key=STRENGTH.index)

    @property
    def dev_f1(self) -> float | None:
        """Mean over seeds of the best strict F1 on dev, in percent."""
        scores = [row.job_state.dev_f1 for row in self.rows if row.job_state.dev_f1 is not None]
        return sum(scores) / len(scores) if scores else None

    @property
    def left(self) -> float | None:
        """Seconds left, summed over its rows, as far as known."""
        known = [row.left for row in self.rows if row.left is not None]
        return sum(known) if known else None


@dataclass(frozen=True, slots=True)
class RunContext:
    """A run and the moment at which its status is asked for.

    Attributes:
        now: Seconds since the epoch.
        snakemake_since: Start of the Snakemake that is running here; None if there is none.
    """

    matrix: Matrix
    out: Path
    mirror: Path | None = None
    now: float = field(default_factory=time.time)
    snakemake_since: float | None = None

    def absent(self, dataset: str) -> str | None:
        """Return the reason why the workflow leaves a corpus out, if it does."""
        return why_absent(dataset, self.matrix.datasets[dataset], self.mirror, self.out / "data")


def snakemake_since(out: Path) -> float | None:
    """Return the start of the Snakemake that holds locks in this folder or one above it."""
    for folder in (out.resolve(), *out.resolve().parents):
        try:
            return max(path.stat().st_mtime for path in (folder / ".snakemake" / "locks").iterdir())
        except (OSError, ValueError):
            continue  # no folder, no lock in it, or one that is just gone
    return None

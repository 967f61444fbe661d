"""What `bioner status` looks at and shows: a run, its cells, and their rows."""

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
    """What a job left: its state, and whatever else is known of it.

    Attributes:
        dev_f1: The best strict F1 on dev, in percent.
        left: Seconds.
        where: The host that works on it, and its Slurm job.
        took: Seconds of a training; of one that is running, with those left.
        sentences: Sentences that a finished training saw per epoch.
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
    """A seed of a cell with the stage that it is at, or something that cells need besides.

    Attributes:
        trainings: How many have not begun.
        left: Seconds left, as far as known, with those of trainings that have not begun.
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
        """The state of the stage it is at."""
        return self.job_state.state


@dataclass(frozen=True, slots=True)
class CellStatus:
    """A corpus and a model with their rows, and the sentences to train on, if that is known."""

    dataset: str
    model: str
    rows: tuple[StatusRow, ...]
    sentences: int | None = None

    @property
    def state(self) -> State:
        """Running if anything is, else failed if anything did, done if everything is."""
        return min((row.state for row in self.rows), key=STRENGTH.index)

    @property
    def dev_f1(self) -> float | None:
        """The mean of the seeds' best strict F1 on dev, in percent."""
        scores = [row.job_state.dev_f1 for row in self.rows if row.job_state.dev_f1 is not None]
        return sum(scores) / len(scores) if scores else None

    @property
    def left(self) -> float | None:
        """Seconds left for its rows, one after the other, as far as known."""
        known = [row.left for row in self.rows if row.left is not None]
        return sum(known) if known else None


@dataclass(frozen=True, slots=True)
class RunContext:
    """What is run, in which output folder, and when it is looked at (seconds since the epoch).

    `snakemake_since` says when the Snakemake began that works here; None if none does.
    """

    matrix: Matrix
    out: Path
    mirror: Path | None = None
    now: float = field(default_factory=time.time)
    snakemake_since: float | None = None

    def absent(self, dataset: str) -> str | None:
        """Return why the workflow leaves a corpus out; None if it does not."""
        return why_absent(dataset, self.matrix.datasets[dataset], self.mirror, self.out / "data")


def snakemake_since(out: Path) -> float | None:
    """Return when the Snakemake began that works in this folder or above it, by its locks."""
    for folder in (out.resolve(), *out.resolve().parents):
        try:
            return max(path.stat().st_mtime for path in (folder / ".snakemake" / "locks").iterdir())
        except (OSError, ValueError):
            continue  # no folder, no lock in it, or one that is just gone
    return None

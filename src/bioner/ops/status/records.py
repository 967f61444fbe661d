"""What is looked at and what is told: a run, its cells, and their rows."""

from dataclasses import dataclass, field
from pathlib import Path

from bioner.corpora.fetching.sources import why_absent
from bioner.ops.planning.jobs import PlannedJob
from bioner.ops.status.job_state import JobState, Moment, State, state_of
from bioner.settings.matrix import Matrix

STRENGTH: tuple[State, ...] = (
    "running",
    "failed",
    "waiting",
    "left out",
    "done",
)  # of several states the first counts


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One seed of a cell, or what cells need beside their seeds, with the stage that it is at.

    `trainings` have not begun yet; `left` are the seconds that what is known of it takes.
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
        """That of the stage it is at."""
        return self.job_state.state


@dataclass(frozen=True, slots=True)
class CellStatus:
    """A corpus and a model with their rows, and how many sentences the model is trained on, where
    that is known.
    """

    dataset: str
    model: str
    rows: tuple[StatusRow, ...]
    sentences: int | None = None

    @property
    def state(self) -> State:
        """Running where anything is, failed where something did, done where all is."""
        return min((row.state for row in self.rows), key=STRENGTH.index)

    @property
    def dev_f1(self) -> float | None:
        """The mean of the seeds' best strict F1 on dev, in percent."""
        scores = [row.job_state.dev_f1 for row in self.rows if row.job_state.dev_f1 is not None]
        return sum(scores) / len(scores) if scores else None

    @property
    def left(self) -> float | None:
        """Seconds that its rows take yet, one after the other, as far as known."""
        known = [row.left for row in self.rows if row.left is not None]
        return sum(known) if known else None


@dataclass(frozen=True, slots=True)
class RunContext:
    """What is run, in which output folder, and when it is looked at."""

    matrix: Matrix
    out: Path
    mirror: Path | None = None
    moment: Moment = field(default_factory=Moment)

    def absent(self, dataset: str) -> str | None:
        """Why a corpus is left out, as the workflow leaves it out; None where it is not."""
        return why_absent(dataset, self.matrix.datasets[dataset], self.mirror, self.out / "data")

    def state_of(self, job: PlannedJob) -> JobState:
        """Return what a job left."""
        return state_of(self.out, job, self.moment)


def snakemake_since(out: Path) -> float | None:
    """When the Snakemake began that works in this folder or one above it, by its locks; None where
    none does.
    """
    for folder in (out.resolve(), *out.resolve().parents):
        try:
            return max(path.stat().st_mtime for path in (folder / ".snakemake" / "locks").iterdir())
        except (OSError, ValueError):
            continue  # none there, none in it, or just gone
    return None

"""One Slurm for all tests, runs of the workflow through it, and what an undisturbed run reports."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.slurm.cluster import Cluster, why_not

REPOSITORY = Path(__file__).resolve().parents[2]

# The demo's corpus, a control, and an encoder whose training takes long enough to be disturbed.
MATRIX = {
    "datasets": ["demo"],
    "models": ["dictionary", "bert-mini"],
    "seeds": [42],
    "model_overrides": {"bert-mini": {"train": {"epochs": 12, "patience": None, "sentences": 250}}},
    "timing": {"sentences": 4, "batch_sizes": [1], "repeats": 1},
    "scoring": {"bootstrap": 50},
    "compare": {"resamples": 100},
}
# Reports that hold times and costs, and so are never the same twice.
TIMED = {"table4_inference_time.csv", "cost.csv", "provenance.csv"}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The Slurm of this session."""
    yield from started()


def started(accounting: bool = False) -> Iterator[Cluster]:
    """A Slurm, in a folder that other users may pass: pytest's are closed to them."""
    if reason := why_not(accounting):
        pytest.skip(reason)
    slurm = Cluster(Path(tempfile.mkdtemp(prefix="bioner-slurm-")), accounting)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
        shutil.rmtree(slurm.base, ignore_errors=True)


@dataclass
class Run:
    """A folder in which the workflow runs through Slurm."""

    cluster: Cluster
    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def configure(self, **changes: object) -> None:
        """Write the configuration: the matrix with these changes."""
        (self.folder / "run.yaml").write_text(yaml.safe_dump(MATRIX | changes))

    def command(self, *arguments: str, profile: Path = REPOSITORY / "slurm") -> list[str]:
        """`snakemake --profile slurm` from another folder than the repository's, looking often at
        its jobs.
        """
        where = ["--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(self.folder)]
        often = ["--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10"]
        program = str(Path(sys.executable).parent / "snakemake")
        file = ["--configfile", str(self.folder / "run.yaml")]
        return [program, "--profile", str(profile), *where, *often, *arguments, *file]

    def start(self, *arguments: str, **options: Path) -> subprocess.Popen[str]:
        """Start it; what it says goes into `log`."""
        with self.log.open("a") as log:
            process = subprocess.Popen(
                self.command(*arguments, **options),
                cwd=self.folder,
                env=self.cluster.environ,
                stdout=log,
                stderr=log,
                text=True,
            )
        self.started.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], expected: int = 0) -> str:
        """Wait for its end; what it said."""
        assert process.wait(900) == expected, self.said()
        return self.log.read_text()

    def said(self) -> str:
        """What Snakemake said in this folder, with the logs of its Slurm jobs that failed."""
        logs = (path.read_text()[-3000:] for path in (self.folder / "logs/slurm").rglob("*.log"))
        return "\n".join([self.log.read_text()[-12000:], *logs])

    @property
    def log(self) -> Path:
        """Where Snakemake's messages go."""
        return self.folder / "snakemake.log"

    @property
    def training(self) -> Path:
        """Where the encoder is trained."""
        return self.folder / "results/demo/bert-mini/seed42"

    def checkpoints(self) -> list[Path]:
        """Its whole checkpoints."""
        return sorted(self.training.glob(".training/checkpoints/*/manifest.json"))

    def reports(self) -> dict[str, bytes]:
        """The reports that do not depend on time."""
        return {
            path.name: path.read_bytes()
            for path in self.folder.glob("reports/*.csv")
            if path.name not in TIMED
        }

    def sessions(self) -> int:
        """How many sessions the encoder's training was put together from."""
        return int(json.loads((self.training / "run.json").read_text())["sessions"])

    def log_of(self, rule: str) -> str:
        """The logs of a rule."""
        return "\n".join(
            path.read_text() for path in sorted((self.folder / "logs" / rule).rglob("*.log"))
        )


@pytest.fixture
def run(cluster, tmp_path) -> Iterator[Run]:
    """A run in an empty folder; nothing of it is left when the test ends."""
    yield from _run(cluster, tmp_path)


@pytest.fixture(scope="session")
def undisturbed(cluster, tmp_path_factory) -> Iterator[Run]:
    """The matrix run through Slurm without any disturbance."""
    for run in _run(cluster, tmp_path_factory.mktemp("undisturbed")):
        run.finish(run.start())
        yield run


def _run(cluster: Cluster, folder: Path) -> Iterator[Run]:
    run = Run(cluster, folder)
    run.configure()
    try:
        yield run
    finally:
        for process in run.started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        cluster.run("scancel", "--user=root", check=False)

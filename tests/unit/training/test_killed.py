"""Real processes that are killed, or warned, in the middle of a training."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bioner.config import merged
from bioner.instances import write_instances
from bioner.training.job import Job
from tests.unit.training.helpers import results, steps_at_hand


@pytest.fixture(scope="module")
def data(job, tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    write_instances(folder / "train.jsonl", [replace(i, id=f"{i.id}-{n}") for n in range(12) for i in job.train])
    write_instances(folder / "dev.jsonl", job.dev)
    return folder


def command(job: Job, data: Path, out: Path) -> list[str]:
    entry = merged(job.entry, {"train": {"epochs": 6, "patience": None}})
    program = [str(Path(sys.executable).parent / "bioner"), "train", "tiny-bert"]
    return [*program, "--entry", json.dumps(entry), "--data", str(data), "--out", str(out)]


def started(job: Job, data: Path, out: Path) -> subprocess.Popen:
    return subprocess.Popen(command(job, data, out), stderr=subprocess.PIPE, text=True, env=os.environ)


@pytest.fixture(scope="module")
def undisturbed_process(job, data, tmp_path_factory) -> Path:
    out: Path = tmp_path_factory.mktemp("undisturbed-process") / "run"
    assert subprocess.run(command(job, data, out), check=False).returncode == 0
    return out


def when(there: Callable[[], object], process: subprocess.Popen) -> None:
    """Wait until something is there; the process must still run."""
    for _ in range(3000):
        if there():
            assert process.poll() is None, "the training ended before it could be disturbed"
            return
        time.sleep(0.01)
    raise AssertionError("never came to be")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_a_real_process_that_is_killed_goes_on_and_ends_the_same(job, data, undisturbed_process, tmp_path, number):
    out = tmp_path / "run"
    for epoch in (1, 3):
        process = started(job, data, out)
        when(lambda: [step for step in steps_at_hand(out) if step >= 72 * epoch], process)  # noqa: B023
        process.send_signal(number)
        assert "Traceback" not in process.communicate()[1]
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
        assert not (out / "run.json").exists()
    assert subprocess.run(command(job, data, out), check=False).returncode == 0
    assert results(out) == results(undisturbed_process)
    assert sorted(path.name for path in out.iterdir()) == ["history.csv", "model", "run.json"]

"""Real processes that are killed, or warned, in the middle of a training."""

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bioner.data.instances import write_instances
from tests import forked
from tests.conftest import wait_for
from tests.unit.training.helpers import results, steps_at_hand


@pytest.fixture(scope="module")
def data(job, tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("data")
    write_instances(
        folder / "train.jsonl", [replace(i, id=f"{i.id}-{n}") for n in range(4) for i in job.train]
    )
    write_instances(folder / "dev.jsonl", job.dev)
    return folder


@pytest.fixture
def train(job, data, tmp_path) -> Iterator[Callable[[Path], forked.Command]]:
    """Starts a training in a process of its own; what it says goes into the file `said`."""
    entry = job.entry.changed(train={"epochs": 4, "patience": None})
    command = [
        "bioner",
        "train",
        "tiny-bert",
        "--entry",
        json.dumps(entry.canonical()),
        "--data",
        data,
        "--out",
    ]
    started = []

    def start(out: Path) -> forked.Command:
        started.append(forked.start([*command, out], tmp_path, tmp_path / "said"))
        return started[-1]

    yield start
    for process in started:
        process.end()


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        *(
            pytest.param(number, marks=pytest.mark.slow)
            for number in (signal.SIGTERM, signal.SIGUSR1)
        ),
    ],
)
def test_a_real_process_that_is_killed_goes_on_and_ends_the_same(train, tmp_path, number):
    """Of the signals that it may handle, test_resume raises all in process."""
    assert train(tmp_path / "undisturbed").wait() == 0
    out = tmp_path / "run"
    for epoch in (1, 2):
        process = train(out)
        wait_for(lambda: [step for step in steps_at_hand(out) if step >= 24 * epoch])  # noqa: B023
        process.send_signal(number)
        assert process.wait() == (-number if number == signal.SIGKILL else 128 + number)
        assert not (out / "run.json").exists()
    assert train(out).wait() == 0
    assert "Traceback" not in (tmp_path / "said").read_text()
    assert results(out) == results(tmp_path / "undisturbed")
    assert sorted(path.name for path in out.iterdir()) == ["history.csv", "model", "run.json"]

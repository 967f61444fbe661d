"""Training in several processes, as on several GPUs, here on the CPU with gloo."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import psutil
import pytest
import torch
from safetensors.torch import load_file

from bioner.data.instances import write_instances
from bioner.inference.predict import predict
from bioner.training.launch import ENVIRONMENT, launch_command
from bioner.training.workspace import WORKSPACE
from tests import forked
from tests.conftest import wait_for
from tests.unit.training.helpers import stand_in, with_settings

Launch = Callable[..., "Processes"]


class Processes:
    """The processes of one training, started as accelerate starts them, by forks (or by accelerate
    itself).
    """

    def __init__(
        self, folder: Path, number: int, arguments: list[str], program: Sequence[str] = ("bioner",)
    ) -> None:
        self.said = folder / "said"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        alone = os.environ | {
            "ACCELERATE_USE_CPU": "true",
            "OMP_NUM_THREADS": "1",
        }  # as torchrun sets it
        shared = alone | {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": str(number),
        }
        ranks = [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(number)]
        self.ranks = [
            forked.start([*program, *arguments], folder, self.said, environment)
            for environment in (ranks if number > 1 else [alone])
        ]

    def wait(self, seconds: float | None = None) -> list[int]:
        """Wait for their ends; return their exit statuses."""
        return [rank.wait(seconds) for rank in self.ranks]

    def send_signal(self, number: int) -> None:
        """Send a signal to all, as the launcher hands it on."""
        for rank in self.ranks:
            rank.send_signal(number)

    def end(self) -> None:
        """Kill those that still run."""
        for rank in self.ranks:
            rank.end()


class Launched:
    """The same by `accelerate launch`, in the command that `bioner train` replaces itself by."""

    def __init__(self, folder: Path, number: int, arguments: list[str]) -> None:
        self.said = folder / "said"
        environment = os.environ | ENVIRONMENT | {"ACCELERATE_USE_CPU": "true"}
        with self.said.open("a") as said:
            self.process = subprocess.Popen(
                launch_command(number, arguments), env=environment, stderr=said
            )
        self.send_signal = self.process.send_signal

    def wait(self) -> list[int]:
        return [self.process.wait()]

    def end(self) -> None:
        if self.process.poll() is None:
            family = [*psutil.Process(self.process.pid).children(recursive=True), self.process]
            for process in family:
                process.kill()
            self.process.wait()


@pytest.fixture(
    params=[Processes, pytest.param(Launched, marks=pytest.mark.slow)], ids=["forked", "accelerate"]
)
def launch(request, tmp_path) -> Iterator[Launch]:
    """Starts a training in so many processes."""
    started = []

    def start(number: int, *arguments: str):
        started.append(request.param(tmp_path, number, list(arguments)))
        return started[-1]

    yield start
    for processes in started:
        processes.end()


@pytest.mark.parametrize("family", ["encoder", "llm", "llm-head"])
def test_two_processes_train_one_model(launch, family, tiny_encoder, tiny_llm, sentences, tmp_path):
    lora = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": ["q_proj", "v_proj"]}
    entry = {
        "encoder": with_settings(tiny_encoder),
        "llm": with_settings(tiny_llm, lora=lora, quantization="nf4"),
        "llm-head": with_settings(tiny_llm, lora=lora, quantization="nf4", family="llm-head"),
    }[family]
    for split in ("train", "dev"):
        again = [replace(item, id=f"{item.id}-again") for item in sentences]
        write_instances(tmp_path / f"{split}.jsonl", [*sentences, *again])
    out = tmp_path / "run"
    training = launch(
        2,
        "train",
        "tiny",
        "--entry",
        json.dumps(entry.canonical()),
        "--data",
        str(tmp_path),
        "--out",
        str(out),
    )
    assert set(training.wait()) == {0}, training.said.read_text()
    assert sorted(path.name for path in out.iterdir()) == ["history.csv", "model", "run.json"]
    run = json.loads((out / "run.json").read_text())
    assert run["processes"] == 2
    # 6 sentences in batches of 2 over both processes: 3 steps an epoch.
    assert (out / "history.csv").read_text().splitlines()[1].startswith("1.0,3,")
    decoding = "constrained" if family == "llm" else "direct"
    assert len(predict("tiny", entry, sentences, [], out / "model", decoding)) == 3


@pytest.mark.parametrize(
    ("architecture", "changes", "quantization"),
    [("granite", {"logits_scaling": 4.0}, None), ("llama", {}, "nf4")],
)
def test_two_processes_end_with_the_parameters_of_one(
    launch, tiny_llm, sentences, tmp_path, architecture, changes, quantization
):
    """Seven sentences in batches of four: the last batch does not go round, and nothing is repeated
    for that.
    """
    lora = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": ["q_proj", "v_proj", "lm_head"]}
    settings = {"epochs": 3, "batch_size": 4, "learning_rate": 1e-2, "monitor_sentences": 3}
    folder = stand_in(tmp_path / "source", architecture, sentences, **changes)
    source = {"scratch": None, "hub": str(folder)}
    changed = {"source": source, "lora": lora, "quantization": quantization, "train": settings}
    entry = with_settings(tiny_llm, **changed)
    seven = [replace(item, id=f"{item.id}-{number}") for number in range(3) for item in sentences][
        :7
    ]
    for split in ("train", "dev"):
        write_instances(tmp_path / f"{split}.jsonl", seven)
    for processes in (1, 2):
        out = tmp_path / str(processes)
        entry_and_data = (
            "--entry",
            json.dumps(entry.canonical()),
            "--data",
            str(tmp_path),
            "--out",
            str(out),
        )
        training = launch(processes, "train", "tiny", *entry_and_data)
        assert set(training.wait()) == {0}, training.said.read_text()
    one, two = (tmp_path / "1", tmp_path / "2")
    runs = [json.loads((out / "run.json").read_text()) for out in (one, two)]
    assert [(run["processes"], run["micro_batch_size"]) for run in runs] == [(1, 4), (2, 2)]
    assert runs[0]["as_trained"] == runs[1]["as_trained"], "both predict dev with merged weights"
    weights = [load_file(out / "model" / "adapter_model.safetensors") for out in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    moved = 0.0
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-3, atol=1e-5)
        moved = max(moved, tensor.abs().max().item() if "lora_B" in name else 0.0)
    assert moved > 1e-2, "lora_B begins at zero"
    tables = [pl.read_csv(out / "history.csv") for out in (one, two)]
    for column in ("train_loss", "dev_loss", "dev_strict_f1", "monitor_f1"):
        values = [table[column].fill_null(-1).to_list() for table in tables]
        assert values[0] == pytest.approx(values[1], rel=1e-4), column


@pytest.mark.slow
@pytest.mark.parametrize("launch", [Launched], indirect=True)
def test_when_one_process_dies_the_other_stops_and_the_same_command_goes_on(
    launch, tiny_llm, sentences, tmp_path
):
    for split, copies in (("train", 16), ("dev", 1)):
        many = [
            replace(item, id=f"{item.id}-{number}")
            for number in range(copies)
            for item in sentences
        ]
        write_instances(tmp_path / f"{split}.jsonl", many)
    entry = tiny_llm.changed(train={"epochs": 6, "patience": None})
    out = tmp_path / "run"
    arguments = [
        "train",
        "tiny",
        "--entry",
        json.dumps(entry.canonical()),
        "--data",
        str(tmp_path),
        "--out",
        str(out),
    ]
    training = launch(2, *arguments)
    checkpoints = out / WORKSPACE / "checkpoints"
    wait_for(lambda: list(checkpoints.glob("checkpoint-*/manifest.json")))
    ranks = psutil.Process(training.process.pid).children(recursive=True)
    rank = next(child for child in ranks if child.environ().get("RANK") == "1")
    rank.kill()
    assert training.wait() != [0]
    said = training.said.read_text()
    assert not any(
        child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in ranks
    ), said
    assert not (out / "run.json").exists()
    again = launch(2, *arguments)
    assert again.wait() == [0], again.said.read_text()
    assert json.loads((out / "run.json").read_text())["sessions"] == 2
    assert pl.read_csv(out / "history.csv")["epoch"].to_list() == [1, 2, 3, 4, 5, 6]


# The losses of the first process are NaN from its third pass on. It looks at them all the time; the
# other one, never.
NAN_IN_ONE = """
import os
from bioner.training import progress
first, seen, add_loss = os.environ["RANK"] == "0", [], progress.Progress.add_loss
progress.SILENCE = -1 if first else 1e9
def poisoned(self, loss):
    seen.append(loss)
    add_loss(self, loss * float("nan") if first and len(seen) > 2 else loss)
progress.Progress.add_loss = poisoned
"""
# The first process ends both, once the other has decoded its part of dev and waits for the rest.
SIGNAL_ON_DEV = """
import os, signal, time
from pathlib import Path
from bioner.training import llm
scores, pid = llm.DevScorer.scores, Path("pid")
def signalled(*args):
    if os.environ["RANK"] == "1":
        pid.with_suffix(".half").write_text(str(os.getpid()))
        pid.with_suffix(".half").rename(pid)
    else:
        while not pid.exists():
            time.sleep(0.01)
        time.sleep(0.5)
        os.kill(int(pid.read_text()), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    return scores(*args)
llm.DevScorer.scores = signalled
"""
MAIN = """
import sys
from bioner.cli import main
sys.argv = ["bioner", *sys.argv[4:]]
main()
"""


def patched(code: str) -> list[str]:
    """`bioner` after some other code; the last argument has it forked with torch."""
    return ["python", "-c", code + MAIN, "--weights"]


@pytest.mark.parametrize("searched", [True, False])
def test_a_loss_that_is_nan_in_one_process_ends_both_after_the_same_step(
    tiny_encoder, sentences, tmp_path, searched
):
    for split in ("train", "dev"):
        write_instances(tmp_path / f"{split}.jsonl", sentences)
    entry = json.dumps(tiny_encoder.changed(train={"epochs": 4}).canonical())
    arguments = ["train", "tiny", "--entry", entry, "--data", str(tmp_path)]
    arguments += ["--out", str(tmp_path / "lr1"), *["--searched", "learning_rate"][: 2 * searched]]
    training = Processes(tmp_path, 2, arguments, patched(NAN_IN_ONE))
    try:
        codes = training.wait(60)
    finally:
        training.end()
    said = training.said.read_text()
    assert codes == [0, 0] if searched else (2 in codes and 0 not in codes), said
    # A trial's loss is a result of both; of two that fail, one is heard.
    sentence = "found a loss of nan at or before step 3; expected a finite loss"
    assert said.count(sentence) == (2 if searched else 1)
    assert (tmp_path / "lr1" / "run.json").exists() == searched


def test_two_processes_leave_the_evaluation_of_dev_on_a_signal_and_evaluate_it_on_resuming(
    tiny_llm, sentences, tmp_path
):
    for split in ("train", "dev"):
        write_instances(tmp_path / f"{split}.jsonl", sentences)
    lora = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": ["q_proj"]}
    entry = json.dumps(with_settings(tiny_llm, lora=lora, train={"epochs": 1}).canonical())
    arguments = ["train", "tiny", "--entry", entry, "--data", str(tmp_path), "--out"]
    arguments.append(str(tmp_path / "run"))
    for program, code in ((patched(SIGNAL_ON_DEV), 128 + signal.SIGTERM), (["bioner"], 0)):
        training = Processes(tmp_path, 2, arguments, program)
        try:
            assert training.wait(60) == [code, code], training.said.read_text()
        finally:
            training.end()
    said = training.said.read_text()
    assert said.count("A checkpoint is written, dev is scored on resuming") == 2
    assert "Traceback" not in said
    assert json.loads((tmp_path / "run" / "run.json").read_text())["sessions"] == 2


@pytest.fixture
def two_epochs(launch, tiny_encoder, sentences, tmp_path) -> list[str]:
    """The arguments of a training of two epochs of 24 steps, but for the folder; `undisturbed` has
    been trained so.
    """
    for split, copies in (("train", 16), ("dev", 1)):
        many = [
            replace(item, id=f"{item.id}-{number}")
            for number in range(copies)
            for item in sentences
        ]
        write_instances(tmp_path / f"{split}.jsonl", many)
    entry = tiny_encoder.changed(train={"epochs": 2, "patience": None})
    arguments = [
        "train",
        "tiny",
        "--entry",
        json.dumps(entry.canonical()),
        "--data",
        str(tmp_path),
        "--out",
    ]
    undisturbed = launch(2, *arguments, str(tmp_path / "undisturbed"))
    assert set(undisturbed.wait()) == {0}, undisturbed.said.read_text()
    return arguments


def test_two_processes_leave_together_on_a_signal_and_go_on_where_they_were(
    launch, two_epochs, tmp_path
):
    """Slurm's warning to the launcher: both write the same checkpoint, inside an epoch, and end as
    if undisturbed.
    """
    out = tmp_path / "run"
    training = launch(2, *two_epochs, str(out))
    checkpoints = out / WORKSPACE / "checkpoints"
    wait_for(lambda: list(checkpoints.glob("checkpoint-*/manifest.json")))
    time.sleep(0.1)  # into the second epoch
    training.send_signal(signal.SIGUSR1)
    assert 0 not in training.wait()
    assert (
        "A checkpoint is written; the same command goes on from there" in training.said.read_text()
    )
    assert not (out / "run.json").exists()
    steps = sorted(int(path.name.split("-")[1]) for path in checkpoints.glob("checkpoint-*"))
    assert steps[-1] % 24 != 0, "the signal was to come inside an epoch"

    again = launch(2, *two_epochs, str(out))
    assert set(again.wait()) == {0}, again.said.read_text()
    weights = [
        (folder / "model" / "model.safetensors").read_bytes()
        for folder in (out, tmp_path / "undisturbed")
    ]
    assert weights[0] == weights[1]
    losses = [
        pl.read_csv(folder / "history.csv")["train_loss"].to_list()
        for folder in (out, tmp_path / "undisturbed")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6), (
        "up to how the sum over processes was rounded"
    )

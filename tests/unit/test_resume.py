"""A training cut short goes on where it was, and ends as if nothing had happened, bit for bit."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from bioner.catalogue import complete_entry
from bioner.config import merged
from bioner.errors import InputError, Interrupted
from bioner.instances import write_instances
from bioner.training import checkpoints
from bioner.training.job import Job
from bioner.training.progress import Progress
from bioner.training.run import WORKSPACE, train

TIMES = ["seconds", "tokens_per_second", "peak_memory_gb", "peak_gpu_memory_gb"]


class Crash(BaseException):
    """What kill -9 leaves behind: nothing of what comes after is done."""


@pytest.fixture(scope="module")
def job(tiny_encoder, sentences) -> Job:
    """Twelve sentences in batches of two: six steps an epoch, up to four epochs, dropout as BERT has it."""
    many = [replace(item, id=f"{item.id}-{number}") for number in range(4) for item in sentences]
    entry = merged(tiny_encoder, {"train": {"epochs": 4, "patience": 3, "learning_rate": 1e-2}})
    return Job("tiny-bert", entry, many, sentences, 7)


@pytest.fixture(scope="module")
def undisturbed(job, tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("undisturbed") / "run"
    train(job, folder)
    return folder


def results(folder: Path) -> tuple[bytes, list[tuple], dict]:
    """What may not differ: weights, history without times, which epoch was kept."""
    weights = (folder / "model" / "model.safetensors").read_bytes()
    history = pl.read_csv(folder / "history.csv").drop(TIMES).rows()
    return weights, history, json.loads((folder / "run.json").read_text())["kept"]


def at_step(monkeypatch, number: int, action: Callable[[], None]) -> None:
    """Do something in the forward pass of this number, counted over all epochs of this session."""
    count, add_loss = [0], Progress.add_loss

    def counted(self, loss):
        count[0] += 1
        if count[0] == number:
            action()
        add_loss(self, loss)

    monkeypatch.setattr(Progress, "add_loss", counted)


def crash() -> None:
    raise Crash


def steps_at_hand(folder: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in (folder / WORKSPACE / "checkpoints").glob("checkpoint-*"))


@pytest.mark.parametrize("step", [1, 6, 7, 9, 12, 24])
def test_a_training_that_died_goes_on_from_its_last_epoch(job, undisturbed, tmp_path, monkeypatch, step):
    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, step, crash)
        train(job, tmp_path)
    train(job, tmp_path)
    assert results(tmp_path) == results(undisturbed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "model", "run.json"]
    assert json.loads((tmp_path / "run.json").read_text())["sessions"] == (2 if step > 6 else 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("step", [1, 8, 12, 23])
def test_a_signal_writes_a_checkpoint_first(job, undisturbed, tmp_path, monkeypatch, number, step):
    handler = signal.getsignal(number)
    with monkeypatch.context() as patch, pytest.raises(Interrupted, match=f"{number.name} at step {step} of 24"):
        at_step(patch, step, lambda: signal.raise_signal(number))
        train(job, tmp_path)
    assert steps_at_hand(tmp_path)[-1] == step
    assert signal.getsignal(number) is handler
    train(job, tmp_path)
    assert results(tmp_path) == results(undisturbed)


def test_a_signal_at_the_very_end_is_too_late(job, undisturbed, tmp_path, monkeypatch):
    at_step(monkeypatch, 24, lambda: signal.raise_signal(signal.SIGTERM))
    train(job, tmp_path)
    assert results(tmp_path) == results(undisturbed)


def test_many_interruptions_are_as_good_as_none(job, undisturbed, tmp_path, monkeypatch):
    for _ in range(7):  # three steps a session
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            at_step(patch, 3, lambda: signal.raise_signal(signal.SIGUSR1))
            train(job, tmp_path)
    train(job, tmp_path)
    assert results(tmp_path) == results(undisturbed)
    assert json.loads((tmp_path / "run.json").read_text())["sessions"] == 8


def test_death_while_a_checkpoint_is_written_falls_back_to_the_one_before(
    job, undisturbed, tmp_path, monkeypatch, caplog
):
    seal, seen = checkpoints.seal, []

    def die_at_the_second(checkpoint, record):
        seen.append(checkpoint)
        if len(seen) == 2:
            raise Crash
        seal(checkpoint, record)

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr("bioner.training.trainer.seal", die_at_the_second)
        train(job, tmp_path)
    assert steps_at_hand(tmp_path) == [6, 12]
    train(job, tmp_path)
    assert "checkpoint-12 is broken (it was never finished)" in caplog.text
    assert results(tmp_path) == results(undisturbed)


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "trainer_state.json", checkpoints.SEAL])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_corrupted_checkpoint_falls_back_to_the_one_before(
    job, undisturbed, tmp_path, monkeypatch, caplog, file, damage
):
    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, 15, crash)
        train(job, tmp_path)
    assert steps_at_hand(tmp_path) == [6, 12]
    path = tmp_path / WORKSPACE / "checkpoints" / "checkpoint-12" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x80
    {"cut": lambda: path.write_bytes(content[:100]), "flipped": lambda: path.write_bytes(content), "gone": path.unlink}[
        damage
    ]()
    train(job, tmp_path)
    assert "checkpoint-12 is broken" in caplog.text
    assert results(tmp_path) == results(undisturbed)


def test_when_no_checkpoint_is_sound_training_starts_over(job, undisturbed, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, 15, crash)
        train(job, tmp_path)
    for step in (6, 12):
        (tmp_path / WORKSPACE / "checkpoints" / f"checkpoint-{step}" / "optimizer.pt").write_bytes(b"")
    train(job, tmp_path)
    assert results(tmp_path) == results(undisturbed)


def test_early_stopping_is_remembered(job, tmp_path, monkeypatch):
    """Death between the checkpoint of the epoch that ended training and the outputs: not one epoch more is trained."""
    quick = replace(job, entry=merged(job.entry, {"train": {"epochs": 30, "patience": 1}}))
    train(quick, tmp_path / "undisturbed")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr("bioner.training.run._publish", lambda *_: crash())
        train(quick, tmp_path / "run")
    train(quick, tmp_path / "run")
    assert results(tmp_path / "run") == results(tmp_path / "undisturbed")
    assert len(results(tmp_path / "run")[1]) < 30


def test_what_a_fixed_checkpoint_is_for_another_job_starts_over(job, undisturbed, tmp_path, monkeypatch, caplog):
    other = replace(job, entry=merged(job.entry, {"train": {"learning_rate": 2e-3}}))
    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, 15, crash)
        train(other, tmp_path)
    with caplog.at_level("INFO"):
        train(job, tmp_path)
    assert "settings or data have changed since; starting over" in caplog.text
    assert results(tmp_path) == results(undisturbed)


def test_a_live_training_holds_the_newest_and_the_best_checkpoint(tmp_path):
    for step in (2, 4, 6, 8):
        (tmp_path / f"checkpoint-{step}").mkdir()
        checkpoints.rotate(tmp_path, best_step=2 if step < 8 else 8)
        kept = sorted(path.name for path in tmp_path.iterdir())
        # Where the newest is the best, the one before stays to fall back to.
        expected = {2: [2], 4: [2, 4], 6: [2, 6], 8: [6, 8]}[step]
        assert kept == [f"checkpoint-{number}" for number in expected]


def test_an_llm_goes_on_from_its_last_epoch_too(tiny_llm, sentences, tmp_path, monkeypatch):
    lora = {"r": 4, "alpha": 8, "dropout": 0.1, "targets": ["q_proj", "v_proj"]}
    entry = complete_entry("models", "tiny-llama", merged(tiny_llm, {"lora": lora, "train": {"epochs": 3}}))
    llm = Job("tiny-llama", entry, sentences, sentences, 7)
    train(llm, tmp_path / "undisturbed")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, 4, crash)
        train(llm, tmp_path / "run")
    train(llm, tmp_path / "run")
    weights = [
        (tmp_path / name / "model" / "adapter_model.safetensors").read_bytes() for name in ("run", "undisturbed")
    ]
    assert weights[0] == weights[1]


def test_two_trainings_in_one_folder_are_refused(job, tmp_path, monkeypatch):
    def another():
        with pytest.raises(InputError, match="another process that trains here"):
            train(job, tmp_path)
        crash()

    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, 3, another)
        train(job, tmp_path)


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

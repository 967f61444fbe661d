"""A real training as `bioner status` sees it from another process: at work, killed, gone on,
done.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from bioner.cli import app
from bioner.data.instances import write_instances
from bioner.io.heartbeat import lock_is_held, read_heartbeat
from bioner.training.progress import Progress
from bioner.training.run import train
from bioner.training.workspace import LOCK, WORKSPACE
from tests.unit.training.helpers import Crash, at_step, crash, results

OVERLAY = "datasets: [demo]\nmodels: [bert-mini]\nseeds: [42]\nout: {out}\n"


def row(overlay: Path) -> dict[str, object]:
    """The one row of `bioner status --csv`."""
    path = overlay.parent / "status.csv"
    done = CliRunner().invoke(app, ["status", "--config", str(overlay), "--csv", str(path)])
    assert done.exit_code == 0, done.output
    (found,) = pl.read_csv(path).to_dicts()
    return found


def folder_in(tmp_path: Path) -> tuple[Path, Path]:
    """A configuration of one cell, and the folder of its training."""
    overlay, out = tmp_path / "overlay.yaml", tmp_path / "out"
    overlay.write_text(OVERLAY.format(out=out))
    return overlay, out / "results" / "demo" / "bert-mini" / "seed42"


def test_a_training_is_seen_while_it_runs_after_it_died_and_when_it_is_done(
    job, undisturbed, tmp_path, monkeypatch
):
    overlay, folder = folder_in(tmp_path)
    assert row(overlay)["state"] == "waiting"
    seen: list[dict[str, object]] = []

    def look() -> None:
        seen.append(row(overlay))
        crash()

    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, 8, look)
        train(job, folder)
    assert (seen[0]["stage"], seen[0]["state"]) == ("train", "running")
    assert str(seen[0]["progress"]).endswith("/4")
    died = row(overlay)
    assert died["state"] == "waiting"
    assert str(died["note"]).startswith("cut short at epoch ")
    assert str(died["note"]).endswith(", goes on")
    train(job, folder)
    done = row(overlay)
    assert (done["stage"], done["state"], done["note"]) == ("predict", "waiting", None)
    assert done["dev_strict_f1"] == results(folder)[2]["dev_strict_f1"]
    assert results(folder) == results(undisturbed), "being looked at changes nothing"


@pytest.mark.slow
def test_a_training_in_another_process_is_seen_while_it_runs_and_after_it_was_killed(
    job, undisturbed, tmp_path
):
    overlay, folder = folder_in(tmp_path)
    write_instances(tmp_path / "train.jsonl", job.train)
    write_instances(tmp_path / "dev.jsonl", job.dev)
    command = [
        str(Path(sys.executable).parent / "bioner"),
        "train",
        "tiny-bert",
        "--entry",
        json.dumps(job.entry.canonical()),
    ]
    command += ["--data", str(tmp_path), "--out", str(folder), "--seed", str(job.seed)]
    process = subprocess.Popen(command)
    try:
        limit = time.monotonic() + 300
        while not list((folder / WORKSPACE / "checkpoints").glob("checkpoint-*/manifest.json")):
            assert process.poll() is None, "the training ended before it could be looked at"
            assert time.monotonic() < limit
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)  # so that it does not end while it is looked at
        seen = row(overlay)
    finally:
        process.kill()
        process.wait()
    assert (seen["stage"], seen["state"]) == ("train", "running")
    killed = row(overlay)
    assert killed["state"] == "waiting"
    assert str(killed["note"]).startswith("cut short at epoch ")
    assert str(killed["note"]).endswith(", goes on")
    assert subprocess.run(command, check=False).returncode == 0
    assert row(overlay)["stage"] == "predict"
    assert results(folder) == results(undisturbed), "being looked at changes nothing"


def test_signs_tell_step_epoch_and_the_best_f1_so_far(job, tmp_path, monkeypatch):
    """Six steps an epoch; the sign is left at every step here, and the crash comes in the pass
    after the fourteenth.
    """
    monkeypatch.setattr("bioner.training.progress.SILENCE", -1)
    scores = iter((40.0, 30.0))
    monkeypatch.setattr(
        "bioner.training.classifier.ClassifierDevScorer.scores",
        lambda *_: {"strict_f1": next(scores)},
    )
    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, 15, crash)
        train(job, tmp_path)
    sign = read_heartbeat(tmp_path / WORKSPACE / "checkpoints" / "progress.json")
    assert sign is not None
    assert (sign.step, sign.steps, sign.epochs) == (14, 24, 4)
    assert sign.epoch == pytest.approx(14 / 6, abs=0.01)
    assert (sign.seconds_left or 0) > 0
    assert sign.dev_strict_f1 == 40


def test_the_lock_of_a_training_is_the_one_that_is_asked_for(observed):
    assert observed.locked == [True]
    assert not lock_is_held(observed.folder / LOCK, None, 0)


def test_signs_left_at_every_step_change_no_bit(observed, undisturbed):
    assert results(observed.folder) == results(undisturbed)


def test_a_terminal_s_bar_is_gone_when_training_ends(observed):
    assert observed.closed == [None]


def test_a_terminal_s_bar_is_gone_when_training_dies(job, tmp_path, monkeypatch):
    closed, close = [], Progress.close

    def noted(self: Progress) -> None:
        close(self)
        closed.append(self._meter)

    monkeypatch.setattr(Progress, "close", noted)
    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, 3, crash)
        train(job, tmp_path / "dies")
    assert closed == [None]

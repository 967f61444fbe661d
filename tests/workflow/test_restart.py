"""A run that is shot down in the middle of a training: the same command goes on where it was."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from tests.workflow.snakemake import REPOSITORY, run

CELL = "results/tiny/bert-mini/seed42"
SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def configured(folder: Path) -> None:
    config = yaml.safe_load((folder / "tiny.yaml").read_text())
    train = {"epochs": 60, "batch_size": 1, "patience": None}
    settings = {"source": {"scratch": {"vocabulary": 300, "config": SMALL}}, "train": train}
    config |= {"models": ["bert-mini"], "seeds": [42], "settings": {"bert-mini": settings}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))


def shot(folder: Path, whom: str) -> None:
    """Start a run and kill -9, after some epochs, the training, or Snakemake and all that it started."""
    snakemake = [str(Path(sys.executable).parent / "snakemake"), "--snakefile", str(REPOSITORY / "Snakefile")]
    options = ["--directory", str(folder), "--configfile", str(folder / "tiny.yaml"), "--cores", "1"]
    process = subprocess.Popen(
        [*snakemake, *options, f"{CELL}/run.json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    checkpoints = folder / CELL / ".training" / "checkpoints"
    for _ in range(6000):
        if len(list(checkpoints.glob("checkpoint-*/sealed.json"))) > 1:
            break
        time.sleep(0.01)
    family = psutil.Process(process.pid).children(recursive=True)
    training = [child for child in family if child.name().startswith("bioner")]
    assert training, "no training to shoot"
    for victim in training if whom == "training" else [psutil.Process(process.pid), *family]:
        victim.send_signal(signal.SIGKILL)
    assert process.wait(60) != 0


@pytest.mark.parametrize("whom", ["training", "everything"])
def test_a_run_that_was_shot_goes_on(folder, whom):
    configured(folder)
    shot(folder, whom)
    left = sorted(
        int(path.name.split("-")[1]) for path in (folder / CELL / ".training/checkpoints").glob("checkpoint-*")
    )
    assert not (folder / CELL / "run.json").exists()
    if whom == "everything":
        run(folder, "--unlock")
    run(folder, f"{CELL}/run.json", *(["--rerun-incomplete"] if whom == "everything" else []))
    record = json.loads((folder / CELL / "run.json").read_text())
    assert record["sessions"] == 2
    assert left[0] > 0
    assert sorted(path.name for path in (folder / CELL).iterdir()) == ["history.csv", "model", "run.json"]
    said = (folder / "logs/train/tiny/bert-mini/seed42.log").read_text()
    assert "going on from step" in said

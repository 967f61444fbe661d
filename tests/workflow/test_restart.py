"""A run that is shot down in the middle of a training: the same command goes on where it was."""

import json
from pathlib import Path

import psutil
import pytest
import yaml

from tests import forked
from tests.conftest import wait_for
from tests.workflow.snakemake import REPOSITORY, run

CELL = "results/tiny/bert-mini/seed42"
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def configured(folder: Path) -> None:
    config = yaml.safe_load((folder / "tiny.yaml").read_text())
    train = {"epochs": 25, "batch_size": 1, "patience": None}
    settings = {"source": {"scratch": {"vocabulary": 300, "config": SMALL}}, "train": train}
    config |= {"models": ["bert-mini"], "seeds": [42], "model_overrides": {"bert-mini": settings}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))


def shoot(folder: Path, whom: str) -> None:
    """Start a run and kill -9, after some epochs, the training, or Snakemake and all that it
    started.
    """
    options = ["--directory", folder, "--configfile", folder / "tiny.yaml", "--cores", "1"]
    command = ["snakemake", "--snakefile", REPOSITORY / "Snakefile", *options, f"{CELL}/run.json"]
    run = forked.start(command, folder, folder / "said")
    try:
        checkpoints = folder / CELL / ".training" / "checkpoints"
        wait_for(lambda: len(list(checkpoints.glob("checkpoint-*/manifest.json"))) > 1)
        (training,) = forked.running("bioner")
        family = [] if whom == "training" else psutil.Process(run.pid).children(recursive=True)
        for victim in (
            [training] if whom == "training" else [psutil.Process(run.pid), training, *family]
        ):
            victim.kill()
        assert run.wait(300) != 0
    finally:
        run.end()


@pytest.mark.parametrize("whom", ["training", "everything"])
def test_a_run_that_was_shot_goes_on(folder, whom):
    configured(folder)
    shoot(folder, whom)
    left = sorted(
        int(path.name.split("-")[1])
        for path in (folder / CELL / ".training/checkpoints").glob("checkpoint-*")
    )
    assert not (folder / CELL / "run.json").exists()
    if whom == "everything":
        run(folder, "--unlock")
    run(folder, f"{CELL}/run.json", *(["--rerun-incomplete"] if whom == "everything" else []))
    record = json.loads((folder / CELL / "run.json").read_text())
    assert record["sessions"] == 2
    assert left[0] > 0
    assert sorted(path.name for path in (folder / CELL).iterdir()) == [
        "history.csv",
        "model",
        "run.json",
    ]
    said = (folder / "logs/train/tiny/bert-mini/seed42.log").read_text()
    assert "going on from step" in said

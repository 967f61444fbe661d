"""Archives as users make and unpack them: after `tar` and `sha256sum`, Snakemake finds nothing to do."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests import forked
from tests.workflow.snakemake import REPOSITORY, dry_run, jobs, planned, run, snakemake

SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def archive(folder: Path, *arguments: str) -> str:
    """Run `bioner archive` in a folder; what it says."""
    done = forked.run(["bioner", "archive", *arguments], folder)
    assert done.returncode == 0, done.stderr
    return done.stderr


def unpacked(file: Path, folder: Path) -> Path:
    """A fresh folder with what `tar` takes out of an archive, compared with its checksums by `sha256sum`."""
    folder.mkdir()
    subprocess.run(["tar", "-xzf", file], cwd=folder, check=True)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "MANIFEST.sha256"], cwd=folder, check=True)
    return folder


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_demo_s_controls_are_packed_unpacked_elsewhere_and_not_run_again(tmp_path):
    (tmp_path / "controls.yaml").write_text(yaml.safe_dump({"models": ["oracle", "dictionary"]}))
    configured = ("--configfile", str(REPOSITORY / "config/demo.yaml"), str(tmp_path / "controls.yaml"))
    work = tmp_path / "work"
    done = snakemake(work, *configured, "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    archive(work, "runs/demo", "--to", "../demo.tar.gz")
    archive(work / "runs", "demo", "--to", "../../again.tar.gz")
    assert (tmp_path / "demo.tar.gz").read_bytes() == (tmp_path / "again.tar.gz").read_bytes()
    assert "files are as they were packed" in archive(tmp_path, "--check", "demo.tar.gz")

    fresh = unpacked(tmp_path / "demo.tar.gz", tmp_path / "fresh")
    said = dry_run(fresh, *configured)
    assert jobs(said) == {}
    assert "Migrating" not in said
    assert below(fresh / "runs") == below(work / "runs")
    old, new = (path / "runs/demo/reports/report.html" for path in (work, fresh))
    assert new.stat().st_mtime == old.stat().st_mtime
    # The proof that the records came along: without them a change of a parameter goes unnoticed.
    changed = jobs(dry_run(fresh, *configured, "--config", "scoring={length_cuts: [1, 2, 3]}"))
    assert {"score", "gather", "report"} <= changed.keys()
    assert not {"fetch", "normalize", "predict", "realign"} & changed.keys()


@pytest.mark.slow
def test_a_trained_model_is_left_behind_and_not_trained_again(folder):
    config = yaml.safe_load((folder / "tiny.yaml").read_text())
    source = {"scratch": {"vocabulary": 300, "config": SMALL}}
    settings = {"source": source, "train": {"epochs": 1}, "search": {"learning_rate": [1.0e-2, 1.0e-3]}}
    config |= {"models": ["dictionary", "bert-mini"], "seeds": [1, 2], "settings": {"bert-mini": settings}}
    config |= {"timing": {"sentences": 1, "batch_sizes": [1], "repeats": 1}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    run(folder)
    archive(folder, "--to", "bare.tar.gz")
    archive(folder, "--to", "whole.tar.gz", "--weights")
    bare, whole = (unpacked(folder / f"{name}.tar.gz", folder / name) for name in ("bare", "whole"))
    for fresh in (bare, whole):
        (fresh / "tiny.yaml").write_bytes((folder / "tiny.yaml").read_bytes())
        assert planned(fresh) == {}
        changed = planned(fresh, "--config", "scoring={length_cuts: [1, 2, 3]}")
        assert {"score", "gather", "report"} <= changed.keys()
        assert not {"trial", "adopt", "train", "predict", "time"} & changed.keys()
    weights = {name for name in below(whole) if "/model/" in name}
    assert below(whole) - below(bare) == weights
    assert {name.split("/")[3] for name in weights} == {"seed1", "seed2"}, "the winner's weights are seed 1's"

    for fresh in (bare, whole):
        (fresh / "results/tiny/bert-mini/seed2/direct/raw.jsonl.gz").unlink()
        (fresh / "results/tiny/bert-mini/seed2/direct/predictions.jsonl").unlink()
    assert planned(whole)["predict"] == 1
    assert "train" not in planned(whole), "with the weights a prediction is made again"
    assert planned(bare)["train"] == 1, "without them the model is"

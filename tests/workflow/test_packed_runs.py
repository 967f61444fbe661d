"""A run packed as docs/hpc.md says: unpacked elsewhere, Snakemake finds nothing to do."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.workflow.snakemake import REPOSITORY, dry_run, jobs, planned, run, snakemake

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def pack(folder: Path, out: str, *options: str) -> Path:
    """Pack the run in a folder by the commands of docs/hpc.md, for its `out` and with further
    options.
    """
    (commands,) = re.findall(
        r"^tar [^`]*", (REPOSITORY / "docs/hpc.md").read_text(), flags=re.MULTILINE
    )
    commands = commands.replace("runs/paper", out).replace("tar ", f"tar {' '.join(options)} ", 1)
    subprocess.run(
        ["bash", "-euc", commands],
        cwd=folder,
        env=os.environ | {"HOME": str(folder.parent)},
        check=True,
    )
    return folder.parent / "run.tar.gz"


def unpacked(file: Path, folder: Path) -> Path:
    """A fresh folder with what `tar` takes out of an archive that is whole."""
    folder.mkdir()
    subprocess.run(
        ["sha256sum", "--check", "--quiet", f"{file.name}.sha256"], cwd=file.parent, check=True
    )
    subprocess.run(["tar", "-xzf", file], cwd=folder, check=True)
    return folder


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_demo_s_controls_unpacked_elsewhere_are_not_run_again(tmp_path):
    (tmp_path / "controls.yaml").write_text(yaml.safe_dump({"models": ["oracle", "dictionary"]}))
    configured = (
        "--configfile",
        str(REPOSITORY / "config/demo.yaml"),
        str(tmp_path / "controls.yaml"),
    )
    work = tmp_path / "work"
    done = snakemake(work, *configured, "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    fresh = unpacked(pack(work, "runs/demo"), tmp_path / "fresh")
    said = dry_run(fresh, *configured)
    assert jobs(said) == {}
    assert "Migrating" not in said
    assert below(fresh / "runs") == below(work / "runs")
    old, new = (path / "runs/demo/reports/report.html" for path in (work, fresh))
    assert new.stat().st_mtime == old.stat().st_mtime
    # The proof that the records came along: without them a change of a parameter goes unnoticed.
    changed = jobs(dry_run(fresh, *configured, "--config", "scoring={length_cuts: [1, 2, 3]}"))
    assert {"score", "merge_scores", "report"} <= changed.keys()
    assert not {"fetch", "normalize", "predict", "realign"} & changed.keys()


@pytest.mark.slow
def test_a_trained_model_is_left_behind_and_not_trained_again(folder):
    config = yaml.safe_load((folder / "tiny.yaml").read_text())
    source = {"scratch": {"vocabulary": 300, "config": SMALL}}
    settings = {
        "source": source,
        "train": {"epochs": 1},
        "search_space": {"learning_rate": [1.0e-2, 1.0e-3]},
    }
    config |= {
        "models": ["dictionary", "bert-mini"],
        "seeds": [1, 2],
        "model_overrides": {"bert-mini": settings},
    }
    config |= {"timing": {"sentences": 1, "batch_sizes": [1], "repeats": 1}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    run(folder)
    parts = "data results reports logs"
    bare = unpacked(pack(folder, parts, "--exclude='seed*/model'"), folder.parent / "bare")
    whole = unpacked(pack(folder, parts), folder.parent / "whole")
    for fresh in (bare, whole):
        (fresh / "tiny.yaml").write_bytes((folder / "tiny.yaml").read_bytes())
        assert planned(fresh) == {}
        changed = planned(fresh, "--config", "scoring={length_cuts: [1, 2, 3]}")
        assert {"score", "merge_scores", "report"} <= changed.keys()
        assert not {"trial", "train", "predict", "time"} & changed.keys()
    weights = {name for name in below(whole) if "/model/" in name}
    assert below(whole) - below(bare) == weights
    assert {name.split("/")[3] for name in weights} == {"seed1", "seed2"}, "trials have none"

    again = ("--forcerun", "score")
    for fresh in (bare, whole):
        (fresh / "results/tiny/bert-mini/seed2/direct/raw.jsonl.gz").unlink()
        (fresh / "results/tiny/bert-mini/seed2/direct/predictions.jsonl").unlink()
    assert planned(whole, *again)["predict"] == 1
    assert "train" not in planned(whole, *again), "with the weights a prediction is made again"
    assert planned(bare, *again)["train"] == 1, "without them the model is"

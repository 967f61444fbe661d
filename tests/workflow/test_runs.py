"""Real runs of the workflow on a corpus of a few sentences: partial reruns, and the demo cut down
to seconds.
"""

import json
import os
import time
from pathlib import Path

import polars as pl
import pytest
import yaml

from bioner.io.checksums import sha256_of
from tests.workflow.model_folder import model_folder
from tests.workflow.snakemake import dry_run, jobs, planned, run, snakemake

SCORES = "results/tiny/dictionary/scores.csv"
# Resamples and swaps; how many there are changes what intervals are worth, not how they are come
# by.
FEW = {"scoring": {"bootstrap": 200}, "compare": {"resamples": 200}}


def test_one_cell_from_start_to_finish_and_what_makes_parts_of_it_run_again(folder):
    run(folder, SCORES)
    assert sorted(path.name for path in (folder / "results" / "tiny").iterdir()) == ["dictionary"]
    assert planned(folder, SCORES) == {}, "a second call does nothing"

    changed = ("--config", "scoring={length_cuts: [1, 2, 3]}")
    assert planned(folder, SCORES, *changed) == {"score": 1, "merge_scores": 1}, (
        "a scoring option reruns scoring alone"
    )

    assert planned(folder, SCORES, "--config", f"mirror={folder}") == {}, (
        "where files come from changes nothing"
    )
    catalogue = yaml.safe_load((folder / "datasets.yaml").read_text())
    catalogue["tiny"]["license"] = "another licence line"
    (folder / "datasets.yaml").write_text(yaml.safe_dump(catalogue))
    assert planned(folder, SCORES) == {}, "nor does what a corpus is described as"


def test_a_deleted_prediction_is_made_again_when_scoring_is_forced_or_scores_are_asked_for(folder):
    run(folder, SCORES)
    cell = folder / "results" / "tiny" / "dictionary" / "seed42" / "direct"
    before = (cell / "predictions.jsonl").read_bytes()
    (cell / "predictions.jsonl").unlink()
    assert planned(folder, SCORES) == {}, "as Snakemake has it: what was made of it is there"
    again = {"realign": 1, "score": 1, "merge_scores": 1}
    assert planned(folder, SCORES, "--forcerun", "score") == again
    (cell / "scores.csv").unlink()
    (folder / SCORES).unlink()
    assert run(folder, SCORES) == again
    assert (cell / "predictions.jsonl").read_bytes() == before
    assert planned(folder, SCORES) == {}

    scores = pl.read_csv(folder / SCORES).filter(
        scorer="semeval", scheme="strict", stratum="all", label="all"
    )
    # The dictionary knows aspirin, tooth ache and severe head ache: all four test entities.
    assert scores.select("correct", "possible", "actual").row(0) == (4, 4, 4)


def test_the_controls_make_a_report_and_the_same_bytes_twice(folder):
    run(folder)
    reports = sorted((folder / "reports").glob("*.csv"))
    first = {path.name: path.read_bytes() for path in reports}
    assert set(first) == {
        "alignment.csv",
        "calibration.csv",
        "cells.csv",
        "conventions.csv",
        "corpora.csv",
        "corpora_mean.csv",
        "cost.csv",
        "errors.csv",
        "paper_scoring.csv",
        "price.csv",
        "provenance.csv",
        "scores.csv",
        "search.csv",
        "significance.csv",
        "stability.csv",
        "subsets.csv",
        "table1_instances.csv",
        "table2_test_entities.csv",
        "table3_strict.csv",
        "table4_inference_time.csv",
        "table5_relaxed.csv",
    }
    run(folder, "--forceall")
    again = {path.name: path.read_bytes() for path in reports}
    assert first.pop("provenance.csv") != again.pop("provenance.csv"), "it has the times"
    assert again == first
    strict = pl.read_csv(folder / "reports" / "table3_strict.csv").filter(length="all")
    assert dict(strict.select("model", "f1").iter_rows()) == {
        "oracle": 100,
        "all-o": 0,
        "dictionary": 100,
    }


@pytest.mark.parametrize(
    ("corpus", "models"),
    [
        ("tiny", ["bert-mini"]),
        ("tiny", ["llama-mini"]),
        pytest.param("demo", ["bert-mini", "llama-mini"], marks=pytest.mark.slow),
    ],
)
def test_learned_models_go_through_every_stage(folder, corpus, models):
    """One epoch each: every stage, not every point of F1. (`make demo` is the whole, with both.)"""
    small = {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    train = {"sentences": 40, "epochs": 1}
    settings = {
        "bert-mini": {"source": {"scratch": {"config": small}}, "train": train},
        "llama-mini": {
            "source": {"scratch": {"copy_steps": 2, "config": small | {"num_key_value_heads": 1}}},
            "train": train,
        },
    }
    timing = {"sentences": 2, "batch_sizes": [1], "repeats": 1}
    config = yaml.safe_load((folder / "tiny.yaml").read_text())
    config |= {"datasets": [corpus], "models": models, "seeds": [42]}
    config |= {"model_overrides": settings, "timing": timing, "decodings": ["constrained"], **FEW}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    run(folder)
    strict = pl.read_csv(folder / "reports" / "table3_strict.csv").filter(length="all")
    assert strict["model"].to_list() == models
    compared = pl.read_csv(folder / "reports" / "significance.csv").filter(
        stratum="all", measure="f1", label="all"
    )
    both = [("primary", "llama-mini", "bert-mini", "constrained")] if len(models) > 1 else []
    assert (
        list(compared.select("family", "model", "baseline_model", "decoding").iter_rows()) == both
    )
    calibrated = pl.read_csv(folder / "reports" / "calibration.csv")
    assert calibrated["model"].to_list() == models
    timed = pl.read_csv(folder / "reports" / "table4_inference_time.csv")
    assert set(timed["model"]) == set(models)
    assert (timed["seconds_per_sample"] > 0).all()
    page = (folder / "reports" / "report.html").read_text()
    assert all(model in page for model in models)
    asked = page.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert "http" not in asked, "the page asks nobody for anything"


def test_times_that_a_purge_of_scratch_makes_people_touch_are_no_reason_to_run(folder):
    """Raw files, folders and all: what they hold is known by checksums."""
    run(folder, SCORES)
    raw = folder / "data/tiny/raw"
    assert json.loads((folder / "data/tiny/raw.json").read_text()) == {
        f"{split}.txt": sha256_of(raw / f"{split}.txt") for split in ("train", "dev", "test")
    }
    later = time.time() + 60
    for path in (
        raw,
        *raw.iterdir(),
        folder / "data/tiny/raw.json",
        folder / "data/tiny/train.jsonl",
    ):
        os.utime(path, (later, later))
    assert planned(folder, SCORES) == {}


def trained_before(folder: Path, **source: object) -> Path:
    """Files of bert-mini as an earlier run left them, in the order they were made; its seed."""
    config = yaml.safe_load((folder / "tiny.yaml").read_text())
    config |= {"models": ["bert-mini"], "seeds": [42]}
    config["model_overrides"] = {"bert-mini": {"source": source}} if source else {}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    data, seed = folder / "data/tiny", folder / "results/tiny/bert-mini/seed42"
    for place in (data / "raw", seed / "model", seed / "direct"):
        place.mkdir(parents=True)
    instances = [
        data / name
        for name in ("train.jsonl", "dev.jsonl", "test.jsonl", "stats.csv", "changes.csv")
    ]
    now = time.time()
    made = [
        data / "raw",
        data / "raw.json",
        *instances,
        seed / "model",
        seed / "history.csv",
        seed / "run.json",
        seed / "direct/raw.jsonl.gz",
    ]
    for age, path in enumerate(reversed([*made, seed / "direct/run.json"])):
        if not path.is_dir():
            path.write_text(path.name)
        os.utime(path, (now - 60 * age - 600,) * 2)
    return seed


def test_a_training_is_known_by_its_record_and_not_by_the_times_of_its_weights(folder):
    """Files as an earlier run left them, then the weights touched, then another training in their
    place.
    """
    seed = trained_before(folder)
    os.utime(seed / "model")
    target = str((seed / "direct/raw.jsonl.gz").relative_to(folder))
    assert planned(folder, target) == {}
    (seed / "run.json").write_text("another training")
    assert planned(folder, target) == {"predict": 1}


def test_a_model_that_was_trained_needs_the_folder_that_it_came_from_no_more(folder):
    seed = trained_before(folder, hub="./gone", scratch=None)
    target = str((seed / "direct/raw.jsonl.gz").relative_to(folder))
    assert planned(folder, target) == {}
    (seed / "run.json").unlink()
    done = snakemake(folder, target, "--configfile", str(folder / "tiny.yaml"), "--dry-run")
    assert done.returncode != 0
    assert "bert-mini: source.hub ./gone: no such folder" in done.stdout + done.stderr


def test_a_training_is_planned_again_if_the_weights_of_its_folder_change(folder):
    """And not if they were only touched, or are gone."""
    weights = folder / "base" / "model.safetensors"
    model_folder(folder / "base")
    seed = trained_before(folder, hub="./base", scratch=None)
    target = str((seed / "run.json").relative_to(folder))
    given = ("--configfile", str(folder / "tiny.yaml"), "--cores", "1", "--touch", "--forceall")
    assert snakemake(folder, target, *given).returncode == 0  # its parameters are recorded
    assert planned(folder, target) == {}
    os.utime(weights)
    assert planned(folder, target) == {}
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + b"1")
    assert planned(folder, target) == {"train": 1}
    weights.unlink()
    assert planned(folder, target) == {}


def test_what_another_version_recorded_is_no_obstacle(folder):
    """Files fetched by a workflow whose parameters were others are planned anew, not stumbled
    over.
    """
    run(folder, "results/tiny/all-o/scores.csv")
    for record in (folder / ".snakemake" / "metadata").iterdir():
        known = json.loads(record.read_text())
        if known["rule"] == "fetch":
            record.write_text(json.dumps(known | {"params": ["'--mirror somewhere'"]}))
    assert planned(folder, "results/tiny/all-o/scores.csv")["fetch"] == 1


def test_ensembles_are_scored_and_compared_like_any_other_system(folder):
    """All-o has a vote and never wins: two of the other two are the majority."""
    members = ["oracle", "dictionary", "all-o"]
    (folder / "models.yaml").write_text(
        yaml.safe_dump({"vote": {"family": "ensemble", "members": members}})
    )
    config = yaml.safe_load((folder / "tiny.yaml").read_text())
    config["catalogues"]["models"] = ["config/models.yaml", str(folder / "models.yaml")]
    config |= {"models": ["dictionary", "vote"], "seeds": [1, 2]}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    run(folder)
    scores = pl.read_csv(folder / "reports" / "scores.csv")
    strict = scores.filter(scorer="semeval", scheme="strict", stratum="all", label="all").select(
        "model", "seed", "f1"
    )
    (dictionary,) = strict.filter(model="dictionary")["f1"]
    assert strict.filter(model="vote").rows() == [("vote", 1, dictionary), ("vote", 2, dictionary)]
    compared = pl.read_csv(folder / "reports" / "significance.csv")
    assert set(
        compared.select("model", "baseline_model", "baseline_seeds", "difference").rows()
    ) == {("dictionary", "vote", 2, 0.0)}
    page = (folder / "reports" / "report.html").read_text()
    assert ">Ensembles</text>" in page, "the key of a figure has its family"
    assert ">Encoders</text>" not in page


def test_the_best_of_dev_are_chosen_for_ensembles_too(tmp_path):
    planned = jobs(
        dry_run(
            tmp_path,
            "results/demo/best-union/scores.csv",
            "--config",
            "datasets=[demo]",
            "models=[bert-mini,llama-mini]",
            "seeds=[42]",
        )
    )
    # Both members on dev, to choose them, and on test.
    assert (planned["train"], planned["predict"], planned["select_best"], planned["ensemble"]) == (
        2,
        4,
        1,
        1,
    )


# tests/golden holds tables and scores of these corpora against the paper's, in process
@pytest.mark.slow
@pytest.mark.skipif(
    "BIONER_MIRROR" not in os.environ,
    reason="no real corpora: set BIONER_MIRROR to a mirror folder",
)
def test_real_corpora_with_the_controls_equal_the_paper_s_tables(tmp_path):
    overlay = {"datasets": ["JNLPBA", "BC5CDR"], "models": ["oracle", "all-o", "dictionary"], **FEW}
    (tmp_path / "real.yaml").write_text(yaml.safe_dump(overlay))
    done = snakemake(tmp_path, "--configfile", str(tmp_path / "real.yaml"), "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    for table in ("table1_instances", "table2_test_entities"):
        counts = pl.read_csv(tmp_path / "reports" / f"{table}.csv")
        assert counts["difference"].to_list() == [0] * len(counts)
        assert set(counts["dataset"]) == {"JNLPBA", "BC5CDR"}
    scores = pl.read_csv(tmp_path / "reports" / "scores.csv")
    assert (
        set(scores.filter(model="oracle")["recall"])
        == set(scores.filter(model="oracle")["f1"].drop_nulls())
        == {100.0}
    )
    assert (
        set(scores.filter(model="all-o")["recall"])
        == set(scores.filter(model="all-o")["f1"].drop_nulls())
        == {0.0}
    )
    strict = scores.filter(
        model="dictionary", scorer="semeval", scheme="strict", stratum="all", label="all"
    )
    for row in strict.iter_rows(named=True):
        assert row["f1_ci_low"] < row["f1"] < row["f1_ci_high"], (
            "both corpora have intervals by document"
        )
    assert 70 < strict.filter(dataset="BC5CDR")["f1"].item() < 71.5

"""`bioner plan` counts the jobs of Snakemake's graph, and of its dry-run where part is done."""

import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
import yaml

from bioner.io.tables import read_table
from bioner.ops.planning.jobs import PlannedJob, outputs_of
from bioner.ops.planning.plan import PLAN, jobs_by_rule
from tests import forked
from tests.workflow.model_folder import model_folder
from tests.workflow.snakemake import REPOSITORY, dry_run, jobs, run, snakemake

ENCODERS = ["bert-large-uncased", "bert-large-cased", "biomedbert-large", "deberta-v3-large"]


def table_of(folder: Path, *overlays: Path) -> pl.DataFrame:
    """The table that `bioner plan` writes in that folder."""
    options = [f"--config={overlay}" for overlay in overlays]
    done = forked.run(["bioner", "plan", *options, "--out", folder / "plan.csv"], folder)
    assert done.returncode == 0, done.stderr
    return read_table(folder / "plan.csv", PLAN)


def in_graph(folder: Path, *overlays: Path) -> dict[str, int]:
    """Jobs by rule of Snakemake's graph, including the corpus that users supply."""
    (folder / "data/Reddit-Impacts/raw").mkdir(parents=True)
    options = ["--configfile", *map(str, overlays)] if overlays else []
    done = snakemake(folder, "--d3dag", *options)
    assert done.returncode == 0, done.stderr
    found = Counter(node["value"]["rule"] for node in json.loads(done.stdout)["nodes"])
    del found["all"]  # which does nothing
    return dict(found)


def in_dry_run(folder: Path, overlay: Path) -> dict[str, int]:
    """Jobs by rule that the dry-run would do; without `all`."""
    found = jobs(dry_run(folder, "--configfile", str(overlay)))
    return {rule: count for rule, count in found.items() if rule not in ("total", "all")}


def overlay_of(folder: Path, **settings: object) -> Path:
    """Write a configuration file of these settings."""
    path = folder / "overlay.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.mark.parametrize("name", ["demo", "ablations", "quick"])
def test_configurations_that_ship_have_the_jobs_that_snakemake_counts(tmp_path, name):
    overlay = REPOSITORY / "config" / f"{name}.yaml"
    assert jobs_by_rule(table_of(tmp_path, overlay)) == in_graph(tmp_path, overlay)


def test_the_full_matrix_has_the_jobs_that_snakemake_counts(tmp_path):
    planned = jobs_by_rule(table_of(tmp_path))
    assert planned == in_graph(tmp_path)
    assert (planned["trial"], planned["compare_corpora"]) == (5 * (4 * 12 + 2 * 2), 1)


MATRICES = {
    "no search": {"run_search": False, "datasets": ["BC5CDR"]},
    # The best of each family, chosen on dev; votes; unnamed members; another model's draft.
    "ensembles": {
        "datasets": ["BioRED", "JNLPBA"],
        "models": [
            "dictionary",
            "best-union",
            "vote-of-six",
            "bert-large-cased",
            "llama-8b",
            "mistral-7b-head",
        ],
        "model_overrides": {"llama-8b": {"predict": {"draft": "biomedbert-large"}}},
        "seeds": [1, 2],
    },
    "one decoding": {
        "models": ["mistral-7b", *ENCODERS],
        "decodings": ["free-paper"],
        "datasets": ["BC5CDR"],
    },
    "controls": {"models": ["oracle", "all-o", "dictionary"]},
    "one system": {
        "models": ["oracle", "deberta-v3-large"],
        "seeds": [7],
        "datasets": ["demo", "JNLPBA"],
    },
    "a folder of the user's": {
        "models": ["minilm", "llama-mini"],
        "datasets": ["demo"],
        "model_overrides": {"minilm": {"source": {"hub": "./model"}}},
    },
}


@pytest.mark.parametrize("name", MATRICES)
def test_any_matrix_has_the_jobs_that_snakemake_counts(tmp_path, name):
    model_folder(tmp_path / "model")
    overlay = overlay_of(tmp_path, **MATRICES[name])
    planned = jobs_by_rule(table_of(tmp_path, overlay))
    assert planned == in_graph(tmp_path, overlay)
    assert ("trial" in planned) == (name in ("ensembles", "one decoding", "one system"))


def test_what_is_done_is_not_counted_among_what_is_to_come(folder):
    overlay = folder / "tiny.yaml"
    run(folder, "results/tiny/dictionary/scores.csv")
    table = table_of(folder, overlay)
    assert jobs_by_rule(table) == in_dry_run(folder, overlay)
    done = table.filter(pl.col("done") > 0).select("model", "rule", "jobs", "done").rows()
    assert done == [
        (None, "fetch", 1, 1),
        (None, "normalize", 1, 1),
        *(("dictionary", rule, 1, 1) for rule in ("predict", "realign", "score", "merge_scores")),
    ]
    run(folder)
    assert jobs_by_rule(table_of(folder, overlay)) == in_dry_run(folder, overlay) == {}
    reports = {str(path.relative_to(folder)) for path in (folder / "reports").iterdir()}
    assert reports == {*outputs_of(PlannedJob("report"))}

    results = folder / "results/tiny/oracle"
    for name in ("raw.jsonl.gz", "predictions.jsonl"):
        (results / "seed42/direct" / name).unlink()
    assert jobs_by_rule(table_of(folder, overlay)) == in_dry_run(folder, overlay) == {}
    for path in (results / "scores.csv", results / "seed42/direct/scores.csv"):
        path.unlink()
    (folder / "reports/report.html").unlink()
    again = {"predict": 1, "realign": 1, "score": 1, "merge_scores": 1, "report": 1}
    assert jobs_by_rule(table_of(folder, overlay)) == in_dry_run(folder, overlay) == again


def test_a_system_that_is_added_to_a_finished_run_is_to_come(folder):
    settings = yaml.safe_load((folder / "tiny.yaml").read_text())
    overlay = folder / "tiny.yaml"
    overlay.write_text(yaml.safe_dump(settings | {"models": ["oracle"]}))
    run(folder)
    overlay.write_text(yaml.safe_dump(settings | {"models": ["oracle", "all-o"]}))
    added = {"predict": 1, "realign": 1, "score": 1, "merge_scores": 1, "report": 1}
    assert jobs_by_rule(table_of(folder, overlay)) == in_dry_run(folder, overlay) == added

"""`bioner plan` counts what Snakemake's dry-run counts: on an empty folder, and where part of a run
is done.
"""

from pathlib import Path

import polars as pl
import pytest
import yaml

from bioner.io.tables import read_table
from bioner.ops.planning.plan import PLAN, jobs_by_rule
from tests import forked
from tests.workflow.snakemake import REPOSITORY, dry_run, jobs, run

ENCODERS = ["bert-large-uncased", "bert-large-cased", "biomedbert-large", "deberta-v3-large"]


def table_of(folder: Path, *overlays: Path) -> pl.DataFrame:
    """The table that the command writes, started in that folder."""
    options = [f"--config={overlay}" for overlay in overlays]
    done = forked.run(["bioner", "plan", *options, "--out", folder / "plan.csv"], folder)
    assert done.returncode == 0, done.stderr
    return read_table(folder / "plan.csv", PLAN)


def by_snakemake(folder: Path, *overlays: Path) -> dict[str, int]:
    """Jobs by rule of the dry-run; without `all`, which does nothing."""
    found = jobs(dry_run(folder, *(["--configfile", *map(str, overlays)] if overlays else [])))
    return {rule: count for rule, count in found.items() if rule not in ("total", "all")}


def overlay_of(folder: Path, **settings: object) -> Path:
    """A configuration of a test's own."""
    path = folder / "overlay.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.mark.parametrize("name", ["demo", "ablations", "quick"])
def test_configurations_that_ship_have_the_jobs_that_snakemake_counts(tmp_path, name):
    overlay = REPOSITORY / "config" / f"{name}.yaml"
    assert jobs_by_rule(table_of(tmp_path, overlay)) == by_snakemake(tmp_path, overlay)


@pytest.mark.parametrize("search", [True, False])
def test_all_models_have_the_jobs_that_snakemake_counts(tmp_path, search):
    """On one corpus of the five: test_matrix counts them on all."""
    overlay = overlay_of(tmp_path, run_search=search, datasets=["BC5CDR"])
    planned = jobs_by_rule(table_of(tmp_path, overlay))
    assert planned == by_snakemake(tmp_path, overlay)
    assert planned.get("trial", 0) == (4 * 12 + 2 * 2 if search else 0)


@pytest.mark.slow
def test_the_full_matrix_has_the_jobs_that_snakemake_counts(tmp_path):
    planned = jobs_by_rule(table_of(tmp_path))
    assert planned == by_snakemake(tmp_path)
    assert planned["trial"] == 5 * (4 * 12 + 2 * 2)


MATRICES = {
    # The best of each family chosen on dev, votes, members that the run does not name, and a draft
    # of another model's.
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
        "model_overrides": {"minilm": {"source": {"hub": str(REPOSITORY / "resources")}}},
    },
}


@pytest.mark.parametrize("name", MATRICES)
def test_any_matrix_has_the_jobs_that_snakemake_counts(tmp_path, name):
    overlay = overlay_of(tmp_path, **MATRICES[name])
    assert jobs_by_rule(table_of(tmp_path, overlay)) == by_snakemake(tmp_path, overlay)


def test_what_is_done_is_not_counted_among_what_is_to_come(folder):
    overlay = folder / "tiny.yaml"
    run(folder, "results/tiny/dictionary/scores.csv")
    table = table_of(folder, overlay)
    assert jobs_by_rule(table) == by_snakemake(folder, overlay)
    done = table.filter(pl.col("done") > 0).select("model", "rule", "jobs", "done").rows()
    assert done == [
        (None, "fetch", 1, 1),
        (None, "normalize", 1, 1),
        *(("dictionary", rule, 1, 1) for rule in ("predict", "realign", "score", "merge_scores")),
    ]
    run(folder)
    assert jobs_by_rule(table_of(folder, overlay)) == by_snakemake(folder, overlay) == {}

    for path in ("predictions.jsonl", "scores.csv", "../../scores.csv"):
        (folder / "results/tiny/oracle/seed42/direct" / path).unlink()
    assert jobs_by_rule(table_of(folder, overlay)) == by_snakemake(folder, overlay) == {}
    (folder / "reports/report.html").unlink()
    again = {"realign": 1, "score": 1, "merge_scores": 1, "report": 1}
    assert jobs_by_rule(table_of(folder, overlay)) == by_snakemake(folder, overlay) == again

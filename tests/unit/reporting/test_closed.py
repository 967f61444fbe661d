"""Whose sentences are on the page: as the catalogue or the workflow says."""

import polars as pl
import pytest
from typer.testing import CliRunner

from bioner.cli import app
from bioner.data.instances import Prediction, write_instances, write_predictions
from bioner.io.tables import write_table
from bioner.scoring.score import ScoredRun, score
from tests.conftest import instance

DATASETS = ("BC5CDR", "Reddit-Impacts", "mine")


@pytest.fixture
def kept(tmp_path):
    """An open, a closed and an unknown corpus, each with one entity missed and one spurious."""
    for dataset in DATASETS:
        gold = [instance("s1", f"word-of-{dataset}/B-Disease hurts/O")]
        wrong = [Prediction("s1", ["O", "B-Disease"])]
        cell = tmp_path / "results" / dataset / "oracle"
        write_instances(tmp_path / "data" / dataset / "test.jsonl", gold)
        write_predictions(cell / "seed1" / "direct" / "predictions.jsonl", wrong)
        write_table(
            cell / "scores.csv", score(gold, wrong, ScoredRun(dataset, "oracle", 1, "direct"))
        )
    return tmp_path


def shown(kept, *options: str) -> set[str]:
    """The corpora whose words are on the page; errors are counted for all."""
    folders = [text for name in ("results", "data") for text in (f"--{name}", str(kept / name))]
    done = CliRunner().invoke(app, ["report", *folders, "--out", str(kept / "reports"), *options])
    assert done.exit_code == 0, done.output
    counts = pl.read_csv(kept / "reports" / "errors.csv").filter(length="all")
    assert counts.select("dataset", "missed", "spurious").rows() == [
        (dataset, 1, 1) for dataset in DATASETS
    ]
    page = (kept / "reports" / "report.html").read_text(encoding="utf-8")
    return {dataset for dataset in DATASETS if f"word-of-{dataset}" in page}


def test_by_hand_only_corpora_are_shown_that_the_catalogue_knows_to_be_open(kept, monkeypatch):
    monkeypatch.delenv("BIONER_CLOSED", raising=False)
    assert shown(kept) == {"BC5CDR"}
    (kept / "more.yaml").write_text("show_restricted_text: [Reddit-Impacts]\n")
    assert shown(kept, "--config", str(kept / "more.yaml")) == {"BC5CDR", "Reddit-Impacts"}


def test_in_the_workflow_all_are_shown_that_it_does_not_name_as_closed(kept, monkeypatch):
    monkeypatch.setenv("BIONER_CLOSED", "Reddit-Impacts,BC5CDR")
    assert shown(kept, "--notices", "{}") == {"mine"}
    monkeypatch.setenv("BIONER_CLOSED", "")
    assert shown(kept, "--notices", "{}") == set(DATASETS)

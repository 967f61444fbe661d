"""Hyper-parameter search as users meet it: trials, their winner, further seeds, a grid that grows
and shrinks.
"""

import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from tests.workflow.snakemake import planned, run

CELL = "results/tiny/bert-mini"
RATES = [1.0e-3, 1.0e-2, 3.0e-3]
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


@pytest.fixture
def cell(folder) -> Path:
    """The smallest BERT in place of bert-mini, with a search over three learning rates."""
    with_rates(folder, RATES)
    return folder / CELL


@pytest.fixture
def one_trial(request, folder, cell) -> None:
    """A search over one learning rate, with the scores of its cell."""
    with_rates(folder, [request.param])
    run(folder, f"{CELL}/scores.csv")


def with_rates(folder: Path, rates: list[float]) -> None:
    config = yaml.safe_load((folder / "tiny.yaml").read_text())
    source = {"scratch": {"vocabulary": 300, "config": SMALL}}
    settings = {
        "source": source,
        "train": {"epochs": 2, "batch_size": 2},
        "search_space": {"learning_rate": rates},
    }
    config |= {"models": ["bert-mini"], "seeds": [1, 2], "model_overrides": {"bert-mini": settings}}
    config["timing"] = {"sentences": 1, "batch_sizes": [1], "repeats": 1}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))


def test_three_trials_one_winner_and_its_values_under_every_seed(folder, cell):
    run(folder)
    table = pl.read_csv(cell / "search.csv")
    names = sorted(f"lr{rate!r}" for rate in RATES)
    assert sorted(table["trial"]) == names
    assert table["winner"].to_list() == [True, False, False]
    ordered = table.sort([-pl.col("dev_strict_f1"), "dev_loss", "trial"])
    assert table["trial"].to_list() == ordered["trial"].to_list()
    assert table["trials"].to_list() == [1, 2, 3]
    scores = table["dev_strict_f1"].to_list()
    expected = table["expected_best_dev_f1"].to_list()
    assert expected[0] == pytest.approx(sum(scores) / 3)
    assert expected[2] == max(scores)

    for name in names:
        left = {path.name for path in (cell / "trials" / name).iterdir()}
        assert left == {"history.csv", "run.json"}, "a trial leaves no weights"
        record = json.loads((cell / "trials" / name / "run.json").read_text())
        assert (record["trial"]["name"], record["seed"]) == (name, 41)

    runs = [json.loads((cell / f"seed{seed}" / "run.json").read_text()) for seed in (1, 2)]
    assert [record["seed"] for record in runs] == [1, 2]
    assert {record["settings"]["train"]["learning_rate"] for record in runs} == {
        table["learning_rate"][0]
    }
    assert {record["winner"] for record in runs} == {table["trial"][0]}
    assert {record["trial"] for record in runs} == {None}
    card = (cell / "seed1" / "model" / "README.md").read_text()
    assert "and the hyper-parameters among several trials" in card
    weights = [(cell / f"seed{seed}/model/model.safetensors").read_bytes() for seed in (1, 2)]
    assert weights[0] != weights[1]
    cost = pl.read_csv(folder / "reports" / "cost.csv")
    assert cost.filter(pl.col("stage") != "1000 sentences").select(
        "seed", "stage", "trials"
    ).rows() == [
        (41, "search", 3),
        (1, "train", None),
        (2, "train", None),
    ]
    strict = pl.read_csv(folder / "reports" / "table3_strict.csv")
    assert set(strict["trials"]) == {3}
    assert pl.read_csv(folder / "reports" / "search.csv")["trials"].to_list() == [3]
    assert cost.filter(stage="search")["seconds"].item() == pytest.approx(table["seconds"].sum())
    assert planned(folder) == {}, "a second call does nothing"


@pytest.mark.parametrize("one_trial", [1.0e-2], indirect=True)
@pytest.mark.parametrize(
    "report", [[], pytest.param(["reports/cost.csv"], marks=pytest.mark.slow)], ids=["", "report"]
)
def test_a_grid_that_grows_tries_what_is_new_and_no_more(folder, cell, one_trial, report):
    targets = (f"{CELL}/scores.csv", *report)
    if report:
        run(folder, *targets)
    with_rates(folder, [1.0e-2, 1.0e-9])
    assert planned(folder, f"{CELL}/search.csv") == {"trial": 1, "search": 1}
    done = run(folder, *targets)
    assert (done["trial"], done["search"], done.get("report", 0)) == (1, 1, len(report))
    assert "train" not in done, "the same winner: no seed is trained again"
    assert pl.read_csv(cell / "search.csv")["trial"].to_list() == ["lr0.01", "lr1e-09"]
    if report:
        cost = pl.read_csv(folder / "reports" / "cost.csv")
        assert cost["trials"].drop_nulls().to_list() == [2]
    assert planned(folder, *targets) == {}


@pytest.mark.parametrize("one_trial", [1.0e-9], indirect=True)
def test_a_grid_that_grows_by_a_better_trial_trains_every_seed_again(folder, cell, one_trial):
    with_rates(folder, [1.0e-2, 1.0e-9])
    done = run(folder, f"{CELL}/scores.csv")
    assert {
        name: done[name]
        for name in ("trial", "search", "train", "predict", "score", "merge_scores")
    } == {"trial": 1, "search": 1, "train": 2, "predict": 2, "score": 2, "merge_scores": 1}
    for seed in (1, 2):
        assert (
            json.loads((cell / f"seed{seed}" / "run.json").read_text())["settings"]["train"][
                "learning_rate"
            ]
            == 1e-2
        )


def test_a_grid_that_shrinks_to_a_beaten_trial_trains_every_seed_again(folder, cell):
    target = f"{CELL}/seed1/run.json"
    with_rates(folder, [1.0e-2, 1.0e-9])
    run(folder, target)
    with_rates(folder, [1.0e-9])
    assert run(folder, target) == {"search": 1, "train": 1}


def test_what_a_search_is_made_of_may_be_deleted(folder, cell):
    with_rates(folder, [1.0e-2])
    run(folder, f"{CELL}/seed1/run.json")
    (cell / "search.csv").unlink()
    assert run(folder, f"{CELL}/search.csv", f"{CELL}/seed1/run.json") == {"search": 1}


def test_hyper_parameters_can_be_fixed_for_the_run_or_for_a_model(folder, cell):
    target = f"{CELL}/scores.csv"
    assert planned(folder, target)["trial"] == 3
    assert "trial" not in planned(folder, target, "--config", "run_search=false")
    assert planned(folder, target, "--config", "run_search=false")["train"] == 2
    config = yaml.safe_load((folder / "tiny.yaml").read_text())
    config["model_overrides"]["bert-mini"]["search_space"] = None
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    assert planned(folder, target)["train"] == 2

"""Hyper-parameter search as users meet it: trials, their winner, further seeds, a grid that grows
and shrinks.
"""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
import yaml

from tests.workflow.snakemake import planned, run, snakemake

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


def with_weights(cell: Path) -> list[str]:
    return [path.parent.name for path in cell.glob("trials/*/model")]


def test_three_trials_one_winner_and_its_values_under_the_other_seed(folder, cell):
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

    (best,) = with_weights(cell)
    assert best == table["trial"][0], "losers lose their weights"
    for name in names:
        assert pl.read_csv(cell / "trials" / name / "history.csv").height > 0, (
            "and keep their history"
        )
    trial, first = (
        part / "model" / "model.safetensors" for part in (cell / "trials" / best, cell / "seed1")
    )
    assert trial.samefile(first), "the winner is not trained again, and lies on the disk once"

    runs = [json.loads((cell / f"seed{seed}" / "run.json").read_text()) for seed in (1, 2)]
    assert [record["seed"] for record in runs] == [1, 2]
    assert {record["settings"]["train"]["learning_rate"] for record in runs} == {
        table["learning_rate"][0]
    }
    assert (runs[0]["trial"]["name"], runs[1]["trial"]) == (best, None)
    cost = pl.read_csv(folder / "reports" / "cost.csv")
    assert cost.filter(pl.col("stage") != "1000 sentences").select(
        "seed", "stage", "trials"
    ).rows() == [
        (1, "search", 3),
        (1, "train", None),
        (2, "train", None),
    ]
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
    assert not {"use_winner", "train"} & done.keys(), "the same winner: no seed is trained again"
    assert pl.read_csv(cell / "search.csv")["trial"].to_list() == ["lr0.01", "lr1e-09"]
    if report:
        cost = pl.read_csv(folder / "reports" / "cost.csv")
        assert cost["trials"].drop_nulls().to_list() == [2]
    assert with_weights(cell) == ["lr0.01"]
    assert planned(folder, *targets) == {}


@pytest.mark.parametrize("one_trial", [1.0e-9], indirect=True)
def test_a_grid_that_grows_by_a_better_trial_trains_every_seed_again(folder, cell, one_trial):
    with_rates(folder, [1.0e-2, 1.0e-9])
    done = run(folder, f"{CELL}/scores.csv")
    assert {
        name: done[name]
        for name in ("trial", "search", "use_winner", "train", "predict", "score", "merge_scores")
    } == {
        **{"trial": 1, "search": 1, "use_winner": 1, "train": 1},
        **{"predict": 2, "score": 2, "merge_scores": 1},
    }
    for seed in (1, 2):
        assert (
            json.loads((cell / f"seed{seed}" / "run.json").read_text())["settings"]["train"][
                "learning_rate"
            ]
            == 1e-2
        )


def test_what_is_deleted_is_made_again_without_training(folder, cell):
    with_rates(folder, [1.0e-2, 1.0e-9])
    run(folder, f"{CELL}/seed1/history.csv")
    for name in ("history.csv", "run.json"):
        (cell / "seed1" / name).unlink()
    assert run(folder, f"{CELL}/seed1/history.csv") == {"use_winner": 1}
    (cell / "search.csv").unlink()
    assert run(folder, f"{CELL}/search.csv", f"{CELL}/seed1/history.csv") == {"search": 1}


def test_a_grid_that_shrinks_to_a_beaten_trial_says_what_to_do(folder, cell):
    target = f"{CELL}/seed1/run.json"
    with_rates(folder, [1.0e-2, 1.0e-9])
    run(folder, target)
    with_rates(folder, [1.0e-9])
    configured = ("--configfile", str(folder / "tiny.yaml"), "--cores", "2")
    done = snakemake(folder, target, *configured)
    assert done.returncode == 1
    assert (
        "no weights: a trial that is no longer searched over had beaten it"
        in done.stdout + done.stderr
    )
    assert (
        f"Remove this folder and {CELL}/winner.json, and run the same command again"
        in done.stdout + done.stderr
    )
    shutil.rmtree(cell / "trials" / "lr1e-09")
    (cell / "winner.json").unlink()
    run(folder, target)
    assert (cell / "seed1" / "model").is_dir()


def test_hyper_parameters_can_be_fixed_for_the_run_or_for_a_model(folder, cell):
    target = f"{CELL}/scores.csv"
    assert planned(folder, target)["trial"] == 3
    assert "trial" not in planned(folder, target, "--config", "run_search=false")
    assert planned(folder, target, "--config", "run_search=false")["train"] == 2
    config = yaml.safe_load((folder / "tiny.yaml").read_text())
    config["model_overrides"]["bert-mini"]["search_space"] = None
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    assert planned(folder, target)["train"] == 2

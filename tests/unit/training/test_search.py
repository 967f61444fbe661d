"""Trials ranked, and expected bests."""

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioner.errors import InputError
from bioner.io.records import RunRecord
from bioner.io.tables import write_table
from bioner.settings.catalogue import parse_entry
from bioner.settings.model_entry import ModelEntry
from bioner.training.search import (
    SEARCH,
    Trial,
    expected_best,
    rank,
    read_search,
    read_trial,
    read_winner,
    search_table,
    winner_of,
)

ENTRY = {"family": "encoder", "source": {"hub": "a/b"}}


def settings_of(changes: dict) -> dict:
    return parse_entry(ModelEntry, "m", ENTRY | changes).canonical()


def record_of(
    name: str, f1: float | None = 50.0, loss: float | None = 1.0, rate: float = 1e-5, **changes
) -> dict:
    settings = settings_of({"train": {"learning_rate": rate}})
    kept = {"epoch": 3.0, "step": 9, "dev_strict_f1": f1, "dev_relaxed_f1": f1, "dev_loss": loss}
    about = {"name": name, "over": ["learning_rate"]}
    cost = {"wall_seconds": 36.0, "energy_kwh": None, "gpus": []}
    return {
        "trial": about,
        "seed": 42,
        "data": {"train": "x"},
        "settings": settings,
        "kept": kept,
        **cost,
        **changes,
    }


def trial(name: str, *scores, folder: Path = Path("/trials"), **changes) -> Trial:
    record = RunRecord.model_validate(record_of(name, *scores, **changes))
    return Trial(folder / name, record, record.trial, record.entry)


def written(folder: Path, made: Trial) -> Trial:
    path = folder / made.name
    path.mkdir(parents=True)
    (path / "run.json").write_text(made.record.model_dump_json())
    return replace(made, folder=path)


IN_BF16 = settings_of({"train": {"learning_rate": 1e-5, "precision": "bf16"}})


def test_trials_are_compared_as_merged_or_all_as_trained_if_one_has_no_merged_score(
    caplog,
):
    scores = {"dev_strict_f1": 70.0, "dev_relaxed_f1": 71.0}
    one = trial("a", 60.0, settings=IN_BF16, as_trained=scores)
    other = trial("b", 65.0, settings=IN_BF16, as_trained={"dev_strict_f1": 50.0})
    assert [each.name for each in rank([one, other])] == ["b", "a"]
    assert [each.name for each in rank([one, other], as_trained=True)] == ["a", "b"]
    assert not caplog.records
    earlier = trial("c", 66.0, settings=IN_BF16)
    ranked = rank([other, one, earlier])
    assert [(each.name, each.record.kept.dev_strict_f1) for each in ranked] == [
        ("a", 70.0),
        ("c", 66.0),
        ("b", 50.0),
    ]
    assert "no dev scores of merged weights in c: all trials" in caplog.text
    assert winner_of(ranked).kept.dev_relaxed_f1 == 71.0
    diverged = trial("d", None, None, settings=IN_BF16)
    assert [each.name for each in rank([diverged, one, other])] == ["b", "a", "d"]


def test_every_combination_is_a_trial_with_a_readable_name():
    search = {"batch_size": [4, 8], "learning_rate": [1e-5, 2e-5, 3e-5]}
    trials = parse_entry(ModelEntry, "m", ENTRY | {"search_space": search}).trials()
    assert list(trials)[:2] == ["batch4-lr1e-05", "batch4-lr2e-05"]
    assert len(trials) == 6
    assert trials["batch8-lr3e-05"].train.batch_size == 8
    assert trials["batch8-lr3e-05"].train.learning_rate == 3e-5
    assert trials["batch8-lr3e-05"].train.epochs == 20


@pytest.mark.parametrize("search", [None, {}])
def test_without_anything_to_search_over_there_is_no_trial(search):
    assert parse_entry(ModelEntry, "m", ENTRY | {"search_space": search}).trials() == {}


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"learning_rates": [1e-5]}, "Did you mean 'learning_rate'"),
        ({"learning_rate": []}, "at least 1"),
        ({"batch_size": [4, 4]}, "no value twice"),
        ({"batch_size": [0]}, "at least 1"),
    ],
)
def test_a_search_that_cannot_be_is_named(search, said):
    with pytest.raises(InputError, match=said):
        parse_entry(ModelEntry, "m", ENTRY | {"search_space": search})


@pytest.mark.parametrize(
    "entry",
    [
        {"family": "control", "control": "all-o"},
        {"family": "ensemble", "members": ["oracle", "all-o"]},
    ],
)
def test_what_is_not_trained_is_not_searched_for(entry):
    with pytest.raises(InputError, match="search"):
        parse_entry(ModelEntry, "m", entry | {"search_space": {"learning_rate": [1e-5]}})


def test_higher_f1_wins_then_lower_loss_then_the_name():
    trials = [
        trial("d", 60, 2.0),
        trial("c", 60, 1.0),
        trial("b", 60, 1.0),
        trial("a", 59, 0.1),
        trial("e", None, 0.01),
        trial("f", None, 0.001),
    ]
    for order in itertools.permutations(trials, len(trials)):
        assert [each.name for each in rank(order)] == ["b", "c", "d", "a", "f", "e"]


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 43},
        {"data": {"train": "y"}},
        {"settings": settings_of({"max_length": 99})},
    ],
)
def test_trials_that_differ_in_more_than_what_is_searched_over_are_not_compared(changes):
    with pytest.raises(InputError, match="other settings, data or seeds in a and b"):
        rank([trial("a"), trial("b", 40, **changes)])


@pytest.mark.parametrize(
    "changes", [{"resources": {"runtime": 99}}, {"cost_estimates": {"device": "CPU"}}]
)
def test_trials_may_differ_in_what_they_do_not_depend_on(changes):
    """More time after a timeout: the trials that are done are not trained again."""
    settings = settings_of(changes | {"train": {"learning_rate": 1e-5}})
    ranked = rank([trial("a"), trial("b", 40, settings=settings)])
    assert [each.name for each in ranked] == ["a", "b"]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=7))
def test_expected_best_is_the_mean_over_all_draws(scores):
    for drawn, expected in enumerate(expected_best(scores), 1):
        bests = [max(draw) for draw in itertools.combinations(scores, drawn)]
        assert expected == pytest.approx(sum(bests) / len(bests))


def test_the_table_has_a_row_a_trial_and_a_budget():
    table = search_table(
        rank(
            [trial("a", 40.0, rate=1e-5), trial("b", 50.0, rate=2e-5), trial("c", 30.0, rate=3e-5)]
        )
    )
    assert table.select("trial", "winner", "learning_rate").rows() == [
        ("b", True, 2e-5),
        ("a", False, 1e-5),
        ("c", False, 3e-5),
    ]
    # One of 30, 40, 50: 40. Two of them: (40 + 50 + 50) / 3. All three: 50.
    assert table["expected_best_dev_f1"].to_list() == pytest.approx([40, 140 / 3, 50])
    assert table["seconds"].to_list() == [36.0] * 3


def test_gpu_hours_count_the_gpus_that_were_used():
    """Half an hour on two of the four GPUs that the node has."""
    settings = settings_of({"resources": {"gpus": 2}})
    half_an_hour = trial("a", gpus=["H100"] * 4, wall_seconds=1800.0, settings=settings)
    assert search_table([half_an_hour])["gpu_hours"].to_list() == [1.0]


def test_without_f1_nothing_is_expected():
    table = search_table(rank([trial("a", None, 2.0), trial("b", None, 1.0)]))
    assert table["trial"].to_list() == ["b", "a"]
    assert table["expected_best_dev_f1"].to_list() == [None, None]


def test_the_winner_says_which_values_it_won_with():
    winner = winner_of(rank([trial("a", 40.0, rate=1e-5), trial("b", 50.0, rate=2e-5)]))
    assert (winner.trial, winner.seed, winner.train) == ("b", 42, {"learning_rate": 2e-5})


@pytest.mark.parametrize("content", ["{}", "[]", "no", '{"trial": null}'])
def test_what_is_no_trial_is_told(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError):
        read_trial(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"kept": {}},
        {"trial": {}},
        {"trial": {"name": "a", "over": None}},
        {"settings": {}},
        {"gpus": None},
        {"wall_seconds": None},
        {
            "kept": {
                "epoch": 1,
                "step": 1,
                "dev_strict_f1": "high",
                "dev_relaxed_f1": 1,
                "dev_loss": 1,
            }
        },
        {
            "kept": {
                "epoch": 1,
                "step": 1,
                "dev_strict_f1": float("nan"),
                "dev_relaxed_f1": 1,
                "dev_loss": 1,
            }
        },
    ],
)
def test_a_record_with_something_amiss_is_told(tmp_path, changes):
    written(tmp_path, trial("a"))
    assert read_trial(tmp_path / "a").name == "a"
    (tmp_path / "a" / "run.json").write_text(json.dumps(record_of("a", **changes)))
    with pytest.raises(InputError, match=r"no record of a trial|a broken record"):
        read_trial(tmp_path / "a")


def test_a_copied_trial_is_none(tmp_path):
    written(tmp_path, trial("best", 90.0))
    shutil.copytree(tmp_path / "best", tmp_path / "best.bak")
    with pytest.raises(
        InputError, match=r"the trial 'best'; expected one named as its folder, 'best.bak'"
    ):
        read_trial(tmp_path / "best.bak")


@pytest.mark.parametrize("winners", [[], [False, True], [True, True]])
def test_a_table_of_trials_has_one_winner_first(tmp_path, winners):
    rows = [{"trial": f"t{number}", "winner": winner} for number, winner in enumerate(winners)]
    write_table(tmp_path / "search.csv", pl.DataFrame(rows, schema=SEARCH))
    with pytest.raises(InputError, match=r"search.csv: found not one winner, first"):
        read_search(tmp_path / "search.csv")


def diverged(name: str) -> Trial:
    return trial(
        name, kept=dict.fromkeys(["epoch", "step", "dev_strict_f1", "dev_relaxed_f1", "dev_loss"])
    )


def test_a_trial_that_diverged_is_last_and_counts_as_nothing():
    ranked = rank([diverged("a"), trial("b", 40.0), trial("c", 0.0)])
    assert [each.name for each in ranked] == ["b", "c", "a"]
    assert search_table(ranked)["expected_best_dev_f1"].to_list() == pytest.approx(
        [40 / 3, 80 / 3, 40]
    )


def test_a_search_in_which_all_diverged_has_no_winner():
    with pytest.raises(
        InputError, match=r"no trial that did not diverge among a, b.*lower learning rates"
    ):
        rank([diverged("a"), diverged("b")])


@pytest.mark.parametrize(
    "winner", ['{"trial": 5, "train": {}}', '{"trial": "../x", "train": {}}', '{"train": {}}', "[]"]
)
def test_what_is_no_winner_is_told(tmp_path, winner):
    (tmp_path / "winner.json").write_text(winner)
    with pytest.raises(InputError, match=r"no winner"):
        read_winner(tmp_path / "winner.json")


def test_a_trial_over_what_is_no_hyper_parameter_is_none(tmp_path):
    made = trial("a", trial={"name": "a", "over": ["nope"]})
    written(tmp_path, made)
    with pytest.raises(InputError, match="no record of a trial"):
        read_trial(tmp_path / "a")


@pytest.mark.parametrize("resources", [None, 3, "x", [], {"gpus": "7"}])
def test_gpus_of_a_record_whose_resources_are_none_are_all_that_were_there(resources):
    record = RunRecord.model_validate({"gpus": ["H100"] * 2, "settings": {"resources": resources}})
    assert record.gpus_of("train") == ("H100", "H100")

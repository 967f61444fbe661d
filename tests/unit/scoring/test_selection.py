"""Who is chosen on dev."""

import polars as pl
import pytest

from bioner.errors import InputError
from bioner.io.tables import write_table
from bioner.scoring.score import ScoredRun, score
from bioner.scoring.selection import SearchedCandidate, chosen_of, read_selection, select
from tests.conftest import instance
from tests.unit.scoring.chosen import chosen_everywhere
from tests.unit.scoring.predicted import predicted

GOLD = [instance("s1", "gout/B-D after/O aspirin/B-C")]
RIGHT, HALF, NONE = "B-D O B-C", "B-D O O", "O O O"  # F1 100, 66.7, 0


@pytest.fixture
def dev(tmp_path):
    """Writes a dev score file of a model and seed."""

    def write(model, tags, seed=42, decoding="direct", dataset="demo"):
        path = tmp_path / f"{model}-{seed}.csv"
        write_table(path, score(GOLD, predicted(tags), ScoredRun(dataset, model, seed, decoding)))
        return path

    return write


def test_the_highest_mean_over_seeds_is_chosen(dev):
    steady = [dev("steady", HALF, seed) for seed in (1, 2)]
    lucky = [dev("lucky", RIGHT, 1), dev("lucky", NONE, 2)]
    table = select({"encoder": [*lucky, *steady]})
    assert table.select("model", "seeds", "chosen").rows() == [
        ("steady", 2, True),
        ("lucky", 2, False),
    ]
    assert table["dev_f1"].to_list() == [pytest.approx(200 / 3), 50]


def test_what_counts_on_dev_is_the_official_strict_score(dev):
    """By every other row `a` is better."""
    path = dev("a", HALF)
    table = pl.read_csv(path).with_columns(
        f1=pl.when(
            (pl.col("scorer") == "semeval")
            & (pl.col("scheme") == "strict")
            & (pl.col("stratum") == "all")
        )
        .then(pl.when(pl.col("label") == "all").then(1.0).otherwise(99.0))
        .otherwise(99.0)
    )
    write_table(path, table)
    assert select({"encoder": [path, dev("b", HALF)]}).filter("chosen")["model"].item() == "b"


def test_an_undefined_score_on_dev_is_0(dev, tmp_path):
    paths = [dev("a", HALF, 1), dev("a", HALF, 2)]
    empty = pl.read_csv(paths[1]).with_columns(f1=pl.lit(None, dtype=pl.Float64))
    write_table(paths[1], empty)
    assert select({"encoder": paths})["dev_f1"].item() == pytest.approx(100 / 3)


def test_one_of_each_family_is_chosen_and_equals_go_by_name(dev):
    table = select(
        {
            "encoder": [dev("b", HALF), dev("a", HALF)],
            "llm": [dev("m", NONE, decoding="constrained")],
        }
    )
    assert table.filter("chosen").select("family", "model", "decoding").rows() == [
        ("encoder", "a", "direct"),
        ("llm", "m", "constrained"),
    ]


def test_searches_choose_a_family_of_which_every_model_has_one_and_reported_runs_the_other(dev):
    encoders = [
        SearchedCandidate("b", "direct", 70.0, 12),
        SearchedCandidate("a", "direct", 70.0, 4),
        SearchedCandidate("diverged", "direct", None, 2),
    ]
    table = select({"llm": [dev("m", HALF)]}, {"encoder": encoders}, "demo")
    assert table.select("dataset", "model", "chosen_by", "trials", "seeds", "chosen").rows() == [
        ("demo", "a", "search", 4, None, True),
        ("demo", "b", "search", 12, None, False),
        ("demo", "diverged", "search", 2, None, False),
        ("demo", "m", "reported runs", None, 1, True),
    ]
    assert table["dev_f1"].to_list() == [70, 70, 0, pytest.approx(200 / 3)]


def test_the_best_of_several_trials_is_not_held_against_reported_runs(dev):
    searched = {"encoder": [SearchedCandidate("b", "direct", 70.0, 12)]}
    with pytest.raises(InputError, match="searches and dev scores of the family encoder"):
        select({"encoder": [dev("a", HALF)]}, searched, "demo")


def test_scores_of_several_datasets_cannot_be_chosen_from(dev):
    for other in ("encoder", "llm"):
        with pytest.raises(InputError, match="scores of demo, other; expected dev scores of one"):
            select(
                {"encoder": [dev("a", HALF)]}
                | {other: [dev("a", HALF), dev("b", HALF, dataset="other")]}
            )


def test_a_run_twice_would_count_as_two_seeds(dev, tmp_path):
    copied = tmp_path / "copy.csv"
    copied.write_bytes(dev("a", HALF).read_bytes())
    with pytest.raises(
        InputError, match=r"rows twice \(dataset demo, model a, seed 42, decoding direct\)"
    ):
        select({"encoder": [dev("a", HALF), copied]})


def test_a_score_file_without_scores_is_no_candidate(dev, tmp_path):
    path = dev("a", HALF)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match=r"a-42.csv: found no strict score"):
        select({"encoder": [dev("b", HALF), path]})


def test_a_selection_can_be_read_again(dev, tmp_path):
    write_table(tmp_path / "selection.csv", select({"encoder": [dev("a", HALF)]}))
    assert read_selection(tmp_path / "selection.csv")["chosen"].to_list() == [True]


@pytest.mark.parametrize("chosen", [0, 2])
def test_one_of_a_family_is_chosen(tmp_path, chosen):
    table = chosen_everywhere("d1").with_columns(chosen=pl.Series([chosen > 0, chosen > 1, True]))
    write_table(tmp_path / "selection.csv", table)
    with pytest.raises(InputError, match=f"{chosen} chosen of the family encoder; expected one"):
        read_selection(tmp_path / "selection.csv")


def test_candidates_of_an_ensemble_are_models_of_the_selection(tmp_path):
    table, path = chosen_everywhere("d1"), tmp_path / "selection.csv"
    assert chosen_of(table, ["llm", "other", "enc"], path) == ["enc", "llm"]
    assert chosen_of(table, ["other", "enc"], path) == ["enc"]
    with pytest.raises(
        InputError, match=r"selection.csv: found no 'enk'; expected one of enc, other, llm"
    ):
        chosen_of(table, ["enk", "llm"], path)
    with pytest.raises(InputError, match="none of the candidates chosen"):
        chosen_of(table, ["other"], path)

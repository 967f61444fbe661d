"""bioner verify-reproduction: from files to one verdict per number."""

import random
import subprocess

import polars as pl

from bioner.corpora.changes import Changes
from bioner.corpora.statistics import corpus_statistics
from bioner.data.instances import Instance, Prediction, write_instances, write_predictions
from bioner.data.tags import repair
from bioner.io.tables import write_table
from bioner.reporting.reproduction import (
    DATASETS,
    MODELS,
    read_settings,
    reproduction_table,
)
from bioner.results.load import ReportContext, load_results
from bioner.scoring.score import ScoredRun, score
from bioner.settings.config import Scoring
from tests import forked
from tests.conftest import REPOSITORY
from tests.unit.reporting.numbers import cell, counts_of
from tests.unit.scoring.random_cases import TAGS

STRICT = {
    "table": "III",
    "dataset": "BC5CDR",
    "model": "bert-large-cased",
    "length": "all",
    "measure": "f1",
}


def tree(folder, models=("bert-large-cased",), seeds=(1, 2)):
    """Files of BC5CDR: gold with half of its tags drawn anew, for several models and seeds."""
    draw = random.Random(0)
    gold = []
    for number in range(90):
        tags = repair([draw.choice(TAGS) for _ in range(8)]).tags
        gold.append(Instance(f"s{number}", f"d{number // 3}", list("abcdefgh"), tags))
    write_instances(folder / "data" / "BC5CDR" / "test.jsonl", gold)
    splits = {"train": gold, "dev": gold, "test": gold}
    statistics = corpus_statistics("BC5CDR", splits, {name: [1] for name in splits}, Changes())
    write_table(folder / "data" / "BC5CDR" / "stats.csv", statistics)
    for model in models:
        scores = []
        for seed in seeds:
            found = [
                Prediction(
                    item.id,
                    repair(
                        [draw.choice(TAGS) if draw.random() < 0.5 else tag for tag in item.tags]
                    ).tags,
                )
                for item in gold
            ]
            cell_folder = folder / "results" / "BC5CDR" / model
            write_predictions(cell_folder / f"seed{seed}" / "direct" / "predictions.jsonl", found)
            scores.append(
                score(
                    gold,
                    found,
                    ScoredRun("BC5CDR", model, seed, "direct"),
                    options=Scoring(bootstrap=100),
                )
            )
        write_table(cell_folder / "scores.csv", pl.concat(scores))
    return folder


def verified(folder) -> pl.DataFrame:
    loaded = load_results(folder / "results", folder / "data", DATASETS, MODELS, ReportContext())
    return reproduction_table(loaded, read_settings(folder / "results", loaded.scores))


def verdicts(numbers: pl.DataFrame, /, **where) -> set[str]:
    return set(numbers.filter(**where)["verdict"])


def test_a_tree_is_judged_in_every_measure(tmp_path):
    table = verified(tree(tmp_path))
    mine = table.filter(
        pl.col("table").is_in(["III", "V"]),
        dataset="BC5CDR",
        model="bert-large-cased",
        length="all",
    )
    assert mine["measure"].to_list() == ["precision", "recall", "f1"] * 2
    assert mine["verdict"].to_list() == ["listed", "listed", "not comparable", *["listed"] * 3]
    assert mine["seeds"].to_list() == [2] * 6
    within = pl.col("ours").is_between("range_low", "range_high", closed="none")
    assert mine.filter(within).height == 6
    assert verdicts(table, dataset="JNLPBA") == {"not run", "not comparable"}


def test_a_corpus_with_the_paper_s_counts_is_judged(tmp_path):
    folder = tree(tmp_path, seeds=(1, 2, 3))
    write_table(folder / "data" / "BC5CDR" / "stats.csv", counts_of("BC5CDR"))
    found = cell(verified(folder), **STRICT)
    assert (found["verdict"], found["seeds"]) == ("not reproduced", 3)  # half of the tags are wrong


def test_recorded_settings_are_held_against_those_that_the_paper_states(tmp_path):
    folder = tree(tmp_path, seeds=(1, 2, 3))
    write_table(folder / "data" / "BC5CDR" / "stats.csv", counts_of("BC5CDR"))
    record = folder / "results" / "BC5CDR" / "bert-large-cased" / "seed2" / "run.json"
    record.write_text('{"seed": 2, "wall_seconds": 1, "settings": {"train": {"epochs": 3}}}')
    found = cell(verified(folder), **STRICT)
    assert found["verdict"] == "not comparable"
    assert found["reason"] == "trained otherwise: train.epochs 3, where the paper has 20"


def test_what_is_broken_is_told_and_the_rest_judged(tmp_path):
    folder = tree(
        tmp_path, models=("bert-large-cased", "biomedbert-large", "deberta-v3-large"), seeds=(1,)
    )
    cells = folder / "results" / "BC5CDR"
    (cells / "biomedbert-large" / "scores.csv").write_text("dataset,model\nx,y\n")
    (cells / "biomedbert-large" / "timing.csv").write_text("?\n")
    (cells / "deberta-v3-large" / "scores.csv").write_bytes(
        (cells / "bert-large-cased" / "scores.csv").read_bytes()
    )
    (folder / "data" / "JNLPBA").mkdir()
    (folder / "data" / "JNLPBA" / "stats.csv").write_text("broken\n")
    table = verified(folder)
    strict = {"table": "III", "dataset": "BC5CDR", "length": "all"}
    assert (
        "unreadable table"
        in cell(table, **strict, model="biomedbert-large", measure="recall")["reason"]
    )
    assert (
        "unreadable table"
        in cell(table, table="IV", dataset="BC5CDR", model="bert-family-average")["reason"]
    )
    other = cell(table, **strict, model="deberta-v3-large", measure="recall")["reason"]
    assert (
        "found scores of BC5CDR by bert-large-cased; expected BC5CDR by deberta-v3-large" in other
    )
    assert cell(table, **STRICT)["verdict"] == "not comparable"  # BC5CDR is larger
    assert "unreadable table" in cell(table, table="I", dataset="JNLPBA", split="dev")["reason"]
    assert verdicts(table, table="II", dataset="BC5CDR") == {"not reproduced"}
    assert table.height == 505


def test_a_count_that_is_no_number_is_told(tmp_path):
    folder = tree(tmp_path, seeds=(1,))
    path = folder / "data" / "BC5CDR" / "stats.csv"
    write_table(path, pl.read_csv(path).with_columns(value=pl.lit(float("nan"))))
    reason = cell(verified(folder), table="I", dataset="BC5CDR", split="dev")["reason"]
    assert "stats.csv: found a value that is no number" in reason


def test_what_was_trained_on_other_data_is_not_judged(tmp_path):
    folder = tree(tmp_path, seeds=(1,))
    cell_folder = folder / "results" / "BC5CDR" / "bert-large-cased" / "seed1"
    (cell_folder / "run.json").write_text('{"seed": 1, "data": {"train": "0000"}}')
    write_instances(folder / "data" / "BC5CDR" / "train.jsonl", [Instance("t", "t", ["a"], ["O"])])
    found = cell(verified(folder), **STRICT | {"measure": "recall"})
    assert found["verdict"] == "not run"
    assert "seed 1: trained on another train.jsonl" in found["reason"]


def test_the_same_files_give_the_same_table(tmp_path):
    folder = tree(tmp_path)
    assert verified(folder).equals(verified(folder))


def bioner(*arguments) -> subprocess.CompletedProcess:
    return forked.run(["bioner", "verify-reproduction", *map(str, arguments)], REPOSITORY)


def test_the_command_writes_every_number_and_fails_only_when_asked_to(tmp_path):
    folder, out = tree(tmp_path), tmp_path / "reports" / "reproduction.csv"
    options = ("--results", folder / "results", "--data", folder / "data")
    done = bioner(*options, "--out", out)
    assert (done.returncode, len(pl.read_csv(out, infer_schema=False))) == (0, 505)
    assert "not reproduced" in done.stdout
    assert bioner(*options, "--strict").returncode == 1


def test_the_command_tells_bad_input_in_a_line(tmp_path):
    (tmp_path / "data").mkdir()
    for results, out in (
        (tmp_path / "none", tmp_path / "r.csv"),
        (tmp_path / "data", tmp_path / "data" / "r.csv"),
    ):
        done = bioner("--results", results, "--data", tmp_path / "data", "--out", out)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert not out.exists()

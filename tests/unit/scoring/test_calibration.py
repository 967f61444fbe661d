"""`bioner calibrate`: a row and bins for each seed, and notes on what could not be computed."""

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from bioner.cli import app
from bioner.data.instances import Instance, Prediction, write_instances, write_predictions
from bioner.data.raw_outputs import Generated, Tagged, write_raw
from bioner.scoring.calibration import NOT_KEPT

LABELS = [[["O"], ["B-X"]]]
COUNT = 60


def made_run(folder, gold, sure, kept=True):
    """Predict X for every sentence of one word, as sure as given."""
    outputs = [
        Tagged(each.id, [0], ["B-X"], LABELS, [[(0, np.log([1 - p, p]).tolist())]])
        if kept
        else Tagged(each.id, [0], ["B-X"])
        for each, p in zip(gold, sure, strict=True)
    ]
    write_raw(folder / "raw.jsonl.gz", outputs)
    write_predictions(folder / "predictions.jsonl", [Prediction(each.id, ["B-X"]) for each in gold])


def sentences(right, documents=COUNT):
    """Sentences of one word, an entity where X is right."""
    return [
        Instance(f"s{number}", f"d{number % documents}", ["gout"], ["B-X" if hit else "O"])
        for number, hit in enumerate(right)
    ]


def calibrated(folder, *runs, **options):
    arguments = ["calibrate", "--gold", folder / "test.jsonl", "--out", folder / "c.csv"]
    arguments += ["--bins", folder / "b.csv", "--bootstrap", 100, "--model", "m"]
    arguments += [part for run in runs for part in ("--run", run)]
    arguments += [part for name, value in options.items() for part in (f"--{name}", value)]
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def tree(tmp_path):
    """A model that says 95 % and is right in two of three; its dev as overconfident."""
    right = [number % 3 > 0 for number in range(COUNT)]
    for name, folder in (("test", tmp_path / "run"), ("dev", tmp_path / "run" / "dev")):
        gold = sentences(right)
        write_instances(tmp_path / f"{name}.jsonl", gold)
        made_run(folder, gold, [0.95] * COUNT)
    return tmp_path


def test_an_overconfident_model_is_cooled_by_what_dev_says(tree):
    assert calibrated(tree, f"7={tree / 'run'}", dev=tree / "dev.jsonl").exit_code == 0
    (row,) = pl.read_csv(tree / "c.csv").iter_rows(named=True)
    assert (row["seed"], row["predicted_entities"], row["correct"], row["bins"]) == (7, 60, 40, 1)
    assert row["ece"] == pytest.approx(0.95 - 2 / 3, abs=5e-4)
    assert row["brier"] == pytest.approx(2 / 3 * 0.05**2 + 1 / 3 * 0.95**2, abs=1e-3)
    assert row["aurc"] == row["risk_50"] == pytest.approx(1 / 3)
    assert row["ece_ci_low"] < row["ece"] < row["ece_ci_high"]
    # log(0.95 / 0.05) over the temperature is log 2.
    assert row["temperature"] == pytest.approx(np.log(19) / np.log(2), rel=1e-3)
    assert row["ece_scaled"] == pytest.approx(0, abs=1e-3)
    assert row["brier_scaled"] == pytest.approx(2 / 9, abs=1e-3)
    assert row["note"] is None
    bins = pl.read_csv(tree / "b.csv").select("bin", "accuracy", "count").rows()
    assert bins == [(4, pytest.approx(2 / 3), 60)]


def test_every_seed_is_calibrated_on_its_own_dev_and_again_with_the_same_bytes(tree):
    gold = sentences([True] * 30 + [False] * 30)
    made_run(tree / "other", sentences([False] * COUNT), [0.5] * COUNT)
    made_run(tree / "other" / "dev", gold, [0.6] * COUNT)
    runs = [f"7={tree / 'run'}", f"8={tree / 'other'}"]
    seen = []
    for _ in range(2):
        assert calibrated(tree, *runs, dev=tree / "dev.jsonl").exit_code == 0
        seen.append([(tree / name).read_bytes() for name in ("c.csv", "b.csv")])
    assert seen[0] == seen[1]
    assert pl.read_csv(tree / "c.csv")["temperature"].n_unique() == 2


@pytest.mark.parametrize(
    ("documents", "kept", "note"),
    [
        (COUNT, True, "no temperature: no confidences on dev"),
        (9, True, "no interval: 9 documents; no temperature: no confidences on dev"),
        (COUNT, False, NOT_KEPT),
    ],
)
def test_a_note_says_what_is_not_computed_and_why(tmp_path, documents, kept, note):
    gold = sentences([number % 3 > 0 for number in range(COUNT)], documents)
    write_instances(tmp_path / "test.jsonl", gold)
    made_run(tmp_path / "run", gold, [0.95] * COUNT, kept)
    assert calibrated(tmp_path, f"7={tmp_path / 'run'}").exit_code == 0
    (row,) = pl.read_csv(tmp_path / "c.csv").iter_rows(named=True)
    assert row["note"] == note
    assert (row["ece_ci_low"] is None) == (documents == 9 or not kept)


def test_dev_of_only_right_entities_fits_no_temperature(tree):
    gold = sentences([True] * COUNT)
    write_instances(tree / "dev.jsonl", gold)
    made_run(tree / "run" / "dev", gold, [0.95] * COUNT)
    calibrated(tree, f"7={tree / 'run'}", dev=tree / "dev.jsonl")
    (row,) = pl.read_csv(tree / "c.csv").iter_rows(named=True)
    assert row["note"] == "no temperature: 60 predicted entities on dev, 0 of them wrong"


def test_earlier_confidences_are_measured_and_not_scaled(tree):
    for folder in (tree / "run", tree / "run" / "dev"):
        outputs = [
            Generated(f"s{number}", "gout:B-X\n", 3, True, [0.95]) for number in range(COUNT)
        ]
        write_raw(folder / "raw.jsonl.gz", outputs)
    calibrated(tree, f"7={tree / 'run'}", dev=tree / "dev.jsonl")
    (row,) = pl.read_csv(tree / "c.csv").iter_rows(named=True)
    assert row["ece"] == pytest.approx(0.95 - 2 / 3)
    assert (row["temperature"], row["note"]) == (None, f"no temperature: {NOT_KEPT}")


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (["run"], "expected SEED=FOLDER"),
        (["x=run"], "the seed 'x'"),
        (["7=run", "7=other"], "seed 7 twice"),
        (["7=run", "8=run"], "twice"),
        (["7=none"], "no such file"),
    ],
)
def test_runs_are_named_once_and_with_their_seed(tree, monkeypatch, runs, said):
    monkeypatch.chdir(tree)
    result = calibrated(tree, *runs)
    assert said in str(result.exception)
    assert not (tree / "c.csv").exists()

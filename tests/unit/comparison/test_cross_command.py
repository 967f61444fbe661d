"""`bioner cross`: which documents, types and splits of the two corpora it goes by."""

import json

import polars as pl
from typer.testing import CliRunner

from bioner.cli import app
from bioner.data.instances import Instance, write_instances, write_predictions
from tests.unit.scoring.predicted import predicted

LONG = [f"word{number}" for number in range(20)]  # 110 letters and digits
TYPES = {"Disease": ["Ache"], "Chemical": ["Medicine"]}


def said(identity, text, tags, doc=None):
    return Instance(identity, doc or identity, text.split(), tags.split())


# East shares three documents with west's test set, each by another split.
EAST = {
    "train": [said("t1", "gout", "B-Disease", "1000001"), said("t2", "aspirin", "B-Chemical")],
    "dev": [said("d1", "gout", "B-Disease", "1000002")],
    "test": [
        said("s1", "gout", "B-Disease", "1000003"),
        Instance("s2", "s2", [*LONG, "gout"], ["O"] * 20 + ["B-Disease"]),
    ],
}
# Its training set has a text of east's test set.
WEST = {
    "train": [Instance("t1", "t1", [*LONG, "gout"], ["O"] * 20 + ["B-Ache"])],
    "dev": [said("d1", "pain", "B-Ache")],
    "test": [
        said("s1", "gout", "B-Ache", "1000001"),
        said("s2", "gout", "B-Ache", "1000002"),
        said("s3", "gout", "B-Ache", "1000003"),
        said("s4", "aspirin and gout", "B-Medicine O B-Ache"),
    ],
}
# Right in every document that is left out. Ache is no type that east's models can predict.
ELSEWHERE = predicted("B-Disease", "B-Disease", "O", "B-Chemical O B-Ache")


def test_what_east_was_trained_on_is_left_out_and_all_splits_of_gold_are_compared(tmp_path):
    for name, splits in (("east", EAST), ("west", WEST)):
        (tmp_path / name).mkdir()
        for split, instances in splits.items():
            write_instances(tmp_path / name / f"{split}.jsonl", instances)
    predictions = tmp_path / "predictions.jsonl"
    write_predictions(predictions, ELSEWHERE)
    arguments = ["cross", "east", "west", "--data", tmp_path, "--types", json.dumps(TYPES)]
    arguments += ["--system", f"m:direct={predictions}", "--resamples", 100]
    arguments += ["--out", tmp_path / "drop.csv", "--record", tmp_path / "run.json"]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.exception

    # What its train and dev have; what only its test set has was never seen in training.
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["left_out"] == {"1000001": "1000001", "1000002": "1000002"}
    row = pl.read_csv(tmp_path / "drop.csv").row(0, named=True)
    assert (row["left_out"], row["gold_entities"], row["clusters"]) == (2, 3, 2)
    # Aspirin is right, both gouts are missed: 1 of 3, of 1 predicted.
    assert (row["precision"], row["recall"]) == (100, 100 / 3)
    assert (row["gold_against_gold_texts"], row["gold_against_gold_f1"]) == (1, 100)

    write_predictions(tmp_path / "home.jsonl", ELSEWHERE)
    arguments += ["--home", f"n:direct={tmp_path / 'home.jsonl'}"]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert "--home n:direct: found a system that --system does not name" in str(result.exception)

"""What the page says of known mentions, merged weights, and models that may have read a corpus."""

import polars as pl
import pytest

from bioner.io.records import RunRecord
from bioner.reporting.caveats import find_possible_readers, note_known_mentions, note_merging
from bioner.results.runs import read_runs
from bioner.settings.catalogue import load_models
from bioner.settings.config import load_config

MODELS = load_models(load_config({}))


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (1.0, "every mention of its test set occurs in train"),
        (0.9999, "99.9 % of the mentions of its test set occur in train"),
        (0.95, "95 % of the mentions of its test set occur in train"),
        (0.9499, None),
        (None, None),
    ],
)
def test_mentions_that_nearly_all_occur_in_train_are_warned_of(share, said):
    corpora = pl.DataFrame(
        {"dataset": ["x"], "mentions_seen_in_train": [share]},
        schema={"dataset": pl.String, "mentions_seen_in_train": pl.Float64},
    )
    notes = [note for _, note in note_known_mentions(corpora)]
    assert [note.startswith(said) for note in notes] == ([True] if said else [])


def test_models_whose_predictions_change_by_merging_are_named(tmp_path):
    found = {"dev_strict_f1": 80.0, "entities": 1000, "difference": -0.1}
    records = {(1, ""): RunRecord(seed=1, wall_seconds=1.0)}
    for seed, differing in ((2, 5), (3, 6), (4, 6)):
        as_trained = found | {"differing": differing}
        trained = {"seed": seed, "wall_seconds": 1.0, "as_trained": as_trained}
        records[seed, ""] = RunRecord.model_validate(trained)
        records[seed, "constrained"] = RunRecord(seed=seed, merged=seed < 4)
        records[seed, "free-paper"] = RunRecord(seed=seed)
    runs, _ = read_runs(tmp_path, "BC5CDR", "llama-8b", records)
    ((corpus, note),) = note_merging(runs)
    assert corpus == "BC5CDR"
    assert "weights of llama-8b, seed 3," in note
    assert "0.60 % of the entities differ;" in note


@pytest.mark.parametrize(
    ("year", "readers"),
    [
        (2004, "biomedbert-large (2021-12), llama-8b (2023-12), mistral-7b (unknown)"),
        (2021, "biomedbert-large (2021-12), llama-8b (2023-12), mistral-7b (unknown)"),
        (2022, "llama-8b (2023-12), mistral-7b (unknown)"),
        (2024, "mistral-7b (unknown)"),
    ],
)
def test_models_whose_text_ends_in_the_year_of_a_corpus_or_later_may_have_read_it(year, readers):
    names = ("oracle", "bert-mini", "biomedbert-large", "llama-8b", "mistral-7b", "best-union")
    assert find_possible_readers(year, {name: MODELS[name] for name in names}) == readers


def test_a_model_from_random_weights_has_read_nothing():
    assert (
        find_possible_readers(2004, {name: MODELS[name] for name in ("bert-mini", "oracle")})
        is None
    )

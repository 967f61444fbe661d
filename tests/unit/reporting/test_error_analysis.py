"""Which predictions the report examines; missing and broken files are skipped and named."""

import polars as pl
import pytest

from bioner.data.instances import Prediction, write_instances, write_predictions
from bioner.reporting.disagreements import ReportedSystem
from bioner.reporting.error_analysis import (
    NOT_SCORED,
    headline_systems,
    length_cuts,
    read_disagreements,
)
from bioner.scoring.score import ScoredRun, score
from bioner.settings.config import Scoring
from tests.conftest import instance

GOLD = [instance("s1", "gout/B-Disease after/O aspirin/B-Chemical")]
WRONG = [Prediction("s1", ["B-Disease", "O", "O"])]
MODELS = [ReportedSystem(name, "direct", 42) for name in ("sound", "absent", "broken")]


def scores(*systems: ReportedSystem) -> pl.DataFrame:
    return pl.concat(
        [
            score(GOLD, WRONG, ScoredRun("toy", *(whose.model, whose.seed, whose.decoding)))
            for whose in systems
        ]
    )


@pytest.fixture
def kept(tmp_path):
    for split in ("train", "test"):
        write_instances(tmp_path / "data" / "toy" / f"{split}.jsonl", GOLD)
    for model in ("sound", "broken"):
        path = tmp_path / "results" / "toy" / model / "seed42" / "direct" / "predictions.jsonl"
        write_predictions(path, WRONG)
    path.write_text('{"id": "s1", "tags": ["B-Disease"]}\n')
    return tmp_path


def read(kept, shown=True):
    return read_disagreements(
        kept / "results", kept / "data", {"toy": MODELS}, lambda _: shown, scores(*MODELS)
    )


def test_a_model_is_looked_at_in_its_headline_decoding_and_first_seed():
    ran = [
        ReportedSystem("llm", "free", 1),
        ReportedSystem("llm", "constrained", 3),
        ReportedSystem("llm", "constrained", 2),
        ReportedSystem("bert", "direct", 9),
    ]
    assert headline_systems(scores(*ran)) == {
        "toy": [ReportedSystem("llm", "constrained", 2), ReportedSystem("bert", "direct", 9)]
    }


def test_predictions_that_are_not_those_that_were_scored_are_told_and_not_shown(kept):
    right = [Prediction("s1", GOLD[0].tags)]
    table = score(GOLD, right, ScoredRun("toy", *("sound", 42, "direct")))
    examined = read_disagreements(
        kept / "results", kept / "data", {"toy": MODELS}, lambda _: True, scores=table
    )
    assert ("toy", "sound", NOT_SCORED) in examined.skipped
    assert examined.counts.is_empty()
    assert not read_disagreements(
        kept / "results",
        kept / "data",
        {"toy": MODELS[:1]},
        lambda _: True,
        scores=scores(MODELS[0]),
    ).skipped


@pytest.mark.parametrize("cuts", [[1, 2], [1, 3], [2], [1, 2, 5]])
def test_lengths_are_those_of_the_score_table(cuts):
    assert (
        length_cuts(
            score(
                GOLD,
                WRONG,
                ScoredRun("toy", "m", 1, "direct"),
                options=Scoring(bootstrap=0, length_cuts=cuts),
            )
        )
        == cuts
    )


def test_what_is_missing_or_broken_is_told_and_the_rest_is_read(kept):
    examined = read(kept)
    assert [(dataset, model) for dataset, model, _ in examined.skipped] == [
        ("toy", "absent"),
        ("toy", "broken"),
    ]
    absent, broken = (reason for *_, reason in examined.skipped)
    assert "no such file" in absent
    assert "found 1 tags for 's1'; expected 3" in broken
    (found,) = examined.datasets
    assert found.systems == [MODELS[0]]
    assert examined.counts.filter(length="all")["missed"].to_list() == [1]
    assert found.sentences[0][2][3] == 1, "train holds gout"


def test_without_gold_there_is_nothing_to_disagree_with(kept):
    (kept / "data" / "toy" / "test.jsonl").unlink()
    examined = read(kept)
    assert (len(examined.datasets), len(examined.skipped), len(examined.counts)) == (0, 3, 0)


def test_without_train_no_mention_is_marked(kept):
    (kept / "data" / "toy" / "train.jsonl").write_text("broken")
    (found,) = read(kept).datasets
    assert not found.with_train


def test_text_is_read_for_corpora_alone_that_may_be_shown(kept):
    (closed,) = read(kept, shown=False).datasets
    assert (closed.closed, list(closed.sentences)) == (True, [])

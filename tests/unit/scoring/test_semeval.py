"""Scores worked by hand, and invariants that hold for any tags."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nervaluate.entities import EvaluationResult

from bioner.data.instances import Instance, Prediction
from bioner.data.tags import repair, spans
from bioner.errors import InputError
from bioner.io.tables import write_table
from bioner.scoring.labels import bucket_names, bucket_of
from bioner.scoring.score import UNKNOWN, ScoredRun, read_scores, score
from bioner.scoring.table import SCORE_SCHEMA
from bioner.scoring.tally import COUNTS
from bioner.scoring.tally import prf as measures
from bioner.settings.config import Scoring
from tests.conftest import instance

# Gold: renal failure (2), aspirin (1), IL-2 receptor alpha (3).
GOLD = instance(
    "s1", "renal/B-D failure/I-D after/O aspirin/B-C and/O IL-2/B-G receptor/I-G alpha/I-G ./O"
)


def scored(*tags: str, run: ScoredRun = UNKNOWN, **options) -> pl.DataFrame:
    options = Scoring(**{"bootstrap": 0, **options})
    return score([GOLD], [Prediction("s1", list(tags))], run, options)


def row(table: pl.DataFrame, scheme: str, stratum: str = "all", label: str = "all") -> dict:
    (found,) = table.filter(
        scorer="semeval", scheme=scheme, stratum=stratum, label=label
    ).iter_rows(named=True)
    return found


def prf(found: dict) -> tuple[float, float, float]:
    return tuple(pytest.approx(found[name]) for name in ("precision", "recall", "f1"))


class TestWorkedExample:
    """Predicted: `failure` D (boundary), aspirin G (type), IL-2 receptor alpha G (right), `.` D
    (spurious).
    """

    table = scored("O", "B-D", "O", "B-G", "O", "B-G", "I-G", "I-G", "B-D")

    def test_strict_counts_the_one_entity_with_right_boundaries_and_type(self):
        strict = row(self.table, "strict")
        assert (strict["correct"], strict["incorrect"], strict["missed"], strict["spurious"]) == (
            1,
            2,
            0,
            1,
        )
        # 1 of 4 predicted, 1 of 3 gold; F1 = 2 * 25 * 33.3 / 58.3.
        assert prf(strict) == (25, 100 / 3, 200 / 7)

    def test_exact_ignores_the_type(self):
        # aspirin and IL-2 receptor alpha: 2 of 4, 2 of 3.
        assert prf(row(self.table, "exact")) == (50, 200 / 3, 400 / 7)

    def test_relaxed_gives_half_credit_for_an_overlap(self):
        relaxed = row(self.table, "relaxed")
        assert (relaxed["correct"], relaxed["partial"]) == (2, 1)
        # 2.5 of 4, 2.5 of 3.
        assert prf(relaxed) == (62.5, 250 / 3, 500 / 7)

    def test_type_asks_for_an_overlap_of_the_same_type(self):
        # renal failure and IL-2 receptor alpha: 2 of 4, 2 of 3.
        assert prf(row(self.table, "type")) == (50, 200 / 3, 400 / 7)

    def test_lengths_count_gold_by_gold_length_and_predictions_by_predicted_length(self):
        # Predicted of length 1: failure, aspirin, the full stop; none right. Gold of length 1:
        # aspirin.
        ones = row(self.table, "strict", "1")
        assert (ones["correct"], ones["possible"], ones["actual"]) == (0, 1, 3)
        twos = row(self.table, "strict", "2")
        assert (twos["correct"], twos["possible"], twos["actual"]) == (0, 1, 0)
        assert prf(row(self.table, "strict", "3+")) == (100, 100, 100)

    def test_relaxed_credit_goes_to_recall_by_gold_length_and_to_precision_by_predicted_length(
        self,
    ):
        # aspirin is right (1 of 1 gold); of the predictions of length 1 it has 1, `failure` 1/2,
        # the full stop none.
        ones = row(self.table, "relaxed", "1")
        assert prf(ones) == (50, 100, 200 / 3)
        # renal failure is half found; nothing of length 2 was predicted.
        twos = row(self.table, "relaxed", "2")
        assert prf(twos) == (0, 50, 0)
        assert (twos["partial"], twos["missed"], ones["partial"], ones["spurious"]) == (1, 0, 0, 1)

    def test_the_macro_average_is_the_mean_over_types(self):
        # C: nothing predicted, 0; D: two wrong, 0; G: 1 of 2 predicted, 1 of 1 gold.
        macro = row(self.table, "strict", label="macro")
        assert prf(macro) == (50 / 3, 100 / 3, 200 / 9)
        assert macro["possible"] is None

    def test_there_is_a_row_a_type(self):
        genes = row(self.table, "strict", label="G")
        # aspirin is a gene too many: 1 of 2, 1 of 1.
        assert prf(genes) == (50, 100, 200 / 3)

    def test_columns_are_the_contract_s(self):
        assert self.table.schema == pl.Schema(SCORE_SCHEMA)


def test_a_nervaluate_that_loses_half_credits_is_found_out(monkeypatch):
    """Its versions 1.0.0 to 1.2.0 did, over several documents: partial scores came out as exact
    ones.
    """
    known = EvaluationResult.compute_metrics
    monkeypatch.setattr(
        EvaluationResult, "compute_metrics", lambda self, partial_or_type=False: known(self)
    )
    with pytest.raises(RuntimeError, match="nervaluate's relaxed of all"):
        scored("O", "B-D", "O", "B-G", "O", "B-G", "I-G", "I-G", "B-D")


@pytest.mark.parametrize("type_", ["all", "macro"])
def test_a_type_that_bears_the_name_of_a_row_is_refused(type_):
    gold = [instance("s1", f"gout/B-{type_}")]
    with pytest.raises(InputError, match=f"the entity type '{type_}'"):
        score(gold, [Prediction("s1", ["O"])])


def test_gold_as_prediction_scores_100_everywhere():
    table = scored(*GOLD.tags).filter(
        pl.col("stratum") != "repeated"
    )  # none is: no recall to be had
    for name in ("precision", "recall", "f1"):
        assert table[name].to_list() == [100.0] * len(table)


def test_no_prediction_scores_0():
    table = scored(*["O"] * 9)
    assert row(table, "strict")["missed"] == 3
    assert set(table.filter(pl.col("stratum") != "repeated")["f1"]) == {0.0}


def test_neither_gold_nor_prediction_is_undefined_and_left_empty():
    empty = instance("s1", "nothing/O here/O")
    table = score([empty], [Prediction("s1", ["O", "O"])])
    assert set(table["f1"]) == {None}


def test_rows_by_type_can_be_left_out():
    assert set(scored(*GOLD.tags, per_type=False)["label"]) == {"all", "macro"}


def test_columns_without_a_source_are_empty_in_the_file(tmp_path):
    write_table(tmp_path / "scores.csv", scored(*GOLD.tags, run=ScoredRun("demo", seed=42)))
    read = read_scores(tmp_path / "scores.csv")
    assert (read["dataset"][0], read["seed"][0], read["model"][0], read["f1_ci_low"][0]) == (
        "demo",
        42,
        None,
        None,
    )


def test_precision_recall_and_f1_from_counts():
    # 3 correct and 2 partial of 8 predicted and 10 gold: (3 + 1) / 8 and (3 + 1) / 10.
    assert measures(4, 10, 4, 8).tolist() == [50.0, 40.0, pytest.approx(400 / 9)]


@pytest.mark.parametrize(("length", "bucket"), [(1, "1"), (2, "2"), (3, "3+"), (9, "3+")])
def test_the_paper_s_buckets(length, bucket):
    assert bucket_of(length, [1, 2]) == bucket


def test_other_cut_points():
    assert bucket_names([1, 3, 5]) == ["1", "2-3", "4-5", "6+"]
    assert [bucket_of(length, [1, 3, 5]) for length in (1, 2, 3, 4, 6)] == [
        "1",
        "2-3",
        "2-3",
        "4-5",
        "6+",
    ]


TAGS = st.sampled_from(["O", "O", "B-A", "I-A", "B-B", "I-B"])
PAIRS = st.integers(1, 12).flatmap(
    lambda size: st.tuples(
        st.lists(TAGS, min_size=size, max_size=size), st.lists(TAGS, min_size=size, max_size=size)
    )
)


def corpus(pairs) -> tuple[list[Instance], list[Prediction]]:
    valid = [(repair(gold).tags, repair(predicted).tags) for gold, predicted in pairs]
    gold = [
        Instance(str(number), str(number), ["w"] * len(tags), tags)
        for number, (tags, _) in enumerate(valid)
    ]
    return gold, [Prediction(str(number), tags) for number, (_, tags) in enumerate(valid)]


@settings(max_examples=40)
@given(st.lists(PAIRS, min_size=1, max_size=6))
def test_length_buckets_add_up_to_the_whole(pairs):
    gold, predictions = corpus(pairs)
    table = score(gold, predictions).filter(scorer="semeval", label="all")
    for scheme in ("strict", "relaxed"):
        overall = row(table, scheme)
        buckets = table.filter(pl.col("stratum").is_in(["1", "2", "3+"]), scheme=scheme)
        for name in (*COUNTS, "possible", "actual"):
            assert buckets[name].sum() == overall[name]


@settings(max_examples=40)
@given(st.lists(PAIRS, min_size=1, max_size=6))
def test_possible_is_the_gold_s_entities_and_actual_the_predicted_ones(pairs):
    gold, predictions = corpus(pairs)
    table = score(gold, predictions, options=Scoring(bootstrap=0, per_type=False)).filter(
        scorer="semeval", stratum="all", label="all"
    )
    assert set(table["possible"]) == {sum(len(spans(instance.tags)) for instance in gold)}
    assert set(table["actual"]) == {sum(len(spans(prediction.tags)) for prediction in predictions)}


@settings(max_examples=40)
@given(st.lists(PAIRS, min_size=1, max_size=6))
def test_swapping_gold_and_predictions_swaps_precision_and_recall(pairs):
    forth, back = (
        score(*corpus(each)).filter(pl.col("scheme") != "type", scorer="semeval")
        for each in (pairs, [(predicted, gold) for gold, predicted in pairs])
    )
    key = ["scheme", "stratum", "label"]
    both = forth.join(back, on=key, suffix="_back", how="full", validate="1:1", nulls_equal=True)
    assert len(both) == len(forth) == len(back)
    for name, other in (
        ("precision", "recall_back"),
        ("recall", "precision_back"),
        ("f1", "f1_back"),
    ):
        assert both[name].to_list() == [
            None if value is None else pytest.approx(value) for value in both[other]
        ]


@settings(max_examples=40)
@given(st.lists(PAIRS, min_size=1, max_size=6), st.randoms())
def test_the_order_of_sentences_does_not_matter(pairs, order):
    mixed = order.sample(pairs, len(pairs))
    assert score(*corpus(mixed)).equals(score(*corpus(pairs)))


@settings(max_examples=40)
@given(st.lists(PAIRS, min_size=1, max_size=6))
def test_relaxed_is_never_below_strict(pairs):
    table = score(*corpus(pairs))
    strict, relaxed = row(table, "strict")["f1"], row(table, "relaxed")["f1"]
    assert (strict is None and relaxed is None) or relaxed >= strict - 1e-9

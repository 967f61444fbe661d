"""The paper's evaluator and its length windows, by hand: rebuilt to be compared with, not to be
believed.
"""

import polars as pl
import pytest

from bioner.data.tags import Span
from bioner.scoring.paper import Match, match
from bioner.scoring.score import score
from bioner.settings.config import Scoring
from tests.conftest import instance
from tests.unit.scoring.predicted import predicted


def entity(start: int, end: int, type_: str = "D") -> Span:
    return Span(start, end, type_)


def test_an_overlap_does_not_see_the_last_token_of_either_span():
    # renal failure | failure: they share gold's last token, and the prediction is a single token.
    assert match([entity(0, 2)], [entity(1, 2)]) == Match(missed=1, spurious=1)
    assert match([entity(0, 2)], [entity(1, 2)], half_open=False) == Match(overlapping=1)
    # acute renal failure | acute renal: both share a token that is the last of neither.
    assert match([entity(0, 3)], [entity(0, 2)]) == Match(overlapping=1)
    # The prediction's single token is the gold's first: still its own last.
    assert match([entity(0, 3)], [entity(0, 1)]) == Match(missed=1, spurious=1)


def test_several_predictions_may_use_one_gold_entity():
    gold, halves = [entity(0, 4)], [entity(0, 2), entity(2, 4)]
    # Two incorrect, none missed: of one gold entity two were "possible".
    assert match(gold, halves, half_open=False) == Match(overlapping=2)
    assert match(gold, halves, half_open=False, reuse=False) == Match(overlapping=1, spurious=1)


def test_a_right_span_of_another_type_is_found_though_it_is_a_single_token():
    assert match([entity(0, 1)], [entity(0, 1, "C")]) == Match(other_type=1)


# `renal failure` is overrun by one token; `new drug class` is no entity.
GOLD = instance(
    "s1", "renal/B-D failure/I-D patients/O received/O a/O new/O drug/O class/O today/O"
)
OVERRUN = "B-D I-D I-D O O B-D I-D I-D O"


class TestWindows:
    """The example of docs/reproduction.md."""

    table = score([GOLD], predicted(OVERRUN)).filter(scheme="strict", label="all")

    def counts(self, scorer: str, stratum: str) -> tuple[int, int, int]:
        (found,) = self.table.filter(scorer=scorer, stratum=stratum).iter_rows(named=True)
        return found["correct"], found["possible"], found["actual"]

    def test_overall_nothing_is_right(self):
        # Both ways: one prediction overlaps and is wrong, one is spurious.
        assert self.counts("semeval", "all") == self.counts("paper", "all") == (0, 1, 2)

    def test_by_length_gold_stands_in_bucket_2_and_both_predictions_in_3(self):
        assert [self.counts("semeval", stratum) for stratum in ("1", "2", "3+")] == [
            (0, 0, 0),
            (0, 1, 0),
            (0, 0, 2),
        ]

    def test_windows_count_the_overrun_as_right_and_tokens_outside_as_false_positives_of_length_1(
        self,
    ):
        # patients; new, drug, class.
        assert [self.counts("paper", stratum) for stratum in ("1", "2", "3+")] == [
            (0, 0, 4),
            (1, 1, 1),
            (0, 0, 0),
        ]


def test_windows_do_not_add_up_to_the_whole():
    windows = score([GOLD], predicted(OVERRUN)).filter(scorer="paper", scheme="strict")
    overall, parts = windows.filter(stratum="all"), windows.filter(pl.col("stratum") != "all")
    assert (overall["correct"].sum(), parts["correct"].sum()) == (0, 1)


def test_a_prediction_over_two_entities_is_cut_into_both_windows():
    gold = instance("s1", "gout/B-D renal/B-D failure/I-D")
    table = score([gold], predicted("B-D I-D I-D")).filter(scorer="paper", scheme="strict")
    assert table.filter(stratum="1")["f1"].item() == table.filter(stratum="2")["f1"].item() == 100
    assert table.filter(stratum="all")["f1"].item() == 0


def test_windows_are_the_paper_s_whatever_the_cuts_of_the_sound_score():
    table = score([GOLD], predicted(OVERRUN), options=Scoring(bootstrap=0, length_cuts=[3])).filter(
        scheme="strict", label="all"
    )
    assert table.filter(scorer="paper")["stratum"].to_list() == ["all", "1", "2", "3+"]
    assert table.filter(scorer="semeval")["stratum"].to_list() == ["all", "1-3", "4+"]


def test_relaxed_gives_half_credit_for_what_it_sees():
    # Overall: one of two predictions overlaps, half a hit: P 0.5 / 2, R 0.5 / 1.
    found = score([GOLD], predicted(OVERRUN)).filter(
        scorer="paper", scheme="relaxed", stratum="all"
    )
    assert found.select("precision", "recall").row(0) == (25, 50)


def test_precision_is_the_official_one_and_recall_at_most_as_high():
    """Strictly: the two rules move entities between missed, spurious and incorrect, and correct
    ones stay.
    """
    gold = instance("s1", "a/B-D b/I-D c/I-D d/I-D e/O f/B-D")
    table = score([gold], predicted("B-D I-D B-D I-D O B-D")).filter(
        scheme="strict", stratum="all", label="all"
    )
    official, paper = (
        table.filter(scorer=name).row(0, named=True) for name in ("semeval", "paper")
    )
    assert paper["precision"] == official["precision"]
    # 1 of 2 gold entities; the paper's evaluator divides by 3.
    assert (official["recall"], paper["recall"]) == (50, pytest.approx(100 / 3))

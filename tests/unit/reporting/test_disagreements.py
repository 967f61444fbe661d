"""Errors by kind: worked cases, sums that match the score table, and data for the browser."""

import json
from itertools import pairwise

import polars as pl
import pytest

from bioner.data.instances import Prediction
from bioner.data.tags import Span
from bioner.reporting.browser import browser_data, embedded
from bioner.reporting.disagreements import KINDS, ReportedSystem, disagreements, kinds, mentions
from bioner.scoring.score import score
from bioner.settings.config import Scoring
from tests.conftest import instance
from tests.unit.scoring.random_cases import as_corpus, random_cases

A, B = ReportedSystem("a", "direct", 1), ReportedSystem("b", "constrained", 2)
GOLD = [
    instance("s1", "acute/B-Disease renal/I-Disease failure/I-Disease after/O aspirin/B-Chemical"),
    instance("s2", "No/O gout/B-Disease"),
    instance("s3", "Nothing/O"),
]


def predicted(*rows: str) -> list[Prediction]:
    return [Prediction(item.id, row.split()) for item, row in zip(GOLD, rows, strict=True)]


WRONG = predicted("O B-Disease I-Disease B-Gene B-Chemical", "O B-Chemical", "B-Disease")
SILENT = predicted("O O O O O", "O O", "O")
RIGHT = [Prediction(item.id, item.tags) for item in GOLD]


@pytest.mark.parametrize(
    ("gold", "found", "of_gold", "of_found"),
    [
        ([(0, 2, "D")], [(0, 2, "D")], ["correct"], ["correct"]),
        ([(0, 2, "D")], [], ["missed"], []),
        ([], [(0, 2, "D")], [], ["spurious"]),
        ([(0, 2, "D")], [(2, 3, "D")], ["missed"], ["spurious"]),
        ([(0, 2, "D")], [(1, 2, "D")], ["boundary"], ["boundary"]),
        ([(0, 2, "D")], [(0, 2, "C")], ["type"], ["type"]),
        ([(0, 2, "D")], [(1, 3, "C")], ["both"], ["both"]),
        # Of two that it overlaps, the one of its type decides; the other is what it is.
        ([(0, 4, "D")], [(0, 1, "C"), (2, 3, "D")], ["boundary"], ["both", "boundary"]),
        ([(0, 1, "C"), (2, 3, "D")], [(0, 4, "D")], ["both", "boundary"], ["boundary"]),
        # A chain: each overlaps the next one of the other side.
        (
            [(0, 2, "D"), (3, 5, "D")],
            [(1, 4, "D"), (4, 5, "C")],
            ["boundary", "boundary"],
            ["boundary", "both"],
        ),
    ],
)
def test_every_entity_has_one_kind(gold, found, of_gold, of_found):
    spans = [[Span(*each) for each in side] for side in (gold, found)]
    assert kinds(*spans) == (of_gold, of_found)


@pytest.mark.parametrize("seed", range(4))
def test_kinds_add_up_to_the_counts_of_the_score_table(seed):
    """In each bucket gold entities equal `possible`, predictions `actual`, `correct` itself."""
    for gold, found in random_cases(40, seed):
        instances, predictions = as_corpus(gold, found)
        counts = disagreements("D", instances, {A: predictions}, closed=False, cuts=[1, 3]).counts
        rows = score(
            instances, predictions, options=Scoring(bootstrap=0, length_cuts=[1, 3])
        ).filter(scorer="semeval", scheme="strict", label="all")
        assert counts["length"].to_list() == ["all", "1", "2-3", "4+"]
        ours = counts.select("length", "gold_entities", "correct", "predictions")
        assert ours.rows() == rows.select("stratum", "possible", "correct", "actual").rows()
        of_gold = counts.select(pl.sum_horizontal("correct", "missed", "boundary", "type", "both"))
        assert of_gold.to_series().to_list() == counts["gold_entities"].to_list()


def test_the_table_counts_gold_by_its_length_and_spurious_ones_by_theirs():
    counts = disagreements("D", GOLD, {A: WRONG, B: RIGHT}, closed=False).counts
    columns = (
        "gold_entities",
        "correct",
        "missed",
        "boundary",
        "type",
        "both",
        "predictions",
        "spurious",
    )
    rows = {
        (model, length): row
        for model, length, *row in counts.select("model", "length", *columns).iter_rows()
    }
    assert rows["a", "all"] == [3, 1, 0, 1, 1, 0, 5, 2]
    assert rows["a", "1"] == [2, 1, 0, 0, 1, 0, 4, 2]
    assert rows["a", "2"] == [
        0,
        0,
        0,
        0,
        0,
        0,
        1,
        0,
    ]  # a prediction of two tokens for a gold entity of three
    assert rows["a", "3+"] == [1, 0, 0, 1, 0, 0, 0, 0]
    assert rows["b", "all"] == [3, 3, 0, 0, 0, 0, 3, 0]


def test_sentences_hold_what_differs_from_gold_once_for_all_who_answer_alike():
    found = disagreements("D", GOLD, {A: WRONG, B: WRONG}, closed=False, train=mentions(GOLD[1:]))
    disease, chemical, gene = (found.types.index(name) for name in ("Disease", "Chemical", "Gene"))
    boundary, type_, spurious = (KINDS.index(name) for name in ("boundary", "type", "spurious"))
    first, second, third = found.sentences
    assert first == [
        "s1",
        "acute renal failure after aspirin",
        (0, 3, disease, 0, 4, 5, chemical, 0),
        [[[0, 1], (0, boundary), (1, 3, disease, 0, boundary, 3, 4, gene, 0, spurious)]],
    ]
    assert second[2] == (1, 2, disease, 1), "train holds gout"
    assert second[3] == [[[0, 1], (0, type_), (1, 2, chemical, 0, type_)]]
    assert third == ["s3", "Nothing", (), [[[0, 1], (), (0, 1, disease, 0, spurious)]]]


def test_systems_without_an_error_or_without_a_prediction_add_no_sentence():
    found = disagreements("D", GOLD, {A: SILENT, B: RIGHT}, closed=False)
    assert (found.silent, list(found.sentences)) == ([0], [])
    assert found.counts.filter(model="a", length="all")["missed"].item() == 3


def test_a_closed_corpus_is_counted_and_not_shown():
    shut, free = (disagreements("D", GOLD, {A: WRONG}, closed=closed) for closed in (True, False))
    assert shut.counts.equals(free.counts)
    assert len(free.sentences) == 3
    told = embedded(browser_data([shut]))
    assert not any(word in told for word in ("aspirin", "gout", "Nothing", "s1"))


def test_what_is_too_much_for_a_page_is_thinned_evenly_and_said():
    gold = [
        instance(f"s{number}", f"w{number:03d}/B-Disease x/B-Chemical") for number in range(300)
    ]
    half = [Prediction(item.id, ["B-Disease", "O"]) for item in gold]
    found = disagreements("D", gold, {A: half}, closed=False)
    (whole,) = browser_data([found])["datasets"]
    size = sum(len(embedded(sentence).encode()) for sentence in whole["sentences"])
    assert (whole["of"], len(whole["sentences"])) == (300, 300)
    (cut,) = browser_data([found], most_bytes=size // 3)["datasets"]
    assert cut["of"] == 300
    assert sum(len(embedded(sentence).encode()) for sentence in cut["sentences"]) <= size // 3
    places = [int(sentence[0][1:]) for sentence in cut["sentences"]]
    assert 95 <= len(places) <= 100
    assert {after - before for before, after in pairwise(places)} <= {2, 3, 4}


def test_json_in_a_script_element_ends_it_nowhere():
    text = "</script><!--<script>&\u2028\u2029 '\"\\ \U0001f9ec \u202e \x00"
    inside = embedded({"text": text})
    assert not set("<>&\u2028\u2029\x00") & set(inside)
    assert json.loads(inside) == {"text": text}

"""The paper's tables against themselves: sums, rounding, and the whole numbers behind the
percentages.

A test that fails here means that `resources/paper` was mistyped or repaired; docs/reproduction.md
says what the tests show about the paper.
"""

import os
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import ceil, floor
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from bioner.corpora.changes import Changes
from bioner.corpora.readers.dygie import KEYS, read_dygie_misread
from bioner.io.files import read_records
from bioner.settings.repository import REPOSITORY

MIRROR = os.environ.get("BIONER_MIRROR")
ENCODERS = ("bert-large-uncased", "bert-large-cased", "biomedbert-large", "deberta-v3-large")
LLMS = ("mistral-7b", "llama-8b")
MODELS = (*ENCODERS, *LLMS)
REDDIT = "Reddit-Impacts"
DATASETS = ("JNLPBA", "BioRED", "ChemProt", "BC5CDR", REDDIT)
LENGTHS = ("1", "2", "3+")

# What two decimals hide of a percentage.
HALF = Fraction(1, 200)


class Scores(NamedTuple):
    """Percentages as printed, exactly."""

    precision: Fraction
    recall: Fraction
    f1: Fraction


class Counts(NamedTuple):
    """Precision is `found / predicted`, recall `found / divisor`."""

    found: int
    predicted: int
    divisor: int


def table(name: str) -> list[dict[str, str]]:
    rows = pl.read_csv(
        REPOSITORY / "resources" / "paper" / f"{name}.csv", infer_schema=False
    ).to_dicts()
    assert rows
    return rows


def scores(row: dict[str, str]) -> Scores:
    return Scores(*(Fraction(row[name]) for name in Scores._fields))


@cache
def strict() -> dict[tuple[str, str, str], Scores]:
    """Table III by dataset, model and length."""
    return {
        (row["dataset"], row["model"], row["length"]): scores(row) for row in table("table3_strict")
    }


@cache
def relaxed() -> dict[tuple[str, str], Scores]:
    """Table V by dataset and model."""
    return {(row["dataset"], row["model"]): scores(row) for row in table("table5_relaxed")}


@cache
def gold() -> dict[tuple[str, str], int]:
    """Table II by dataset and length."""
    columns = {"all": "total", "1": "length_1", "2": "length_2", "3+": "length_3_plus"}
    rows = table("table2_test_entities")
    return {
        (row["dataset"], length): int(row[name]) for row in rows for length, name in columns.items()
    }


@cache
def seconds() -> dict[tuple[str, str], Fraction]:
    """Table IV by dataset and model."""
    rows = table("table4_inference_seconds")
    return {(row["dataset"], row["model"]): Fraction(row["seconds_per_sample"]) for row in rows}


def harmonic(precision: Fraction, recall: Fraction) -> Fraction:
    return 2 * precision * recall / (precision + recall)


def f1_follows(row: Scores, half: Fraction = HALF) -> bool:
    """Some precision, recall and F1 that print like these are one another's harmonic mean: it grows
    with both.
    """
    low, high = (harmonic(row.precision + off, row.recall + off) for off in (-HALF, HALF))
    return low - half <= row.f1 <= high + half


def whole(low: Fraction, high: Fraction) -> range:
    return range(ceil(low), floor(high) + 1)


def numerators(percentage: Fraction, divisor: int) -> range:
    """Whole numbers that give the percentage when divided by `divisor`."""
    return whole((percentage - HALF) * divisor / 100, (percentage + HALF) * divisor / 100)


def counts(row: Scores, divisor: int) -> Iterator[Counts]:
    """Whole numbers that give all three percentages of a row, recall dividing by `divisor`."""
    for found in numerators(row.recall, divisor):
        for predicted in whole(
            100 * found / (row.precision + HALF), 100 * found / (row.precision - HALF)
        ):
            if abs(Fraction(200 * found, predicted + divisor) - row.f1) <= HALF:
                yield Counts(found, predicted, divisor)


def fits(dataset: str, model: str, length: str, divisor: int) -> bool:
    return any(counts(strict()[dataset, model, length], divisor))


def printed(number: Fraction) -> str:
    return f"{float(number):.2f}"


# Table by table


def test_the_tables_hold_every_cell_once():
    for name, rows in {
        "table1_instances": 5,
        "table2_test_entities": 5,
        "table4_inference_seconds": 20,
    }.items():
        assert len(table(name)) == rows
    cells = {(dataset, model) for dataset in DATASETS for model in MODELS}
    assert len(table("table5_relaxed")) == len(cells) and relaxed().keys() == cells
    assert len(table("table3_strict")) == 4 * len(cells)
    assert strict().keys() == {(*cell, length) for cell in cells for length in ("all", *LENGTHS)}


def test_lengths_of_table_2_add_up():
    totals = {dataset: gold()[dataset, "all"] for dataset in DATASETS}
    assert {
        dataset: sum(gold()[dataset, length] for length in LENGTHS) for dataset in DATASETS
    } == totals


def test_every_f1_of_table_3_follows_from_its_precision_and_recall():
    assert [key for key, row in strict().items() if not f1_follows(row)] == []


def test_three_f1_of_table_5_do_not_follow_and_one_of_them_is_only_rounded():
    """91.33 and 90.58 give 90.95, not 90.90; 28.97 and 43.45 give 34.76, not 34.70; 76.31 and 44.75
    give 56.42.
    """
    odd = {key for key, row in relaxed().items() if not f1_follows(row)}
    assert odd == {("BioRED", "llama-8b"), (REDDIT, "bert-large-cased"), ("ChemProt", "llama-8b")}
    means = {key: printed(harmonic(relaxed()[key].precision, relaxed()[key].recall)) for key in odd}
    assert sorted(means.values()) == ["34.76", "56.42", "90.95"]
    # The paper prints the F1 of ChemProt with Llama as "56.4", one decimal, which 56.42 is. The
    # others have two.
    assert f1_follows(relaxed()["ChemProt", "llama-8b"], half=Fraction(1, 20))


def test_relaxed_scores_are_at_least_the_strict_ones():
    for (dataset, model), row in relaxed().items():
        assert all(
            loose >= exact
            for loose, exact in zip(row, strict()[dataset, model, "all"], strict=True)
        )


def test_llama_is_ahead_of_mistral_on_two_corpora():
    """The text names ChemProt the only one; on BioRED it is 88.58 to 88.46."""
    f1 = {
        (dataset, model): strict()[dataset, model, "all"].f1
        for dataset in DATASETS
        for model in LLMS
    }
    ahead = {dataset for dataset in DATASETS if f1[dataset, "llama-8b"] > f1[dataset, "mistral-7b"]}
    assert ahead == {"ChemProt", "BioRED"}


def test_slowdowns_of_table_4_run_from_35_to_262():
    """An LLM over an encoder of the same corpus: 1.7097 / 0.0493 = 34.68 and 11.5464 / 0.0441 =
    261.82.
    """
    slowdown = {
        (dataset, llm, encoder): seconds()[dataset, llm] / seconds()[dataset, encoder]
        for dataset in DATASETS
        for llm in LLMS
        for encoder in ("bert-family-average", "deberta-v3-large")
    }
    assert len(slowdown) == 20
    least, most = min(slowdown, key=slowdown.__getitem__), max(slowdown, key=slowdown.__getitem__)
    assert (least, printed(slowdown[least])) == (
        ("JNLPBA", "llama-8b", "deberta-v3-large"),
        "34.68",
    )
    assert (most, printed(slowdown[most])) == (
        ("BioRED", "mistral-7b", "bert-family-average"),
        "261.82",
    )
    assert {key[0] for key, times in slowdown.items() if times >= 100} == {"BioRED"}
    # The text's "nearly 220 times" is this corpus and the BERT family: 9.6395 / 0.0441 = 218.6.
    over_bert = {
        dataset: round(slowdown[dataset, "llama-8b", "bert-family-average"]) for dataset in DATASETS
    }
    assert over_bert == {"JNLPBA": 62, "BioRED": 219, "ChemProt": 79, "BC5CDR": 71, REDDIT: 70}


# Reddit-Impacts: 80 gold entities, few enough to find the whole numbers

OVERALL = {
    # Table III: found, predicted, what recall divides by; Table V: found, with half entities, of
    # the same two.
    "bert-large-uncased": (Counts(28, 185, 90), Fraction("50.5")),
    "bert-large-cased": (Counts(22, 126, 84), Fraction("36.5")),
    "biomedbert-large": (Counts(22, 102, 83), Fraction("33.5")),
    "deberta-v3-large": (Counts(22, 119, 87), Fraction("41.5")),
    "mistral-7b": (Counts(22, 59, 80), Fraction("26.5")),
    "llama-8b": (Counts(23, 75, 80), Fraction("32.0")),
}


def halves(row: Scores, predicted: int, divisor: int) -> list[Fraction]:
    """Multiples of a half that give the precision and the recall of a row of Table V."""
    wanted = set(numerators(row.precision, 2 * predicted)) & set(
        numerators(row.recall, 2 * divisor)
    )
    return [Fraction(number, 2) for number in sorted(wanted)]


@pytest.mark.parametrize("model", MODELS)
def test_one_set_of_whole_numbers_below_160_gives_both_tables(model):
    """28/185 = 15.14, 28/90 = 31.11 and 56/275 = 20.36; 50.5/185 = 27.30 and 50.5/90 = 56.11.

    No divisor is assumed. Twice every number gives the same percentages, so above 159 there are
    more.
    """
    found = [
        (numbers, credit)
        for divisor in range(1, 160)
        for numbers in counts(strict()[REDDIT, model, "all"], divisor)
        for credit in halves(relaxed()[REDDIT, model], numbers.predicted, divisor)
    ]
    assert found == [OVERALL[model]]


def test_the_same_whole_numbers_give_every_f1_of_table_5_but_one():
    """73/210 = 34.76; the paper prints 34.70."""
    odd = {
        model: printed(200 * credit / (numbers.predicted + numbers.divisor))
        for model, (numbers, credit) in OVERALL.items()
        if abs(200 * credit / (numbers.predicted + numbers.divisor) - relaxed()[REDDIT, model].f1)
        > HALF
    }
    assert odd == {"bert-large-cased": "34.76"}


def test_recall_of_the_llms_alone_is_a_number_of_the_80_gold_entities():
    """22/80 = 27.50 and 23/80 = 28.75; but 24/80 = 30.00 and 25/80 = 31.25, and BERT-uncased's
    recall is 31.11.
    """
    total = gold()[REDDIT, "all"]
    assert total == 80
    assert {
        model for model in MODELS if numerators(strict()[REDDIT, model, "all"].recall, total)
    } == set(LLMS)
    # Relaxed: 26.5/80 = 33.125 and 32/80 = 40.00.
    assert {
        model for model in MODELS if numerators(relaxed()[REDDIT, model].recall, 2 * total)
    } == set(LLMS)


def test_recall_and_f1_out_of_80_keep_the_order_of_f1():
    """28/80 = 35.00 and 56/(185 + 80) = 21.13, which are 31.11 and 20.36 in the paper."""
    out_of_80 = {
        model: (Fraction(100 * found, 80), Fraction(200 * found, predicted + 80))
        for model, ((found, predicted, _), _) in OVERALL.items()
    }
    assert {model: tuple(map(printed, pair)) for model, pair in out_of_80.items()} == {
        "bert-large-uncased": ("35.00", "21.13"),
        "bert-large-cased": ("27.50", "21.36"),
        "biomedbert-large": ("27.50", "24.18"),
        "deberta-v3-large": ("27.50", "22.11"),
        "mistral-7b": ("27.50", "31.65"),
        "llama-8b": ("28.75", "29.68"),
    }
    paper = {model: strict()[REDDIT, model, "all"] for model in MODELS}
    order = [
        "mistral-7b",
        "llama-8b",
        "biomedbert-large",
        "deberta-v3-large",
        "bert-large-cased",
        "bert-large-uncased",
    ]
    assert sorted(MODELS, key=lambda model: -paper[model].f1) == order
    assert sorted(MODELS, key=lambda model: -out_of_80[model][1]) == order
    # By recall three encoders draw level with Mistral, which is ahead of them in the paper.
    assert all(paper[model].recall < paper["mistral-7b"].recall for model in ENCODERS[1:])


BY_LENGTH = {
    "bert-large-uncased": [Counts(25, 275, 28), Counts(6, 7, 7), Counts(11, 67, 55)],
    "bert-large-cased": [Counts(20, 119, 28), Counts(4, 8, 7), Counts(5, 60, 49)],
    "biomedbert-large": [Counts(20, 104, 28), Counts(4, 6, 7), Counts(3, 43, 48)],
    "deberta-v3-large": [Counts(22, 141, 28), Counts(4, 6, 7), Counts(9, 57, 52)],
    "mistral-7b": [Counts(20, 79, 28), Counts(5, 5, 7), Counts(5, 21, 45)],
    "llama-8b": [Counts(18, 357, 28), Counts(5, 6, 7), Counts(15, 24, 45)],
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("length", LENGTHS)
def test_the_smallest_whole_numbers_behind_the_length_rows(model, length):
    """The smallest divisor from the gold count on: 5/60 = 8.33, 5/49 = 10.20 and 10/109 = 9.17."""
    row = strict()[REDDIT, model, length]
    found = next(
        hits
        for divisor in range(gold()[REDDIT, length], 200)
        if (hits := list(counts(row, divisor)))
    )
    assert found == [BY_LENGTH[model][LENGTHS.index(length)]]


def test_recall_of_encoders_at_three_tokens_is_no_number_of_the_45_gold_entities():
    by_recall = {
        (model, length)
        for model in MODELS
        for length in LENGTHS
        if not numerators(strict()[REDDIT, model, length].recall, gold()[REDDIT, length])
    }
    assert by_recall == {(model, "3+") for model in ENCODERS[1:]}
    # BERT-uncased's 20.00 could be 9/45, but 9/54 = 16.67 and 9/55 = 16.36: its precision, 16.42,
    # is not out of 9.
    assert not fits(REDDIT, "bert-large-uncased", "3+", 45)


def test_recall_at_three_tokens_divides_by_as_many_too_many_as_recall_overall():
    """BERT-uncased: 90 - 80 = 10 = 55 - 45. Two rows of the table, found apart, agree for every
    model.
    """
    overall = {
        model: numbers.divisor - gold()[REDDIT, "all"] for model, (numbers, _) in OVERALL.items()
    }
    long = {model: rows[-1].divisor - gold()[REDDIT, "3+"] for model, rows in BY_LENGTH.items()}
    assert long == overall
    assert list(overall.values()) == [10, 4, 3, 7, 0, 0]


def test_length_rows_do_not_add_up_to_the_whole():
    """BERT-uncased finds 25 + 6 + 11 = 42 by length and 28 overall, out of 275 + 7 + 67 = 349 and
    185 predictions.
    """
    sums = {
        model: (sum(row.found for row in rows), sum(row.predicted for row in rows))
        for model, rows in BY_LENGTH.items()
    }
    assert sums == {
        "bert-large-uncased": (42, 349),
        "bert-large-cased": (29, 187),
        "biomedbert-large": (27, 153),
        "deberta-v3-large": (35, 204),
        "mistral-7b": (30, 105),
        "llama-8b": (38, 387),
    }
    # Larger whole numbers behind a length row would only add to the sums.
    for model, (numbers, _) in OVERALL.items():
        assert sums[model][0] > numbers.found and sums[model][1] > numbers.predicted


# The larger corpora: only rows whose three percentages few divisors give


def test_recall_at_one_token_divides_by_the_gold_count_in_all_30_rows():
    for dataset in DATASETS:
        assert all(fits(dataset, model, "1", gold()[dataset, "1"]) for model in MODELS)


@pytest.mark.parametrize(
    ("dataset", "divisor"),
    [("JNLPBA", 2620), ("BC5CDR", 1438), ("BioRED", 411 + 6), ("ChemProt", 613 + 49)],
)
def test_one_divisor_up_to_twice_the_gold_count_fits_all_six_models_at_two_tokens(dataset, divisor):
    """Table II's count for JNLPBA and BC5CDR; for BioRED 417 instead of 411, for ChemProt 662
    instead of 613.
    """
    upto = 2 * gold()[dataset, "2"]
    assert [n for n in range(1, upto) if all(fits(dataset, model, "2", n) for model in MODELS)] == [
        divisor
    ]


@pytest.mark.skipif(not MIRROR, reason="set BIONER_MIRROR to a folder of raw corpora to run this")
def test_49_two_token_entities_of_the_paper_s_chemprot_change_their_type_inside():
    """`B-CHEMICAL I-GENE` is one entity of Table II and two of an evaluator: 613 + 49 = 662, of
    2,984 + 123 = 3,107.
    """
    changes = Counter()
    path = Path(MIRROR) / "ChemProt" / "test.json"
    for sentence in read_dygie_misread(read_records(path, KEYS), Changes("repair")):
        types = []
        for tag in [*sentence.tags, "O"]:
            if tag[0] == "I":
                types.append(tag[2:])
                continue
            changes[min(len(types), 3)] += sum(before != after for before, after in pairwise(types))
            types = [tag[2:]] if tag[0] == "B" else []
    assert (changes[2], changes[3]) == (49, 123 - 49)


def test_recall_at_three_tokens_divides_by_the_gold_count_in_four_rows_of_llms():
    """And in none of the 20 rows of encoders."""
    exact = {
        (dataset, model)
        for dataset in DATASETS
        for model in MODELS
        if fits(dataset, model, "3+", gold()[dataset, "3+"])
    }
    assert exact == {
        ("JNLPBA", "llama-8b"),
        ("BC5CDR", "mistral-7b"),
        (REDDIT, "mistral-7b"),
        (REDDIT, "llama-8b"),
    }


def test_recall_alone_says_too_little_about_larger_corpora():
    """By chance 35 of 100 percentages are a number of 3,503: BioRED's LLMs are, its encoders not,
    as on Reddit-Impacts.

    Together with precision and F1 no row of BioRED or ChemProt divides by the gold count.
    """
    alone = {
        dataset: {
            model for model in MODELS if numerators(strict()[dataset, model, "all"].recall, divisor)
        }
        for dataset, divisor in {"BioRED": 3503, "ChemProt": 2984}.items()
    }
    assert alone == {"BioRED": set(LLMS), "ChemProt": set(MODELS)}
    for dataset in alone:
        assert not any(fits(dataset, model, "all", gold()[dataset, "all"]) for model in MODELS)


def test_biored_divides_by_the_same_number_too_many_overall_and_at_three_tokens():
    """The six more of its two-token row (417 for 411) counted in: 3,503 + 6 + n overall, 567 + n at
    three tokens.

    Mistral: 3094/3511 = 88.12 and 459/569 = 80.67, so n is 2. Here LLMs have too many as well.
    """

    def excess(model: str, total: int) -> list[int]:
        return [
            n
            for n in range(100)
            if fits("BioRED", model, "all", total + n) and fits("BioRED", model, "3+", 567 + n)
        ]

    assert (gold()["BioRED", "all"], gold()["BioRED", "3+"]) == (3503, 567)
    assert [excess(model, 3503 + 6) for model in MODELS] == [[19], [15], [9], [11], [2], [11]]
    assert [excess(model, 3503) for model in MODELS] == [[], [], [], [], [], []]

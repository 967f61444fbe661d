"""Answers in words: never more than the tests and their intervals support."""

import polars as pl
import pytest

from bioner.reporting.conclusions import ALL, write_conclusions
from bioner.reporting.prices import PRICE
from bioner.reporting.significance import SIGNIFICANCE

STRICT = {
    **dict.fromkeys(("dataset", "model", "decoding", "length"), pl.String),
    "headline": pl.Boolean,
    **dict.fromkeys(("f1", "f1_ci_low", "f1_ci_high"), pl.Float64),
}
PAIR = {
    "model": "llama-8b",
    "decoding": "constrained",
    "baseline_model": "biomedbert-large",
    "baseline_decoding": "direct",
}
PRIMARY = PAIR | {
    "family": "primary",
    "measure": "f1",
    "stratum": "all",
    "score": 87.5,
    "baseline_score": 86.0,
}
PRIMARY |= {
    "difference": 1.5,
    "ci_low": 0.5,
    "ci_high": 2.5,
    "p_holm": 0.004,
    "verdict": "higher",
    "dataset": "BC5CDR",
}
PRIMARY |= {
    "seeds": 3,
    "baseline_seeds": 3,
    "tests": 1,
    "n_higher": 1,
    "n_lower": 0,
    "gold_entities": 9809,
    "clusters_with_gold": 500,
}
PRIMARY |= {"cluster": "document"}


def said(*rows, datasets=("BC5CDR",), strict=(), prices=()):
    """The answers of these rows of significance.csv, by corpus."""
    found = write_conclusions(
        datasets,
        pl.DataFrame(rows, schema=SIGNIFICANCE),
        pl.DataFrame(strict, schema=STRICT),
        pl.DataFrame(prices, schema=PRICE),
    )
    return {about: " ".join(sentences) for about, sentences in found}


def test_a_difference_that_is_shown_is_told_with_its_interval():
    text = said(PRIMARY)["BC5CDR"]
    assert text.startswith(
        "Yes, the LLM surpasses the encoder: the best LLM, llama-8b (constrained), has 87.50"
        " strict F1"
    )
    assert "1.50 above the best encoder, biomedbert-large, with 86.00" in text
    assert "difference +1.50, 95 % interval +0.50 to +2.50, p = 0.0040 after Holm" in text


def test_the_other_way_round_the_encoder_is_ahead():
    row = PRIMARY | {
        "score": 84.0,
        "difference": -2.0,
        "ci_low": -3.0,
        "ci_high": -1.0,
        "verdict": "lower",
    }
    text = said(row)["BC5CDR"]
    assert text.startswith("No, the encoder surpasses the LLM: ")
    assert "2.00 below the best encoder" in text


@pytest.mark.parametrize(
    ("verdict", "said_of_it"), [("higher", "yes, the LLM"), ("lower", "no, the encoder")]
)
@pytest.mark.parametrize("seeds", [{"seeds": 1}, {"baseline_seeds": 1}])
def test_one_seed_a_side_speaks_of_these_weights_alone(verdict, said_of_it, seeds):
    rows = [
        PRIMARY | {"verdict": verdict, "dataset": name, "tests": 2} | seeds
        for name in ("BC5CDR", "JNLPBA")
    ]
    found = said(*rows, datasets=["BC5CDR", "JNLPBA"])
    assert found["BC5CDR"].startswith(f"Of these very weights: {said_of_it} surpasses ")
    assert "One seed a side tells nothing of other trainings." in found["BC5CDR"]
    assert "What is said of all of them is of these very weights" in found[ALL]
    several = [PRIMARY | {"dataset": "BioRED"}, *rows]
    assert (
        "What is said of BC5CDR, JNLPBA is"
        in said(*several, datasets=["BioRED", "BC5CDR", "JNLPBA"])[ALL]
    )
    assert "neither is shown" not in found[ALL]


def test_a_pair_without_a_test_is_told_so():
    assert said(PRIMARY | {"verdict": None, "p_holm": None})["BC5CDR"].startswith(
        "Not tested: the best LLM"
    )


def test_a_tiny_p_is_not_zero():
    assert "p < 0.0001 after Holm" in said(PRIMARY | {"p_holm": 0.00001})["BC5CDR"]


@pytest.mark.parametrize("verdict", ["not shown", "too few"])
@pytest.mark.parametrize("difference", [0.3, -0.3, 12.0])
def test_what_is_not_shown_is_never_told_as_a_difference(verdict, difference):
    """However large it looks."""
    text = said(
        PRIMARY
        | {
            "difference": difference,
            "ci_low": difference - 20,
            "ci_high": difference + 20,
            "verdict": verdict,
        }
    )
    assert text["BC5CDR"].startswith(
        {"not shown": "Not shown either way", "too few": "Too little text"}[verdict]
    )
    assert "surpasses" not in text["BC5CDR"]


def test_length_matters_only_where_it_is_shown():
    claim = PRIMARY | {
        "family": "length claim",
        "stratum": "3+ - 1",
        "difference": 4.0,
        "ci_low": 1.0,
        "ci_high": 7.0,
    }
    assert (
        "Longer entities favour the LLM. The LLM's lead for entities of 3+ tokens"
        in said(PRIMARY, claim)["BC5CDR"]
    )
    doubtful = claim | {"ci_low": -1.0, "verdict": "not shown"}
    assert "That length matters is not shown." in said(PRIMARY, doubtful)["BC5CDR"]


@pytest.mark.parametrize(
    ("verdict", "begins"),
    [
        ("lower", "Longer entities favour the encoder."),
        ("too few", "Too few long entities to tell whether length matters."),
        (None, "That length matters is not shown."),
    ],
)
def test_length_in_the_encoder_s_favour_or_untested(verdict, begins):
    claim = PRIMARY | {
        "family": "length claim",
        "stratum": "3+ - 1",
        "difference": -4.0,
        "ci_low": -7.0,
        "ci_high": -1.0,
    }
    text = said(PRIMARY, claim | {"verdict": verdict})["BC5CDR"]
    assert (
        f"{begins} The LLM's lead for entities of 3+ tokens less that for those of 1 token is"
        " −4.00 F1" in text
    )
    assert "95 % interval −7.00 to −1.00" in text


def test_an_answer_is_of_its_own_corpus_by_f1_overall():
    """Rows of another corpus, of recall and of long entities say the opposite and come first."""
    contrary = {"verdict": "lower", "difference": -8.0, "ci_low": -9.0, "ci_high": -7.0}
    length = PRIMARY | {
        "family": "length claim",
        "stratum": "3+ - 1",
        "difference": 4.0,
        "ci_low": 1.0,
        "ci_high": 7.0,
    }
    rows = [PRIMARY | contrary | {"dataset": "JNLPBA"}, length | contrary | {"dataset": "JNLPBA"}]
    rows += [
        PRIMARY | contrary | {"stratum": "3+"},
        length | contrary | {"measure": "recall"},
        length,
        PRIMARY,
    ]
    text = said(*rows, datasets=["JNLPBA", "BC5CDR"])
    assert text["BC5CDR"].startswith("Yes, the LLM surpasses the encoder")
    assert text["BC5CDR"].count("The LLM's lead for entities of 3+ tokens") == 1
    assert "Longer entities favour the LLM." in text["BC5CDR"]
    assert "−8.00" not in text["BC5CDR"]
    assert "surpasses the encoder in 1 (BC5CDR), the encoder the LLM in 1 (JNLPBA)." in text[ALL]


def test_too_little_text_is_told_with_its_numbers_and_is_none_of_the_tested_corpora():
    few = {
        "verdict": "too few",
        "p_holm": None,
        "tests": None,
        "gold_entities": 29,
        "clusters_with_gold": 12,
    }
    tested = [PRIMARY | {"dataset": name, "tests": 2} for name in ("JNLPBA", "BioRED")]
    text = said(PRIMARY | few, *tested, datasets=["BC5CDR", "JNLPBA", "BioRED"])
    assert text["BC5CDR"].startswith(
        "Too little text for an answer: 29 gold entities in 12 documents; the best LLM, llama-8b"
        " (constrained), has 87.50 strict F1, the best encoder, biomedbert-large, 86.00."
    )
    assert text[ALL].startswith(
        "Of 2 corpora with enough entities the LLM surpasses the encoder in 2 (JNLPBA, BioRED)"
    )


def test_the_price_is_that_of_the_compared_pair():
    assert "What the LLM costs in time is not known" in said(PRIMARY)["BC5CDR"]
    priced = PAIR | {"dataset": "BC5CDR", "protocol": "fair", "ratio_best": 12.3}
    priced |= {"batch": 64, "baseline_batch": 256}
    other = priced | {"baseline_model": "bert-large-cased", "ratio_best": 99.0}
    text = said(PRIMARY, prices=[other, priced])["BC5CDR"]
    assert "takes 12.3 times as long per sentence as biomedbert-large" in text


@pytest.mark.parametrize(
    "other", [{"dataset": "JNLPBA"}, {"length": "1"}, {"headline": False}, {"model": "oracle"}]
)
def test_the_best_score_is_one_of_the_corpus_overall_as_systems_are_compared(other):
    best = {
        "dataset": "BC5CDR",
        "model": "llama-8b",
        "decoding": "constrained",
        "length": "all",
        "headline": True,
    }
    best |= {"f1": 80.0, "f1_ci_low": 78.0, "f1_ci_high": 82.5}
    text = said(strict=[best | {"f1": 90.0} | other, best])["BC5CDR"]
    assert text.endswith(
        "The highest strict F1 is llama-8b's, 80.00 (95 % interval 78.00 to 82.50)."
    )


def test_without_both_families_there_is_no_answer_but_the_best_score():
    strict = [
        {
            "dataset": "BC5CDR",
            "model": model,
            "decoding": "direct",
            "length": "all",
            "headline": True,
            "f1": f1,
        }
        for model, f1 in (("oracle", 100.0), ("dictionary", 70.3), ("bert-mini", 60.0))
    ]
    text = said(strict=strict)["BC5CDR"]
    assert (
        text
        == "No answer: this run did not compare an LLM and an encoder here, both chosen on dev. "
        "The highest strict F1 is dictionary's, 70.30."
    )


def test_the_reproduction_of_a_mistake_answers_nothing():
    assert said(datasets=["ChemProt-paper"])["ChemProt-paper"].startswith(
        "No answer: this is the paper's mislabelled"
    )


def test_all_corpora_together_are_told_by_how_many_the_claim_holds_in_at_least():
    rows = [
        PRIMARY | {"dataset": name, "verdict": verdict, "tests": 3, "n_higher": 1, "n_lower": 0}
        for name, verdict in (
            ("BC5CDR", "higher"),
            ("JNLPBA", "not shown"),
            ("BioRED", "not shown"),
        )
    ]
    text = said(*rows, datasets=["BC5CDR", "JNLPBA", "BioRED"])[ALL]
    assert "Of 3 corpora with enough entities the LLM surpasses the encoder in 1 (BC5CDR)" in text
    assert "neither is shown in 2 (JNLPBA, BioRED)" in text
    assert "the LLM is ahead in at least 1 of them, the encoder in at least 0" in text
    assert ALL not in said(PRIMARY), "one corpus speaks for itself"

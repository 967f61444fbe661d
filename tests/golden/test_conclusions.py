"""Answers in words: never more than the tests and their intervals support."""

import polars as pl
import pytest

from bioner.reporting.conclusions import ALL, POPULATION, write_conclusions
from bioner.reporting.corpora_mean import MEANS
from bioner.reporting.prices import PRICE
from bioner.reporting.significance import SIGNIFICANCE, STABILITY
from bioner.scoring.selection import REPORTED_RUNS

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
    "dataset": "BC5CDR",
    "measure": "f1",
    "stratum": "all",
    "label": "all",
    "score": 87.5,
    "baseline_score": 86.0,
    "difference": 1.5,
    "low": 0.5,
    "high": 2.5,
    "level": 0.05 / 3,
    "p_adjusted": 0.004,
    "margin": 1.0,
    "verdict": "higher",
    "tests": 1,
    "n_higher": 1,
    "n_lower": 0,
}
BELOW = {"score": 84.0, "difference": -2.0, "low": -3.0, "high": -1.0, "verdict": "lower"}
UNCLEAR = {"low": -0.4, "high": 3.4, "p_adjusted": 0.2, "verdict": "inconclusive"}
LENGTH = PRIMARY | {"family": "length claim", "stratum": "3+ - 1", "difference": 4.0}
LENGTH |= {"low": 1.0, "high": 7.0, "p_adjusted": 0.01}


def said(*rows, datasets=("BC5CDR",), strict=(), prices=(), stability=(), means=(), controls=()):
    """The answers of these rows of significance.csv, by corpus."""
    tables = {
        "significance": pl.DataFrame(rows, schema=SIGNIFICANCE),
        "stability": pl.DataFrame(stability, schema=STABILITY),
        "table3_strict": pl.DataFrame(strict, schema=STRICT),
        "price": pl.DataFrame(prices, schema=PRICE),
        "corpora_mean": pl.DataFrame(means, schema=MEANS),
    }
    found = write_conclusions(datasets, tables, controls)
    return {about: " ".join(sentences) for about, sentences in found}


def test_a_difference_is_told_with_the_interval_of_its_test():
    assert said(PRIMARY)["BC5CDR"].startswith(
        "Yes, the LLM surpasses the encoder: the best LLM, llama-8b (constrained), has 87.50"
        " strict F1, the best encoder, biomedbert-large, 86.00 (difference +1.50 F1, 98.3 %"
        " interval +0.50 to +2.50, adjusted p = 0.0040)."
    )


def test_the_other_way_round_the_encoder_is_ahead():
    assert said(PRIMARY | BELOW)["BC5CDR"].startswith(
        "No, the encoder surpasses the LLM: the best LLM, llama-8b (constrained), has 84.00"
    )


@pytest.mark.parametrize(
    ("verdict", "lead"),
    [
        ("higher (below the margin)", "Yes, the LLM surpasses the encoder (by less than 1 F1)"),
        ("higher (two seeds)", "Yes, the LLM surpasses the encoder (two seeds)"),
        ("lower (of these weights)", "No, the encoder surpasses the LLM (of these weights)"),
        ("inconclusive (one seed)", "Inconclusive (one seed)"),
        ("not tested (8 documents)", "Not tested (8 documents)"),
        (None, "Not tested"),
    ],
)
def test_what_limits_a_verdict_is_told_with_it(verdict, lead):
    assert said(PRIMARY | {"verdict": verdict})["BC5CDR"].startswith(f"{lead}: the best LLM")


def test_equivalence_is_told_with_the_interval_inside_the_margin():
    row = PRIMARY | {"verdict": "equivalent", "difference": 0.1, "low": -1.1, "high": 1.3}
    row |= {"equivalence_level": 0.05, "equivalence_low": -0.7, "equivalence_high": 0.9}
    text = said(row)["BC5CDR"]
    assert text.startswith("Neither: the two are equivalent within 1 F1: the best LLM")
    assert "difference +0.10 F1, 90 % interval −0.70 to +0.90" in text


@pytest.mark.parametrize("verdict", ["inconclusive", "not tested (5 gold entities)"])
@pytest.mark.parametrize("difference", [0.3, -0.3, 12.0])
def test_what_is_not_shown_is_never_told_as_a_difference(verdict, difference):
    """However large it looks."""
    text = said(PRIMARY | {"difference": difference, "verdict": verdict})["BC5CDR"]
    assert "surpasses" not in text


def test_what_could_have_been_shown_is_told_of_an_inconclusive_test():
    power = {"smallest_difference": 1.8, "smallest_margin": 2.0}
    ends = {
        f"{name}_{end}": value for name in power for end, value in (("low", 1.2), ("high", 4.5))
    }
    text = said(PRIMARY | UNCLEAR | power | ends)["BC5CDR"]
    assert (
        "With 80 % power this test finds a difference of 1.80 F1 (1.20 to 4.50, depending on how"
        " far seeds truly scatter), and shows equality within 2.00 F1 (1.20 to 4.50)." in text
    )
    alone = said(PRIMARY | UNCLEAR | power)["BC5CDR"]
    assert "a difference of 1.80 F1, and shows equality within 2.00 F1." in alone
    assert "80 % power" not in said(PRIMARY | power)["BC5CDR"]


@pytest.mark.parametrize(
    ("f1", "recall", "lead"),
    [
        ("higher", "higher", "Longer entities favour the LLM ("),
        ("lower", "lower (two seeds)", "Longer entities favour the encoder ("),
        ("inconclusive", "inconclusive", "No evidence that entity length matters ("),
        ("not tested (5 gold entities)", None, "Whether entity length matters was not tested ("),
        (
            "higher",
            "inconclusive",
            "By F1, longer entities favour the LLM; by recall, no evidence that entity length"
            " matters (",
        ),
    ],
)
def test_the_length_claim_has_one_answer_for_f1_and_recall(f1, recall, lead):
    rows = [LENGTH | {"verdict": f1}, LENGTH | {"verdict": recall, "measure": "recall"}]
    text = said(PRIMARY, *rows)["BC5CDR"]
    assert (
        f"{lead}the LLM's lead for entities of 3+ tokens minus that for those of 1: +4.00 F1, 98.3"
        " % interval +1.00 to +7.00, adjusted p = 0.0100; +4.00 recall, 98.3 % interval +1.00 to"
        " +7.00, adjusted p = 0.0100)." in text
    )


def test_decodings_of_the_compared_llm_are_compared_and_its_free_one_with_the_encoder():
    free = PRIMARY | UNCLEAR | {"family": "exploratory", "decoding": "free"}
    other = {"baseline_model": "llama-8b", "baseline_decoding": "constrained"}
    same = free | other | BELOW
    text = said(PRIMARY, free, same, free | {"baseline_model": "bert"} | BELOW)["BC5CDR"]
    assert (
        "Constrained decoding is above free decoding of the same LLM: +2.00 F1, 98.3 % interval"
        " +1.00 to +3.00, adjusted p = 0.2000." in text
    )
    assert (
        "In free decoding the LLM cannot be distinguished from the encoder: +1.50 F1, 98.3 %"
        " interval −0.40 to +3.40, adjusted p = 0.2000." in text
    )
    assert text.count("free decoding") == 2
    assert "free decoding" not in said(PRIMARY)["BC5CDR"]


def test_relaxed_f1_and_how_many_other_rules_agree_are_one_sentence():
    common = {name: PRIMARY[name] for name in STABILITY if name in PRIMARY}
    rows = [
        common | {"measure": measure, "verdict": verdict, "same_sign": sign, "same_verdict": same}
        for measure, verdict, sign, same in (
            ("f1", "higher", None, None),
            ("relaxed_f1", "inconclusive", True, False),
            ("token_f1", "higher", True, True),
        )
    ]
    text = said(PRIMARY, stability=rows)["BC5CDR"]
    assert (
        "By relaxed F1 the LLM cannot be distinguished from the encoder: +1.50 F1, 98.3 % interval"
        " +0.50 to +2.50, adjusted p = 0.0040; the sign is the same under all 2 other rules of"
        " scoring, the verdict under 1 of 2." in text
    )


def test_a_control_above_a_learned_model_is_told_first():
    control = {"family": "controls", "baseline_model": "dictionary", "score": 60.0}
    control |= {"baseline_score": 70.3, "decoding": "direct"}
    rows = [
        PRIMARY | control | {"model": "bert-mini", "verdict": "lower"},
        PRIMARY | control | {"model": "bert-tiny", "verdict": "inconclusive", "score": 65.0},
        PRIMARY | control | {"model": "bert-large", "verdict": "higher", "score": 80.0},
        PRIMARY | control | {"model": "llama-8b", "decoding": "free", "verdict": "lower"},
        PRIMARY,
    ]
    systems = [("bert-mini", "direct"), ("bert-tiny", "direct"), ("bert-large", "direct")]
    systems += [("llama-8b", "constrained")]
    strict = [
        {"dataset": "BC5CDR", "model": model, "decoding": how, "length": "all", "headline": True}
        for model, how in systems
    ]
    text = said(*rows, strict=strict, controls=["dictionary"])["BC5CDR"]
    assert text.startswith(
        "The control dictionary (70.30 strict F1) is above bert-mini (60.00, significant) and"
        " bert-tiny (65.00, not significant). Yes, the LLM surpasses the encoder"
    )


def test_the_luck_of_reported_seeds_that_chose_the_pair_is_told():
    luck = "In this run the reported seeds chose the pair themselves"
    assert luck in said(PRIMARY | {"chosen_by": REPORTED_RUNS})["BC5CDR"]
    assert luck not in said(PRIMARY | {"chosen_by": "search"})["BC5CDR"]


def test_the_population_is_told_once():
    found = said(PRIMARY, PRIMARY | {"dataset": "JNLPBA"}, datasets=["BC5CDR", "JNLPBA"])
    assert list(found) == [ALL, "BC5CDR", "JNLPBA", POPULATION]
    assert found[POPULATION].startswith("New documents of the same corpus and new seeds")
    assert POPULATION not in said()
    untested = PRIMARY | {"family": "exploratory", "p_adjusted": None, "verdict": "not tested"}
    assert POPULATION not in said(untested)
    without_llm = said(PRIMARY | {"family": "exploratory"}, untested)
    assert without_llm[POPULATION] == found[POPULATION], "without an LLM there are verdicts too"


@pytest.mark.parametrize("verdict", ["lower (of these weights)", "inconclusive (one seed)"])
def test_of_one_seed_the_population_is_these_weights(verdict):
    one = PRIMARY | {"verdict": verdict, "dataset": "JNLPBA"}
    assert "these weights: with one seed" in said(one, datasets=["JNLPBA"])[POPULATION]
    both = said(PRIMARY, one, datasets=["BC5CDR", "JNLPBA"])[POPULATION]
    assert both.endswith("not new searches. With one seed (JNLPBA): these weights.")


def test_an_answer_is_of_its_own_corpus_by_f1_overall():
    """Rows of another corpus, of types and long entities say the opposite, and come first."""
    rows = [PRIMARY | BELOW | {"dataset": "JNLPBA"}, LENGTH | BELOW | {"dataset": "JNLPBA"}]
    rows += [PRIMARY | BELOW | {"stratum": "3+"}, PRIMARY | BELOW | {"label": "Chemical"}]
    text = said(*rows, LENGTH, PRIMARY, datasets=["JNLPBA", "BC5CDR"])
    assert text["BC5CDR"].startswith("Yes, the LLM surpasses the encoder")
    assert text["BC5CDR"].count("the LLM's lead for entities of 3+ tokens") == 1
    assert "Longer entities favour the LLM" in text["BC5CDR"]
    assert "−2.00" not in text["BC5CDR"]
    assert "surpasses the encoder in 1 (BC5CDR), the encoder the LLM in 1 (JNLPBA)." in text[ALL]


def test_an_untested_corpus_is_none_of_the_tested():
    few = {"verdict": "not tested (5 gold entities)", "p_adjusted": None, "low": None, "high": None}
    tested = [PRIMARY | {"dataset": name} for name in ("JNLPBA", "BioRED")]
    text = said(PRIMARY | few, *tested, datasets=["BC5CDR", "JNLPBA", "BioRED"])
    assert "(difference +1.50 F1, no interval)." in text["BC5CDR"]
    assert text[ALL].startswith(
        "Of 2 corpora tested, the LLM surpasses the encoder in 2 (JNLPBA, BioRED)"
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
        PRIMARY | {"dataset": name, "verdict": verdict}
        for name, verdict in (
            ("BC5CDR", "higher"),
            ("JNLPBA", "inconclusive"),
            ("BioRED", "equivalent (two seeds)"),
        )
    ]
    text = said(*rows, datasets=["BC5CDR", "JNLPBA", "BioRED"])[ALL]
    assert (
        "Of 3 corpora tested, the LLM surpasses the encoder in 1 (BC5CDR), the encoder the LLM in"
        " none; equivalent in 1 (BioRED); inconclusive in 1 (JNLPBA)." in text
    )
    assert "the LLM is ahead in at least 1 of them, the encoder in at least 0" in text
    assert ALL not in said(PRIMARY), "one corpus speaks for itself"


MEAN = {"family": "primary", "measure": "f1", "corpora": 2, "difference": 0.3, "low": -0.6}
MEAN |= {"high": 1.2, "level": 0.05, "margin": 1.0, "p_adjusted": 0.4}
MEAN |= {"equivalence_level": 0.05, "equivalence_low": -0.4, "equivalence_high": 0.9}


@pytest.mark.parametrize(
    ("verdict", "lead", "numbers"),
    [
        (
            "inconclusive",
            " the best LLM cannot be distinguished from",
            "95 % interval −0.60 to +1.20",
        ),
        ("equivalent", " the best LLM is equivalent to", "90 % interval −0.40 to +0.90"),
        (
            "inconclusive (one seed)",
            " (one seed) the best LLM cannot be distinguished from",
            "95 % interval −0.60 to +1.20",
        ),
    ],
)
def test_the_mean_over_the_corpora_has_the_words_of_a_single_corpus(verdict, lead, numbers):
    exploratory = MEAN | {"family": "exploratory", "difference": 9.0}
    relaxed = MEAN | {"measure": "relaxed_f1", "difference": 8.0}
    text = said(PRIMARY, means=[MEAN | {"verdict": verdict}, exploratory, relaxed])[ALL]
    assert text == (
        f"On average over 2 corpora{lead} the best encoder: +0.30 F1, {numbers}, adjusted p ="
        " 0.4000. Nothing is said about other corpora."
    )

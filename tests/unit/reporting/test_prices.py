"""The price of an LLM: ratios of single pairs timed alike, their ranges, and the sentence."""

import polars as pl
import pytest

from bioner.inference.timing import SPREAD, TIMING, read_timing
from bioner.io.tables import write_table
from bioner.reporting.efficiency import time_table
from bioner.reporting.prices import price_table, write_price
from bioner.reporting.significance import PAIR
from bioner.results.cells import CELLS
from bioner.scoring.selection import SELECTION
from tests.unit.reporting.numbers import cell, loaded

LLM, BERT, DEBERTA = "llama-8b", "bert-large-cased", "deberta-v3-large"
FAMILY = {LLM: "llm", BERT: "encoder", DEBERTA: "encoder"}
CHOSEN = {LLM: "constrained", DEBERTA: "direct"}


def timed(model, batch, seconds, spread=(None, None), gflop=None, **changes):
    """A row of timing.csv: three passes of a seed, bf16 on an H100."""
    row = {"dataset": "BC5CDR", "model": model, "family": FAMILY[model], "seed": 1, "repeats": 3}
    row |= {"protocol": "fair", "precision": "bf16", "hardware": "H100", "batch": batch}
    row |= {"decoding": "direct" if FAMILY[model] == "encoder" else "constrained"}
    row |= {"seconds_per_sample": seconds, "gflop_per_sample": gflop} | changes
    return row | dict(zip(SPREAD, spread, strict=True))


def results(*rows, chosen=None):
    """Results of these timings; on BC5CDR, llama-8b (constrained) and DeBERTa are compared."""
    selected = [
        {"dataset": "BC5CDR", "family": FAMILY[model], "model": model, "decoding": decoding}
        | {"chosen": True}
        for model, decoding in (CHOSEN if chosen is None else chosen).items()
    ]
    cells = [{"dataset": "BC5CDR", "model": model, "state": "done"} for model in FAMILY]
    return loaded(
        timing=pl.DataFrame(rows, schema=TIMING),
        selection=pl.DataFrame(selected, schema=SELECTION),
        cells=pl.DataFrame(cells, schema=CELLS),
    )


TIMED = (
    timed(BERT, 1, 0.01),
    timed(DEBERTA, 1, 0.02, (0.019, 0.025), gflop=20.0),
    timed(DEBERTA, 256, 0.002, (0.0019, 0.0025), gflop=25.0),
    timed(LLM, 1, 0.6, (0.5, 0.7), gflop=900.0),
    timed(LLM, 64, 0.02, (0.0195, 0.0225), gflop=1000.0),
)


def test_the_pair_is_compared_at_best_batches_alone_and_in_arithmetic_with_ranges_over_passes():
    """Best: 0.02 / 0.002; the LLM's fastest pass against the encoder's slowest and the reverse."""
    row = cell(price_table(results(*TIMED)), compared=True)
    assert (row["model"], row["baseline_model"]) == (LLM, DEBERTA)
    assert (row["batch"], row["baseline_batch"]) == (64, 256)
    for name, ratio, low, high in (
        ("best", 10, 0.0195 / 0.0025, 0.0225 / 0.0019),
        ("batch_1", 30, 0.5 / 0.025, 0.7 / 0.019),
    ):
        assert row[f"ratio_{name}"] == pytest.approx(ratio)
        assert row[f"ratio_{name}_low"] == pytest.approx(low)
        assert row[f"ratio_{name}_high"] == pytest.approx(high)
    assert row["ratio_flops"] == pytest.approx(1000 / 25)


def test_every_llm_has_its_price_against_every_encoder_and_no_encoder_against_another():
    table = price_table(results(*TIMED))
    assert table.select("baseline_model", "compared").rows() == [(DEBERTA, True), (BERT, False)]
    assert cell(table, baseline_model=BERT)["ratio_best"] == pytest.approx(2)


def test_without_a_choice_no_pair_is_compared():
    table = price_table(results(*TIMED, chosen={}))
    assert (len(table), table["compared"].any()) == (2, False)


def test_seeds_are_averaged_and_the_range_is_that_of_all_their_passes():
    again = timed(DEBERTA, 256, 0.003, (0.0028, 0.0032), gflop=25.0, seed=2)
    row = cell(price_table(results(*TIMED, again)), compared=True)
    assert row["ratio_best"] == pytest.approx(0.02 / 0.0025)
    assert row["ratio_best_high"] == pytest.approx(0.0225 / 0.0019)
    assert row["ratio_best_low"] == pytest.approx(0.0195 / 0.0032)


def test_a_single_pass_has_no_range():
    once = timed(DEBERTA, 256, 0.002, (0.002, 0.002), repeats=1)
    table = price_table(results(once, *TIMED[3:]))
    row = cell(table, compared=True)
    assert row["ratio_best"] == pytest.approx(10)
    assert (row["ratio_best_low"], row["ratio_best_high"]) == (None, None)
    assert "takes 10.0 times as long" in write_price(row, table)


def test_the_paper_s_protocol_has_a_precision_for_each_family_and_hardware_must_be_equal():
    paper = {"protocol": "paper", "decoding": "free", "precision": "nf4"}
    llm = timed(LLM, 16, 2.0, **paper)
    theirs = timed(DEBERTA, 1, 0.05, protocol="paper", precision="fp32")
    chosen = {LLM: "free", DEBERTA: "direct"}
    made = results(llm, theirs, chosen=chosen)
    row = cell(price_table(made), compared=True)
    assert (row["protocol"], row["ratio_best"], row["ratio_batch_1"]) == ("paper", 40, None)
    assert write_price(row, price_table(made)) == (
        "By the paper's protocol the LLM takes 40.0 times as long as deberta-v3-large (H100, nf4"
        " against fp32)."
    )
    assert cell(time_table(made), model=LLM)["ratio_time_best"] == 40
    elsewhere = timed(DEBERTA, 1, 0.05, protocol="paper", precision="fp32", hardware="A100")
    row = cell(price_table(results(llm, elsewhere, chosen=chosen)), compared=True)
    assert row["ratio_best"] is None


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (TIMED[:3], "llama-8b (constrained) not timed."),
        (
            (TIMED[1], timed(LLM, 1, 1.0, precision="nf4")),
            "llama-8b (constrained) timed on H100 in nf4; deberta-v3-large timed on H100 in bf16.",
        ),
    ],
)
def test_a_pair_without_a_price_says_why(rows, why):
    table = price_table(results(*rows))
    row = cell(table, compared=True)
    assert row["ratio_best"] is None
    assert write_price(row, table) == f"What the LLM costs in time is not known: {why}"


def test_the_sentence_names_the_encoder_of_the_pair():
    table = price_table(results(*TIMED))
    assert write_price(cell(table, compared=True), table) == (
        "The LLM takes 10.0 times (7.8 to 11.8) as long per sentence as deberta-v3-large, each at"
        " its best batch size (64 and 256), 30.0 times (20.0 to 36.8) with one sentence at a time,"
        " and needs 40.0 times the arithmetic (H100, bf16; ranges over repeated passes)."
    )
    bert = write_price(cell(table, baseline_model=BERT), table)
    assert "takes 2.0 times as long per sentence as bert-large-cased" in bert


def test_an_unknown_pair_is_said_to_be_untimed():
    row = dict.fromkeys(PAIR, "x")
    assert "not timed under equal" in write_price(row, price_table(results(*TIMED)))


def test_timings_of_an_older_version_have_no_spread(tmp_path):
    older = pl.DataFrame(TIMED, schema=TIMING).drop(SPREAD)
    write_table(tmp_path / "timing.csv", older)
    table = read_timing(tmp_path / "timing.csv")
    assert table.columns == [*TIMING]
    assert table["seconds_low"].null_count() == len(table)
    row = cell(price_table(results(*table.to_dicts())), compared=True)
    assert (row["ratio_best"], row["ratio_best_low"]) == (pytest.approx(10), None)

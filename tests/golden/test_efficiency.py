"""Table IV and costs: medians, ratios under equal conditions, money, by mental arithmetic."""

import json

import polars as pl
import pytest
from typer.testing import CliRunner

from bioner.cli import app
from bioner.inference.timing import TIMING
from bioner.io.tables import write_table
from bioner.reporting.efficiency import cost_table, time_table
from bioner.reporting.report import report
from bioner.results.consistency import read_records
from bioner.results.load import ReportContext, load_results
from bioner.results.runs import read_runs
from bioner.scoring.score import ScoredRun, score
from bioner.settings.config import Prices
from bioner.training.search import SEARCH
from tests.golden.trees import BERTS, GOLD, WRONG, built, row

LLM, DEBERTA = "llama-8b", "deberta-v3-large"


def timed(kept, model, *rows, family="encoder", **same):
    """A cell's timing.csv."""
    whose = {
        "dataset": "BC5CDR",
        "model": model,
        "family": family,
        "seed": 1,
        "protocol": "fair",
        "precision": "bf16",
    }
    what = {
        "decoding": "direct" if family == "encoder" else "constrained",
        "hardware": "H100",
        "sentences": 10,
        "repeats": 3,
    }
    table = pl.DataFrame([whose | what | same | each for each in rows], schema=TIMING)
    write_table(kept / "results" / "BC5CDR" / model / "timing.csv", table)


def at(batch, seconds, gflop=None, **more):
    return {"batch": batch, "seconds_per_sample": seconds, "gflop_per_sample": gflop, **more}


@pytest.fixture
def llm(kept):
    """The tree with the scores of an LLM."""
    write_table(
        kept / "results" / "BC5CDR" / LLM / "scores.csv",
        score(GOLD, WRONG, ScoredRun("BC5CDR", LLM, 1, "constrained")),
    )
    return kept


def times(kept):
    return built(kept)["table4_inference_time"]


def files_of(kept):
    """What reports are made of; most tests of one table need no full report."""
    return load_results(
        kept / "results", kept / "data", ["BC5CDR"], [*BERTS, DEBERTA, LLM], ReportContext()
    )


def test_the_bert_family_average_is_there_when_all_three_were_timed(kept):
    for seconds, model in enumerate(BERTS, 1):
        timed(kept, model, at(1, float(seconds)))
    found = row(times(kept), model="bert-family-average")
    assert (found["seconds_per_sample"], found["paper_seconds_per_sample"]) == (2, 0.026)
    assert found["difference"] == pytest.approx(2 - 0.026)


def test_without_all_three_there_is_none_and_the_paper_s_stands_with_the_reason(kept):
    for model in BERTS[:2]:
        timed(kept, model, at(1, 1.0))
    found = row(times(kept), model="bert-family-average")
    assert (found["seconds_per_sample"], found["paper_seconds_per_sample"]) == (None, 0.026)
    assert "not all were timed alike" in found["note"]


def test_a_trained_cell_that_was_not_timed_says_so_and_a_control_has_no_row(kept):
    trained(kept, BERTS[0])
    table = times(kept)
    assert row(table, model=BERTS[0])["note"] == "not timed: no sound timing.csv"
    assert BERTS[1] not in set(table["model"]), "no training is kept of it, as of a control"


def test_llms_are_held_against_the_bert_family_at_the_same_batch_and_best_against_best(llm):
    for seconds, model in enumerate(BERTS, 1):
        timed(llm, model, at(1, seconds / 100, gflop=10.0), at(16, seconds / 200, gflop=12.0))
    timed(llm, LLM, at(1, 0.8, gflop=500.0), at(16, 0.1, gflop=600.0), family="llm")
    alone, together = (row(times(llm), model=LLM, batch=batch) for batch in (1, 16))
    # The average encoder takes 0.02 s alone and 0.01 s in batches of 16.
    assert (alone["ratio_time"], alone["ratio_flops"]) == (pytest.approx(40), pytest.approx(50))
    assert (together["ratio_time"], together["ratio_flops"]) == (
        pytest.approx(10),
        pytest.approx(50),
    )
    assert (alone["ratio_time_best"], together["ratio_time_best"]) == (None, pytest.approx(10))
    assert (alone["best_batch"], together["best_batch"]) == (False, True)
    assert together["baseline"] == "bert-family-average"
    assert times(llm).filter(model=BERTS[0])["ratio_time"].null_count() == 2


def test_encoders_are_each_at_their_own_best(llm):
    """One is fastest at 16, the other at 1; the LLM's 0.3 s are compared with the mean, 0.015."""
    timed(llm, BERTS[0], at(1, 0.04), at(16, 0.01))
    timed(llm, BERTS[1], at(1, 0.02))
    timed(llm, LLM, at(1, 0.9), at(16, 0.3), family="llm")
    found = row(times(llm), model=LLM, batch=16)
    assert found["ratio_time_best"] == pytest.approx(20)
    assert (found["baseline_best"], found["baseline"]) == (f"{BERTS[1]}, {BERTS[0]}", BERTS[0])


def test_without_the_family_they_are_held_against_all_encoders_that_were_timed(llm):
    for seconds, model in zip((1.0, 3.0), BERTS, strict=False):
        timed(llm, model, at(1, seconds))
    timed(llm, LLM, at(1, 8.0), family="llm")
    found = row(times(llm), model=LLM)
    assert (found["ratio_time"], found["baseline"]) == (4, f"{BERTS[1]}, {BERTS[0]}")


def test_at_their_best_the_family_speaks_for_encoders_where_it_is_whole(llm):
    """DeBERTa takes a hundred times as long and does not belong to the family."""
    for seconds, model in enumerate(BERTS, 1):
        timed(llm, model, at(1, seconds / 100))
    timed(llm, DEBERTA, at(1, 2.0))
    scored = score(GOLD, WRONG, ScoredRun("BC5CDR", DEBERTA, 1, "direct"))
    write_table(llm / "results" / "BC5CDR" / DEBERTA / "scores.csv", scored)
    timed(llm, LLM, at(1, 0.8), family="llm")
    found = row(time_table(files_of(llm)), model=LLM)
    assert (found["ratio_time"], found["baseline"]) == (pytest.approx(40), "bert-family-average")
    assert (found["ratio_time_best"], found["baseline_best"]) == (
        pytest.approx(40),
        "bert-family-average",
    )


def test_every_decoding_has_its_best_batch_under_every_protocol_and_machine(llm):
    ways = [
        {"decoding": decoding, "protocol": protocol, "hardware": hardware}
        for decoding in ("free", "constrained")
        for protocol in ("fair", "paper")
        for hardware in ("H100", "A100")
    ]
    rows = [
        at(batch, (place + 1) / batch) | way for place, way in enumerate(ways) for batch in (1, 4)
    ]
    timed(llm, LLM, *rows, family="llm")
    best = time_table(files_of(llm)).filter("best_batch")
    assert best["batch"].to_list() == [4] * 8
    assert best.select("decoding", "protocol", "hardware").n_unique() == 8


def test_times_are_means_over_seeds_and_what_disturbed_or_filled_the_machine_the_most_there_was(
    kept,
):
    rows = [
        at(
            1,
            seconds,
            gflop=seconds,
            seed=seed,
            others_on_gpu=others,
            peak_memory_gb=memory,
            peak_gpu_memory_gb=memory,
        )
        for seed, seconds, others, memory in ((1, 1.0, 0, 5.0), (2, 2.0, 2, 7.0), (3, 6.0, 1, 6.0))
    ]
    timed(kept, BERTS[0], *rows)
    found = row(time_table(files_of(kept)), model=BERTS[0])
    assert (found["seconds_per_sample"], found["gflop_per_sample"]) == (3, 3)
    assert (found["others_on_gpu"], found["peak_memory_gb"], found["peak_gpu_memory_gb"]) == (
        2,
        7,
        7,
    )


@pytest.mark.parametrize(
    "other", [{"hardware": "A100"}, {"precision": "nf4"}, {"protocol": "paper"}]
)
def test_other_conditions_give_no_ratio(llm, other):
    timed(llm, BERTS[0], at(1, 1.0))
    timed(llm, LLM, at(1, 8.0), family="llm", **other)
    found = row(times(llm), model=LLM)
    assert (found["ratio_time"], found["ratio_flops"], found["baseline"]) == (None, None, None)


def test_the_paper_s_seconds_are_held_against_rows_of_its_protocol_where_there_are_any(llm):
    timed(
        llm,
        LLM,
        at(16, 9.0),
        at(16, 7.0, protocol="paper", precision="nf4"),
        family="llm",
        decoding="free",
    )
    paper = row(times(llm), model=LLM, protocol="paper")
    assert paper["difference"] == pytest.approx(7 - paper["paper_seconds_per_sample"])
    assert row(times(llm), model=LLM, protocol="fair")["difference"] is None


@pytest.mark.parametrize(
    ("model", "family", "like", "unlike"),
    [
        (DEBERTA, "encoder", ("direct", 1), [("direct", 16)]),
        (LLM, "llm", ("free", 16), [("free", 1), ("constrained", 16), ("constrained", 1)]),
        (LLM, "llm", ("free-paper", 16), [("free-paper", 1), ("constrained", 16)]),
    ],
)
def test_by_the_fair_protocol_rows_that_run_as_the_paper_did_are_held_against_it(
    kept, model, family, like, unlike
):
    scored = score(GOLD, WRONG, ScoredRun("BC5CDR", model, 1, like[0]))
    write_table(kept / "results" / "BC5CDR" / model / "scores.csv", scored)
    rows = [at(batch, 5.0, decoding=decoding) for decoding, batch in (like, *unlike)]
    timed(kept, model, *rows, family=family)
    table = time_table(files_of(kept)).filter(pl.col("difference").is_not_null())
    assert table.select("model", "decoding", "batch").rows() == [(model, *like)]
    assert table["difference"].item() == pytest.approx(5 - table["paper_seconds_per_sample"].item())


def test_the_paper_s_seconds_are_of_an_h100(kept):
    timed(kept, BERTS[0], at(1, 0.03), hardware="a laptop")
    assert times(kept)["difference"].null_count() == len(times(kept))


def test_latency_stands_in_rows_of_single_sentences(kept):
    timed(kept, BERTS[0], at(1, 1.0, seconds_median=0.9, seconds_p95=2.0), at(16, 0.1))
    alone, together = (row(times(kept), model=BERTS[0], batch=batch) for batch in (1, 16))
    assert (alone["seconds_median"], alone["seconds_p95"]) == (0.9, 2.0)
    assert (together["seconds_median"], together["seconds_p95"]) == (None, None)


def trained(kept, model, /, **changes):
    """The run.json of a cell's first seed: half an hour on two GPUs."""
    record = {
        "seed": 1,
        "trained_parameters": 5,
        "wall_seconds": 1800.0,
        "energy_kwh": 0.5,
        "cpu": "Xeon",
    }
    record |= {
        "peak_memory_gb": 3.0,
        "peak_gpu_memory_gb": 20.0,
        "gpus": ["H100", "H100"],
        "data": {},
    }
    record |= {"settings": {"resources": {"gpus": 2}}} | changes
    path = kept / "results" / "BC5CDR" / model / f"seed{record['seed']}" / "run.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))


def test_the_curve_of_a_training_has_the_measured_epochs_and_marks_the_kept_one(kept):
    trained(kept, BERTS[0], kept={"epoch": 2.0})
    cell = kept / "results" / "BC5CDR" / BERTS[0]
    (cell / "seed1" / "history.csv").write_text(
        "epoch,dev_strict_f1\n1,70.5\n2,80.0\n2.5,\n3,75.0\n"
    )
    _, curves = read_runs(
        cell, "BC5CDR", BERTS[0], read_records(cell, [(1, "direct"), (2, "direct")])
    )
    assert curves.rows() == [
        ("BC5CDR", BERTS[0], 1, epoch, f1, kept)
        for epoch, f1, kept in ((1, 70.5, False), (2, 80, True), (3, 75, False))
    ]


def costs(kept, **prices):
    context = ReportContext(prices=Prices(**prices))
    return report(kept / "results", kept / "data", kept / "reports", context=context)["cost"]


def test_a_training_costs_its_gpus_for_its_time(kept):
    trained(kept, BERTS[0])
    found = row(costs(kept, gpu_hour=3.0, currency="EUR"), stage="train")
    # Half an hour of two GPUs is one GPU-hour.
    assert (found["gpus"], found["gpu_hours"], found["money"], found["currency"]) == (
        2,
        1,
        3,
        "EUR",
    )
    assert (found["energy_kwh"], found["peak_gpu_memory_gb"], found["trained_parameters"]) == (
        0.5,
        20,
        5,
    )


def test_a_machine_without_gpus_costs_by_its_own_price_and_without_a_price_nothing_is_said(kept):
    trained(kept, BERTS[0], gpus=[])
    assert row(costs(kept, gpu_hour=3.0, cpu_hour=0.5), stage="train")["money"] == 0.25
    assert row(costs(kept, gpu_hour=3.0), stage="train")["money"] is None


def test_the_command_pays_the_prices_that_it_is_told(kept):
    trained(kept, BERTS[0])
    folders = ("--results", kept / "results", "--data", kept / "data", "--out", kept / "reports")
    for given, money in (((), None), (("--prices", '{"gpu_hour": 3}'), 3)):
        done = CliRunner().invoke(app, ["report", *map(str, (*folders, *given))])
        assert done.exit_code == 0, done.output
        assert row(pl.read_csv(kept / "reports" / "cost.csv"), stage="train")["money"] == money


def searched(kept, *trials: dict) -> None:
    """A cell's search.csv."""
    rows = [
        {"trial": f"t{number}", "winner": number == 0, "energy_kwh": 0.25} | trial
        for number, trial in enumerate(trials)
    ]
    path = kept / "results" / "BC5CDR" / BERTS[0] / "search.csv"
    write_table(path, pl.DataFrame(rows, schema=SEARCH))


def test_a_search_is_a_cost_of_its_own_and_every_seed_costs_what_it_took(kept):
    trained(kept, BERTS[0])
    trained(kept, BERTS[0], seed=2)
    searched(kept, *[{"seconds": 1800.0, "gpu_hours": 1.0}] * 3)
    table = cost_table(files_of(kept), Prices(gpu_hour=2.0))
    assert table.select("seed", "stage", "gpus", "gpu_hours", "money").drop_nulls(
        "stage"
    ).rows() == [(None, "search", 2, 3, 6), (1, "train", 2, 1, 2), (2, "train", 2, 1, 2)]
    search = row(table, stage="search")
    assert (search["trials"], search["energy_kwh"], search["seconds"]) == (3, 0.75, 5400)


def test_the_energy_of_a_search_is_unknown_if_that_of_a_trial_is(kept):
    trained(kept, BERTS[0])
    took = {"seconds": 1800.0, "gpu_hours": 1.0}
    searched(kept, took, took | {"energy_kwh": None})
    assert row(costs(kept, gpu_hour=2.0), stage="search")["energy_kwh"] is None


def test_of_a_machine_s_gpus_those_are_paid_that_a_training_was_given(kept):
    trained(kept, BERTS[0], gpus=["H100"] * 8)
    found = row(cost_table(files_of(kept), Prices(gpu_hour=3.0)), stage="train")
    assert (found["gpus"], found["gpu_hours"], found["money"], found["hardware"]) == (
        2,
        1,
        3,
        "H100, H100",
    )


def test_a_thousand_sentences_cost_what_the_fastest_way_takes(llm):
    gpu = {"peak_gpu_memory_gb": 16.0, "energy_wh_per_sample": 0.2}
    timed(
        llm,
        LLM,
        at(1, 7.2, **gpu),
        at(16, 3.6, **gpu),
        at(16, 1.0, protocol="paper", **gpu),
        family="llm",
    )
    found = row(costs(llm, gpu_hour=2.0), stage="1000 sentences", model=LLM)
    # 1,000 sentences of 3.6 s are one hour.
    assert (found["seconds"], found["gpu_hours"], found["money"]) == (3600, 1, 2)
    assert found["energy_kwh"] == pytest.approx(0.2)
    assert (found["note"], found["seed"]) == ("batch 16", 1)


def test_a_thousand_sentences_have_a_cost_in_every_decoding_and_without_a_gpu_that_of_the_machine(
    llm,
):
    rows = [
        at(1, seconds, decoding=decoding)
        for decoding, seconds in (("constrained", 3.6), ("free", 7.2))
    ]
    timed(llm, LLM, *rows, family="llm", hardware="Xeon")
    table = cost_table(files_of(llm), Prices(gpu_hour=9.0, cpu_hour=0.5)).filter(
        stage="1000 sentences"
    )
    columns = ("decoding", "seconds", "gpus", "gpu_hours", "money")
    assert table.select(columns).rows() == [
        ("constrained", 3600, 0, 0, 0.5),
        ("free", 7200, 0, 0, 1.0),
    ]


def test_a_thousand_sentences_cost_the_mean_of_the_timed_seeds(kept):
    seeds = [at(1, seconds, seed=seed) for seed, seconds in ((1, 0.003), (2, 0.006), (3, 0.006))]
    timed(kept, BERTS[0], *seeds)
    found = row(costs(kept), stage="1000 sentences")
    assert (found["seconds"], found["seed"]) == (pytest.approx(5), None)

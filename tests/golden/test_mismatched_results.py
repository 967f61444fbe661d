"""Results that are incomplete, broken, or do not belong together are named and left out."""

import json

import polars as pl
import pytest
from typer.testing import CliRunner

from bioner.cli import app
from bioner.comparison.compare import COMPARISON
from bioner.corpora.statistics import STATISTICS
from bioner.data.instances import write_instances
from bioner.errors import InputError
from bioner.inference.timing import TIMING
from bioner.io.checksums import sha256_of
from bioner.io.tables import write_table
from bioner.reporting.efficiency import cost_table, time_table
from bioner.reporting.report import report
from bioner.results.cells import STATES
from bioner.results.load import ReportContext, load_results
from bioner.scoring.calibration import CALIBRATION
from bioner.scoring.score import ScoredRun, score
from bioner.scoring.selection import SELECTION
from bioner.settings.catalogue import load_models, parse_entry
from bioner.settings.config import Scoring, load_config, merged
from bioner.settings.model_entry import ModelEntry
from bioner.training.search import HYPERPARAMETERS, SEARCH
from tests.golden.trees import BERTS, GOLD, WRONG, built, row

MODEL = "bert-large-cased"
ENTRY = parse_entry(
    ModelEntry, MODEL, {"family": "encoder", "source": {"hub": "a/b"}, "train": {"epochs": 20}}
)
TREE = ENTRY.canonical()
SEARCH_SPACE = {"search_space": {"batch_size": [4, 8]}}


@pytest.fixture
def recorded(kept):
    """The tree with the corpus's instances and the run records of one cell."""
    for split in ("train", "dev", "test"):
        write_instances(kept / "data" / "BC5CDR" / f"{split}.jsonl", GOLD)
    for seed in (1, 2):
        record(kept, seed)
    return kept


def record(kept, seed, settings=TREE, train=None, dev=None, gold=None, training=None, **machine):
    """What `bioner train` and `predict` write for a seed, with other checksums if given."""
    there = sha256_of(kept / "data" / "BC5CDR" / "test.jsonl")  # all three splits are equal here
    folder = kept / "results" / "BC5CDR" / MODEL / f"seed{seed}"
    (folder / "direct").mkdir(parents=True, exist_ok=True)
    cost = {
        "trained_parameters": 1,
        "wall_seconds": 1.0,
        "peak_memory_gb": 1.0,
        "peak_gpu_memory_gb": None,
    }
    trained = {
        "seed": seed,
        "data": {"train": train or there, "dev": dev or there},
        "settings": settings,
        "gpus": [],
        "cpu": "x",
    }
    (folder / "run.json").write_text(json.dumps(trained | cost | machine))
    known = {"gold": gold or there, "training": training or sha256_of(folder / "run.json")}
    (folder / "direct" / "run.json").write_text(
        json.dumps({"data": known, "settings": settings, **machine})
    )


def cell(kept, model=MODEL, **told):
    """The state of a cell after building the reports."""
    tables = built(kept, context=ReportContext(**told))
    return row(tables["cells"], model=model), tables


def files_of(kept):
    """What reports are made of."""
    return load_results(kept / "results", kept / "data", ["BC5CDR"], BERTS, ReportContext())


def test_a_calibration_of_other_predictions_is_left_out(kept):
    right = pl.read_csv(kept / "results" / "BC5CDR" / MODEL / "scores.csv").filter(
        scorer="semeval", scheme="strict", stratum="all", label="all", seed=1
    )
    counts = right.row(0, named=True)
    cell = kept / "results" / "BC5CDR" / MODEL
    run = {"dataset": "BC5CDR", "model": MODEL, "seed": 1, "decoding": "direct"}
    for correct in (counts["correct"], counts["correct"] + 1):
        told = {"predicted_entities": counts["actual"], "correct": correct}
        write_table(cell / "calibration.csv", pl.DataFrame([run | told], schema=CALIBRATION))
        found = files_of(kept)
        fault = found.fault("calibration", "BC5CDR", MODEL)
        assert (fault is None) == (len(found.calibration) == 1) == (correct == counts["correct"])
    assert "Calibrate again" in fault
    other = run | told | {"correct": counts["correct"], "decoding": "free"}  # which is not scored
    write_table(cell / "calibration.csv", pl.DataFrame([other], schema=CALIBRATION))
    assert "Calibrate again" in files_of(kept).fault("calibration", "BC5CDR", MODEL)


def test_sound_cells_are_done(recorded):
    found, tables = cell(recorded, models={MODEL: ENTRY})
    assert (found["state"], found["reason"]) == ("done", None)
    assert set(tables["table3_strict"]["model"]) == set(BERTS)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (
            {"gold": "0" * 64},
            "seed 2, direct: predicted for another test.jsonl (000000000000…) than lies there",
        ),
        (
            {"train": "0" * 64},
            "seed 2: trained on another train.jsonl (000000000000…) than lies there",
        ),
        ({"dev": "0" * 64}, "seed 2: trained on another dev.jsonl (000000000000…) than lies there"),
        ({"training": "0" * 64}, "seed 2, direct: predicted by a training that was replaced since"),
        (
            {"settings": merged(TREE, {"train": {"epochs": 3}})},
            "seed 2: trained otherwise than seed 1 (train.epochs 3, not 20)",
        ),
    ],
    ids=["test", "train", "dev", "training", "settings"],
)
def test_a_cell_of_other_data_or_settings_is_refused_with_the_reason(recorded, what, reason):
    record(recorded, 2, **what)
    found, tables = cell(recorded)
    assert found["state"] == "refused"
    assert reason in found["reason"]
    assert MODEL not in set(tables["table3_strict"].filter(pl.col("f1").is_not_null())["model"])
    assert reason in row(tables["table5_relaxed"], model=MODEL)["note"]
    assert MODEL not in set(pl.read_csv(recorded / "reports" / "scores.csv")["model"])


def test_a_cell_of_another_configuration_is_refused(recorded):
    asked = ENTRY.changed(train={"learning_rate": 3e-5})
    found, _ = cell(recorded, models={MODEL: asked})
    ran = ENTRY.train.learning_rate
    assert (
        f"seed 1: trained by another configuration (train.learning_rate {ran}, not 3e-05)"
        in found["reason"]
    )


def test_what_a_search_chose_is_of_its_configuration(recorded):
    searching = parse_entry(ModelEntry, MODEL, TREE | SEARCH_SPACE)
    for seed in (1, 2):
        record(recorded, seed, settings=merged(TREE, {"train": {"batch_size": 8}}))
    assert cell(recorded, models={MODEL: searching})[0]["state"] == "done"
    for seed in (1, 2):
        record(recorded, seed, settings=merged(TREE, {"train": {"batch_size": 32}}))
    assert "train.batch_size 32" in cell(recorded, models={MODEL: searching})[0]["reason"]


def search(kept, chosen, seed):
    """A search under this seed that chose a batch size."""
    folder = kept / "results" / "BC5CDR" / MODEL
    values = {name: getattr(ENTRY.train, name) for name in HYPERPARAMETERS}
    row = values | {"trial": "t", "winner": True, "batch_size": chosen, "seconds": 1.0}
    write_table(folder / "search.csv", pl.DataFrame([row | {"gpu_hours": 0.0}], schema=SEARCH))
    (folder / "trials" / "t").mkdir(parents=True)
    (folder / "trials" / "t" / "run.json").write_text(json.dumps({"seed": seed}))


def test_a_seed_that_is_a_trial_of_its_search_is_refused(recorded):
    """As versions before `search_seed` left it."""
    record(recorded, 1, trial={"name": "batch16", "over": ["batch_size"]})
    found, _ = cell(recorded)
    assert found["state"] == "refused"
    assert "seed 1: its search ran under this seed" in found["reason"]
    assert "search again, under `search_seed`: `snakemake --forcerun trial`" in found["reason"]
    assert "seed 2" not in found["reason"]


@pytest.mark.parametrize(
    ("chosen", "seed", "reason"),
    [
        (8, 41, None),
        (8, 2, "seed 2: its search ran under this seed"),
        (4, 41, "seed 1: trained with other values than its search chose (batch_size 8, not 4)"),
    ],
)
def test_a_cell_belongs_to_its_search(recorded, chosen, seed, reason):
    searching = parse_entry(ModelEntry, MODEL, TREE | SEARCH_SPACE)
    for number in (1, 2):
        record(recorded, number, settings=merged(TREE, {"train": {"batch_size": 8}}))
    search(recorded, chosen, seed)
    found, tables = cell(recorded, models={MODEL: searching})
    assert (found["reason"] is None) == (reason is None)
    assert reason is None or reason in found["reason"]
    if reason is None:
        assert tables["search"]["trials"].to_list() == [1]


@pytest.mark.parametrize("models", [{}, {MODEL: ENTRY}], ids=["unknown entry", "no search"])
def test_a_search_of_another_run_is_no_part_of_a_cell(recorded, models):
    search(recorded, 4, 41)
    found, tables = cell(recorded, models=models)
    assert found["state"] == "done"
    assert tables["search"].is_empty()
    assert set(tables["table3_strict"].filter(model=MODEL)["trials"]) == {1}


def test_a_branch_is_the_commit_it_stood_for_and_a_commit_is_itself(recorded):
    for seed in (1, 2):
        record(recorded, seed, settings=merged(TREE, {"source": {"revision": "a" * 40}}))
    assert cell(recorded, models={MODEL: ENTRY})[0]["state"] == "done"
    pinned = ENTRY.changed(source={"revision": "b" * 40})
    assert "source.revision" in cell(recorded, models={MODEL: pinned})[0]["reason"]


def test_the_machine_is_no_part_of_the_configuration(recorded):
    elsewhere = ENTRY.changed(resources={"threads": 7})
    assert cell(recorded, models={MODEL: elsewhere})[0]["state"] == "done"


def test_records_of_earlier_versions_are_held_against_what_they_say(recorded):
    for path in (recorded / "results" / "BC5CDR" / MODEL).glob("seed*/direct/run.json"):
        path.write_text("{}")
    assert cell(recorded)[0]["state"] == "done"


@pytest.mark.parametrize("content", ["", "{", "[1]", "\xff"])
def test_a_broken_record_breaks_its_cell_alone(recorded, content):
    path = recorded / "results" / "BC5CDR" / MODEL / "seed1" / "run.json"
    path.write_bytes(content.encode("latin-1"))
    found, tables = cell(recorded)
    assert found["state"] == "broken"
    assert str(path) in found["reason"]
    assert tables["table3_strict"].filter(length="all")["f1"].drop_nulls().to_list() == [90, 90]


def test_scores_in_another_cell_s_folder_are_broken(kept):
    table = score(GOLD, WRONG, ScoredRun("BC5CDR", MODEL, 1, "direct"))
    write_table(kept / "results" / "BC5CDR" / "llama-8b" / "scores.csv", table)
    found, _ = cell(kept, "llama-8b")
    assert found["state"] == "broken"
    assert "scores of BC5CDR by bert-large-cased; expected BC5CDR by llama-8b" in found["reason"]


def test_a_broken_score_file_is_named_and_the_others_are_there(kept):
    (kept / "results" / "BC5CDR" / MODEL / "scores.csv").write_text("dataset,model\nx,y\n")
    found, tables = cell(kept)
    assert found["state"] == "broken"
    assert f"{MODEL}/scores.csv: found an unreadable table" in found["reason"]
    strict = tables["table3_strict"].filter(length="all")
    assert strict.filter(pl.col("f1").is_null()).select("model", "paper_f1").rows() == [
        (MODEL, 87.05)
    ]
    assert "unreadable table" in row(strict, model=MODEL)["note"]


@pytest.mark.parametrize("lines", [2.5, 70.5])
def test_a_score_file_that_was_cut_short_is_broken(kept, lines):
    path = kept / "results" / "BC5CDR" / MODEL / "scores.csv"
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[: int(lines)]) + whole[int(lines)][:30])
    assert "scores.csv: found a table that ends within a line" in cell(kept)[0]["reason"]


def test_a_run_without_its_strict_score_is_broken(kept):
    path = kept / "results" / "BC5CDR" / MODEL / "scores.csv"
    table = pl.read_csv(path)
    second, strict = (
        pl.col("seed") == 2,
        (pl.col("scorer") == "semeval") & (pl.col("scheme") == "strict"),
    )
    write_table(path, table.filter(~(second & strict)))
    assert "found no strict F1 of seed 2, direct" in cell(kept)[0]["reason"]


def test_a_cell_gathered_twice_is_not_two_runs(kept):
    path = kept / "results" / "BC5CDR" / MODEL / "scores.csv"
    table = pl.read_csv(path)
    write_table(path, pl.concat([table, table]))
    assert "rows twice (dataset BC5CDR, model bert-large-cased, seed 1," in cell(kept)[0]["reason"]


def test_nothing_sound_is_an_error_that_names_the_first_fault(kept):
    for model in BERTS:
        (kept / "results" / "BC5CDR" / model / "scores.csv").write_text("")
    with pytest.raises(
        InputError, match=r"no sound cell; BC5CDR × .*scores\.csv: found an unreadable table"
    ):
        built(kept)
    assert not (kept / "reports").exists()


@pytest.mark.parametrize(
    ("name", "schema"), [("comparisons", COMPARISON), ("selection", SELECTION)]
)
def test_tables_of_another_dataset_are_left_out_and_named(kept, name, schema):
    path = kept / "results" / "BC5CDR" / f"{name}.csv"
    values = {column: "x" if kind == pl.String else 1 for column, kind in schema.items()} | {
        "dataset": "JNLPBA"
    }
    values |= {"chosen": True} if name == "selection" else {"difference": 0}
    write_table(path, pl.DataFrame([values], schema=schema))
    assert built(kept)["significance"].is_empty()
    page = (kept / "reports" / "report.html").read_text()
    assert f"{name}.csv: found rows of JNLPBA; expected of BC5CDR alone" in page


def test_a_broken_timing_costs_the_times_alone(kept):
    (kept / "results" / "BC5CDR" / MODEL / "timing.csv").write_text("seconds\n1\n")
    tables = built(kept)
    assert tables["table4_inference_time"]["seconds_per_sample"].is_null().all()
    assert row(tables["cells"], model=MODEL)["state"] == "done"
    assert "timing.csv: found an unreadable table" in (kept / "reports" / "report.html").read_text()


def test_times_of_a_refused_cell_are_left_out(recorded):
    times = {
        "dataset": "BC5CDR",
        "model": MODEL,
        "family": "encoder",
        "seed": 1,
        "protocol": "fair",
        "batch": 1,
    }
    times |= {
        "precision": "bf16",
        "decoding": "direct",
        "hardware": "H100",
        "seconds_per_sample": 0.5,
    }
    write_table(
        recorded / "results" / "BC5CDR" / MODEL / "timing.csv", pl.DataFrame([times], schema=TIMING)
    )
    assert row(time_table(files_of(recorded)), model=MODEL)["seconds_per_sample"] == 0.5
    record(recorded, 2, gold="0" * 64)
    assert row(time_table(files_of(recorded)), model=MODEL)["seconds_per_sample"] is None
    assert cost_table(files_of(recorded), {}).filter(model=MODEL)["stage"].to_list() == [None]


def test_comparisons_with_a_refused_system_are_left_out(recorded):
    whose = {
        "dataset": "BC5CDR",
        "decoding": "direct",
        "baseline_decoding": "direct",
        "measure": "f1",
        "stratum": "all",
        "label": "all",
    }
    found = {"difference": 3.0, "ci_low": 1.0, "ci_high": 5.0, "p": 0.01}
    found |= {"gold_entities": 40, "clusters": 40, "clusters_with_gold": 40}
    pairs = [{"model": BERTS[0], "baseline_model": other} for other in BERTS[1:]]
    table = pl.DataFrame([whose | found | pair for pair in pairs], schema=COMPARISON)
    write_table(recorded / "results" / "BC5CDR" / "comparisons.csv", table)
    record(recorded, 2, gold="0" * 64)
    assert built(recorded)["significance"]["baseline_model"].to_list() == [BERTS[2]]


@pytest.mark.parametrize(
    ("side", "value", "told"),
    [
        ("score", 12.0, f"{BERTS[0]} direct compared with 12.00 F1 and scored with 90.91"),
        ("baseline_score", 12.0, f"{BERTS[1]} direct compared with 12.00 F1 and scored with 90.91"),
        ("seeds", 3, f"{BERTS[0]} direct compared under 3 seeds and scored under 2"),
    ],
)
def test_comparisons_of_other_predictions_than_were_scored_are_left_out(kept, side, value, told):
    """3 gold entities in each of two seeds, 2 and 3 found, none wrong: 2·5 / (6 + 5) = 90.91."""
    sound = {
        "dataset": "BC5CDR",
        "model": BERTS[0],
        "decoding": "direct",
        "seeds": 2,
        "score": 1000 / 11,
    }
    sound |= {
        "baseline_model": BERTS[1],
        "baseline_decoding": "direct",
        "baseline_seeds": 2,
        "baseline_score": 1000 / 11,
    }
    sound |= {
        "measure": "f1",
        "stratum": "all",
        "label": "all",
        "difference": 0.0,
        "ci_low": -1.0,
        "ci_high": 1.0,
        "p": 1.0,
    }
    sound |= {"gold_entities": 40, "clusters": 40, "clusters_with_gold": 40}
    path = kept / "results" / "BC5CDR" / "comparisons.csv"
    write_table(path, pl.DataFrame([sound], schema=COMPARISON))
    assert len(built(kept)["significance"]) == 1
    other = sound | {side: value}
    other["difference"] = other["score"] - other["baseline_score"]
    write_table(path, pl.DataFrame([other], schema=COMPARISON))
    assert built(kept)["significance"].is_empty()
    assert told in (kept / "reports" / "report.html").read_text()


def test_a_cell_with_a_failed_job_is_incomplete_and_its_scores_are_there(kept):
    job = f"train BC5CDR {MODEL} 3"
    found, tables = cell(kept, failed={job: "logs/train.log"})
    assert (found["state"], found["reason"], found["log"]) == ("incomplete", job, "logs/train.log")
    assert row(tables["table3_strict"], model=MODEL, length="all")["f1"] == 90
    assert f"BC5CDR × {MODEL}" in (kept / "reports" / "report.html").read_text()
    assert cell(kept, failed={"compare BC5CDR": "logs/compare.log"})[0]["state"] == "done", (
        "that is none of its own"
    )


def test_a_cell_scored_in_other_lengths_than_the_first_is_refused(kept):
    table = score(
        GOLD,
        WRONG,
        ScoredRun("BC5CDR", "biomedbert-large", 1, "direct"),
        options=Scoring(bootstrap=0, length_cuts=[1, 3]),
    )
    write_table(kept / "results" / "BC5CDR" / "biomedbert-large" / "scores.csv", table)
    found, tables = cell(kept, "biomedbert-large")
    reason = "scored in lengths all, 1, 2-3, 4+, not all, 1, 2, 3+ as BC5CDR × bert-large-cased"
    assert (found["state"], found["reason"]) == ("refused", reason)
    assert set(tables["table3_strict"]["length"]) == {"all", "1", "2", "3+"}


def test_a_record_of_another_seed_is_refused(recorded):
    path = recorded / "results" / "BC5CDR" / MODEL / "seed2" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seed": 1}))
    assert "seed 2: its run.json is of seed 1" in cell(recorded)[0]["reason"]


def test_without_a_search_nothing_but_the_configured_value_is_of_its_configuration(recorded):
    searching = parse_entry(ModelEntry, MODEL, TREE | SEARCH_SPACE)
    for seed in (1, 2):
        record(recorded, seed, settings=merged(TREE, {"train": {"batch_size": 8}}))
    fixed = searching.without_search()
    assert "train.batch_size 8" in cell(recorded, models={MODEL: fixed})[0]["reason"]


@pytest.mark.parametrize(("search", "state"), [("true", "done"), ("false", "refused")])
def test_the_command_expects_what_a_search_chose_only_of_a_run_that_searches(
    recorded, search, state
):
    """The catalogue's BERT-large searches batch sizes, and has one without a search."""
    config = recorded / "run.yaml"
    config.write_text(f"run_search: {search}\n")
    entry = load_models(load_config({}))[MODEL]
    chosen = max(entry.search_space.batch_size)
    assert chosen != entry.train.batch_size
    for seed in (1, 2):
        record(
            recorded,
            seed,
            settings=merged(entry.training_settings(), {"train": {"batch_size": chosen}}),
        )
    folders = (
        "--results",
        recorded / "results",
        "--data",
        recorded / "data",
        "--out",
        recorded / "reports",
    )
    done = CliRunner().invoke(
        app, ["report", *map(str, folders), "--config", str(config), "--model", MODEL]
    )
    found = pl.read_csv(recorded / "reports" / "cells.csv") if done.exit_code == 0 else None
    assert (found is None) == (state == "refused"), done.output
    assert found is None or row(found, dataset="BC5CDR")["state"] == state


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, "many") for key in ("trained_parameters", "peak_memory_gb", "energy_kwh")),
        *((key, {"a": 1}) for key in ("trained_parameters", "energy_kwh", "started", "commit")),
    ],
)
def test_a_value_of_another_kind_breaks_its_cell_alone(recorded, key, value):
    path = recorded / "results" / "BC5CDR" / MODEL / "seed1" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    (path.parent / "direct" / "run.json").unlink()  # it knows the checksum of the record as it was
    found, tables = cell(recorded)
    assert found["state"] == "broken"
    assert set(tables["table3_strict"].filter(pl.col("f1").is_not_null())["model"]) == {*BERTS} - {
        MODEL
    }


@pytest.mark.parametrize(
    ("place", "schema", "told"),
    [
        (f"results/BC5CDR/{MODEL}/timing.csv", TIMING, "timing.csv:2: found no dataset"),
        ("data/BC5CDR/stats.csv", STATISTICS, "stats.csv: found a value that is no number"),
    ],
)
def test_numbers_that_are_none_are_left_out_and_named(kept, place, schema, told):
    values = ["NaN" if kind == pl.Float64 else "" for kind in schema.values()]
    (kept / place).write_text("".join(",".join(line) + "\n" for line in (schema, values)))
    built(kept)
    assert told in (kept / "reports" / "report.html").read_text()


def test_missing_cells_say_why(kept):
    failed = {
        "fetch JNLPBA": "logs/fetch/JNLPBA.log",
        "train BC5CDR llama-8b 42": "logs/train/BC5CDR/llama-8b/seed42.log",
        "snapshot own-model": "logs/download_model/own-model.log",
    }
    told = ReportContext(left_out={"Reddit-Impacts": "left out: ask its authors"}, failed=failed)
    datasets, models = (
        ["BC5CDR", "JNLPBA", "Reddit-Impacts"],
        ["llama-8b", "mistral-7b", MODEL, "own-model"],
    )
    tables = built(kept, datasets=datasets, models=models, context=told)
    states = {(name, model): rest for name, model, *rest in tables["cells"].rows()}
    assert states["BC5CDR", MODEL] == ["done", None, None]
    assert states["BC5CDR", "llama-8b"] == ["failed", *list(failed.items())[1]]
    assert states["BC5CDR", "mistral-7b"] == ["not run", "no scores found", None]
    assert states["JNLPBA", "mistral-7b"] == ["failed", *next(iter(failed.items()))]
    assert states["BC5CDR", "own-model"] == [
        "failed",
        "snapshot own-model",
        "logs/download_model/own-model.log",
    ]
    assert states["Reddit-Impacts", MODEL] == ["absent", "left out: ask its authors", None]
    assert {state for state, *_ in states.values()} <= STATES.keys()
    for name in ("table3_strict", "table4_inference_time", "table5_relaxed", "cost"):
        found = tables[name].filter(dataset="BC5CDR", model="llama-8b")
        told = {"failed: train BC5CDR llama-8b 42 (logs/train/BC5CDR/llama-8b/seed42.log)"}
        assert set(found["note"]) == told, name
    # The paper has no such model: its note stands overall, where scores would.
    assert row(tables["table3_strict"], dataset="BC5CDR", model="own-model")["length"] == "all"
    # The paper's number stands there all the same.
    assert (
        row(tables["table5_relaxed"], dataset="JNLPBA", model="mistral-7b")["paper_f1"] is not None
    )


def test_cells_stand_in_the_order_of_the_configuration(kept):
    models = [BERTS[2], "llama-8b", BERTS[0]]
    table = report(kept / "results", kept / "data", kept / "reports", ["BC5CDR"], models)[
        "table5_relaxed"
    ]
    assert table["model"].to_list() == models


def test_provenance_says_what_every_result_was_made_of(recorded):
    for seed in (1, 2):
        record(recorded, seed, settings=merged(TREE, {"source": {"revision": "a" * 40}}))
    table = built(recorded)["provenance"]
    there = sha256_of(recorded / "data" / "BC5CDR" / "test.jsonl")
    found = row(table, model=MODEL, seed=1, stage="train")
    assert (found["hub"], found["revision"], found["train_sha256"], found["dev_sha256"]) == (
        "a/b",
        "a" * 40,
        there,
        there,
    )
    predicted = row(table, model=MODEL, seed=1, stage="predict")
    assert (predicted["decoding"], predicted["test_sha256"]) == ("direct", there)
    assert table.filter(stage="train")["configuration"].n_unique() == 1


def test_of_a_machine_s_gpus_those_are_told_that_a_job_was_given(recorded):
    settings = merged(TREE, {"resources": {"gpus": 2, "predict_gpus": 1}})
    for seed in (1, 2):
        record(recorded, seed, settings=settings, gpus=["A", "B", "C"])
    table = files_of(recorded).provenance
    assert row(table, seed=1, stage="train")["hardware"] == "A, B"
    assert row(table, seed=1, stage="predict")["hardware"] == "A"

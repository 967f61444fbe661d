"""Results that are half finished, broken, or of other data or another configuration: named, and not mixed in."""

import json

import polars as pl
import pytest

from bioner.catalogue import complete_entry
from bioner.checksums import sha256_of
from bioner.config import merged
from bioner.errors import InputError
from bioner.instances import write_instances
from bioner.reporting.cells import STATES
from bioner.reporting.kept import Told
from bioner.reporting.report import report
from bioner.reporting.soundness import expected_of
from bioner.scoring.compare import COMPARISON
from bioner.scoring.score import score
from bioner.scoring.selection import SELECTION
from bioner.tables import write_table
from tests.golden.trees import BERTS, GOLD, WRONG, built, row

MODEL = "bert-large-cased"
ENTRY = complete_entry("models", MODEL, {"family": "encoder", "source": {"hub": "a/b"}, "train": {"epochs": 20}})


@pytest.fixture
def recorded(kept):
    """The tree with the corpus's instances, and with the records of the trainings and predictions of one cell."""
    for split in ("train", "dev", "test"):
        write_instances(kept / "data" / "BC5CDR" / f"{split}.jsonl", GOLD)
    for seed in (1, 2):
        record(kept, seed)
    return kept


def record(kept, seed, settings=ENTRY, train=None, gold=None, training=None):
    """What `bioner train` and `predict` write of a seed, with other checksums where they are given."""
    there = sha256_of(kept / "data" / "BC5CDR" / "test.jsonl")  # all three splits are equal here
    folder = kept / "results" / "BC5CDR" / MODEL / f"seed{seed}"
    (folder / "direct").mkdir(parents=True, exist_ok=True)
    cost = {"trained_parameters": 1, "wall_seconds": 1.0, "peak_memory_gb": 1.0, "peak_gpu_memory_gb": None}
    trained = {
        "seed": seed,
        "data": {"train": train or there, "dev": there},
        "settings": settings,
        "gpus": [],
        "cpu": "x",
    }
    (folder / "run.json").write_text(json.dumps(trained | cost))
    known = {"gold": gold or there, "training": training or sha256_of(folder / "run.json")}
    (folder / "direct" / "run.json").write_text(json.dumps({"data": known}))


def cell(kept, model=MODEL, **told):
    """The state of a cell, once the reports are built."""
    tables = built(kept, told=Told(**told))
    return row(tables["cells"], model=model), tables


def test_sound_cells_are_done(recorded):
    found, tables = cell(recorded, expected={MODEL: expected_of(ENTRY)})
    assert (found["state"], found["reason"]) == ("done", None)
    assert set(tables["table3_strict"]["model"]) == set(BERTS)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ({"gold": "0" * 64}, "seed 2, direct: predicted for another test.jsonl (000000000000…) than lies there"),
        ({"train": "0" * 64}, "seed 2: trained on another train.jsonl (000000000000…) than lies there"),
        ({"training": "0" * 64}, "seed 2, direct: predicted by a training that was replaced since"),
        (
            {"settings": merged(ENTRY, {"train": {"epochs": 3}})},
            "seed 2: trained otherwise than seed 1 (train.epochs 3, not 20)",
        ),
    ],
    ids=["test", "train", "training", "settings"],
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
    asked = merged(ENTRY, {"train": {"learning_rate": 3e-5}})
    found, _ = cell(recorded, expected={MODEL: expected_of(asked)})
    ran = ENTRY["train"]["learning_rate"]
    assert f"seed 1: trained by another configuration (train.learning_rate {ran}, not 3e-05)" in found["reason"]


def test_what_a_search_chose_is_of_its_configuration(recorded):
    searching = ENTRY | {"search": {"batch_size": [4, 8]}}
    for seed in (1, 2):
        record(recorded, seed, settings=merged(ENTRY, {"train": {"batch_size": 8}}))
    assert cell(recorded, expected={MODEL: expected_of(searching)})[0]["state"] == "done"
    for seed in (1, 2):
        record(recorded, seed, settings=merged(ENTRY, {"train": {"batch_size": 32}}))
    assert "train.batch_size 32" in cell(recorded, expected={MODEL: expected_of(searching)})[0]["reason"]


def test_a_branch_is_the_commit_it_stood_for_and_a_commit_is_itself(recorded):
    for seed in (1, 2):
        record(recorded, seed, settings=merged(ENTRY, {"source": {"revision": "a" * 40}}))
    assert cell(recorded, expected={MODEL: expected_of(ENTRY)})[0]["state"] == "done"
    pinned = merged(ENTRY, {"source": {"revision": "b" * 40}})
    assert "source.revision" in cell(recorded, expected={MODEL: expected_of(pinned)})[0]["reason"]


def test_the_machine_is_no_part_of_the_configuration(recorded):
    elsewhere = merged(ENTRY, {"resources": {"threads": 7}})
    assert cell(recorded, expected={MODEL: expected_of(elsewhere)})[0]["state"] == "done"


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
    table = score(GOLD, WRONG, "BC5CDR", MODEL, 1, "direct")
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
    assert strict.filter(pl.col("f1").is_null()).select("model", "paper_f1").rows() == [(MODEL, 87.05)]
    assert "unreadable table" in row(strict, model=MODEL)["note"]


def test_a_cell_gathered_twice_is_not_two_runs(kept):
    path = kept / "results" / "BC5CDR" / MODEL / "scores.csv"
    table = pl.read_csv(path)
    write_table(path, pl.concat([table, table]))
    assert "rows twice (dataset BC5CDR, model bert-large-cased, seed 1," in cell(kept)[0]["reason"]


def test_nothing_sound_is_an_error_that_names_the_first_fault(kept):
    for model in BERTS:
        (kept / "results" / "BC5CDR" / model / "scores.csv").write_text("")
    with pytest.raises(InputError, match=r"no sound cell; BC5CDR × .*scores\.csv: found an unreadable table"):
        built(kept)
    assert not (kept / "reports").exists()


@pytest.mark.parametrize(("name", "schema"), [("comparisons", COMPARISON), ("selection", SELECTION)])
def test_tables_of_another_dataset_are_left_out_and_named(kept, name, schema):
    path = kept / "results" / "BC5CDR" / f"{name}.csv"
    values = {column: "x" if kind == pl.String else 1 for column, kind in schema.items()} | {"dataset": "JNLPBA"}
    values |= {"chosen": True} if name == "selection" else {}
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


def test_comparisons_with_a_refused_system_are_left_out(recorded):
    whose = {"dataset": "BC5CDR", "decoding": "direct", "versus_decoding": "direct", "measure": "f1", "stratum": "all"}
    found = {"difference": 3.0, "low": 1.0, "high": 5.0, "p": 0.01}
    found |= {"gold_entities": 40, "clusters": 40, "clusters_with_gold": 40}
    pairs = [{"model": BERTS[0], "versus_model": other} for other in BERTS[1:]]
    table = pl.DataFrame([whose | found | pair for pair in pairs], schema=COMPARISON)
    write_table(recorded / "results" / "BC5CDR" / "comparisons.csv", table)
    record(recorded, 2, gold="0" * 64)
    assert built(recorded)["significance"]["versus_model"].to_list() == [BERTS[2]]


def test_missing_cells_say_why(kept):
    failed = {
        "fetch JNLPBA": "logs/fetch/JNLPBA.log",
        "train BC5CDR llama-8b 42": "logs/train/BC5CDR/llama-8b/seed42.log",
    }
    told = Told(left_out={"Reddit-Impacts": "left out: ask its authors"}, failed=failed)
    datasets, models = ["BC5CDR", "JNLPBA", "Reddit-Impacts"], ["llama-8b", "mistral-7b", MODEL]
    tables = built(kept, datasets=datasets, models=models, told=told)
    states = {(name, model): rest for name, model, *rest in tables["cells"].rows()}
    assert states["BC5CDR", MODEL] == ["done", None, None]
    assert states["BC5CDR", "llama-8b"] == ["failed", *list(failed.items())[1]]
    assert states["BC5CDR", "mistral-7b"] == ["not run", "no scores found", None]
    assert states["JNLPBA", "mistral-7b"] == ["failed", *next(iter(failed.items()))]
    assert states["Reddit-Impacts", MODEL] == ["absent", "left out: ask its authors", None]
    assert {state for state, *_ in states.values()} <= STATES.keys()
    for name in ("table3_strict", "table4_inference_time", "table5_relaxed", "cost"):
        found = tables[name].filter(dataset="BC5CDR", model="llama-8b")
        told = {"failed: train BC5CDR llama-8b 42 (logs/train/BC5CDR/llama-8b/seed42.log)"}
        assert set(found["note"]) == told, name
    # The paper's number stands there all the same.
    assert row(tables["table5_relaxed"], dataset="JNLPBA", model="mistral-7b")["paper_f1"] is not None


def test_cells_stand_in_the_order_of_the_configuration(kept):
    models = [BERTS[2], "llama-8b", BERTS[0]]
    table = report(kept / "results", kept / "data", kept / "reports", ["BC5CDR"], models)["table5_relaxed"]
    assert table["model"].to_list() == models


def test_provenance_says_what_every_result_was_made_of(recorded):
    for seed in (1, 2):
        record(recorded, seed, settings=merged(ENTRY, {"source": {"revision": "a" * 40}}))
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

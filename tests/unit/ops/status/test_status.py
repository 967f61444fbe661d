"""What `bioner status` says about a run, for every state that a cell may be in."""

import json
import os
import random
import socket
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from filelock import FileLock
from typer.testing import CliRunner

from bioner.cli import app
from bioner.cli.loading import settings_of
from bioner.errors import InputError
from bioner.io.heartbeat import FRESH, JobProgress, write_heartbeat
from bioner.io.tables import as_markdown
from bioner.ops.planning.jobs import jobs_of, log_of
from bioner.ops.status.cells import cells_of, material
from bioner.ops.status.records import (
    CellStatus,
    JobState,
    RunContext,
    StatusRow,
    snakemake_since,
)
from bioner.ops.status.table import STATUS, in_short, shown, status_table
from bioner.settings.config import load_config
from bioner.settings.matrix import load_matrix

CONFIG = """\
datasets: [A, B]
models: [oracle, bert, llama]
seeds: [42, 43]
decodings: [free, constrained]
run_search: false
dataset_overrides:
  A:
    description: made up
    format: jsonl
    splits: {train: a/1.jsonl, dev: a/2.jsonl, test: a/3.jsonl}
  B:
    description: made up
    format: jsonl
    splits: {train: b/1.jsonl, dev: b/2.jsonl, test: b/3.jsonl}
model_overrides:
  bert: {like: bert-mini, search_space: {learning_rate: [1.0e-5, 2.0e-5, 3.0e-5]}}
  llama: {like: llama-mini}
"""


@pytest.fixture
def overlay(tmp_path) -> Path:
    path = tmp_path / "overlay.yaml"
    path.write_text(CONFIG + f"out: {tmp_path / 'out'}\n")
    return path


@pytest.fixture
def out(overlay) -> Path:
    return overlay.parent / "out"


def run_of(overlay: Path, snakemake: float | None = None, **changes) -> RunContext:
    settings = settings_of([overlay]).model_copy(update=changes)
    matrix, out = load_matrix(settings, [overlay]), Path(settings.out)
    return RunContext(matrix, out, None, time.time(), snakemake)


def cell(run: RunContext, dataset: str, model: str) -> CellStatus:
    return next(cell for cell in cells_of(run) if (cell.dataset, cell.model) == (dataset, model))


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def trained(folder: Path, f1: float | None, seconds: float = 100.0, sentences: int = 50) -> None:
    kept = {"dev_strict_f1": f1, "dev_loss": 0.1}
    write(
        folder / "run.json",
        json.dumps({"kept": kept, "wall_seconds": seconds, "train_instances": sentences}),
    )


def scored(out: Path, dataset: str, model: str, seed: int, decoding: str = "direct") -> None:
    write(out / "results" / dataset / model / f"seed{seed}" / decoding / "scores.csv")


def finished(
    out: Path, dataset: str, model: str = "bert", f1: tuple[float, float] = (80.0, 84.0)
) -> None:
    for seed, value in zip((42, 43), f1, strict=True):
        trained(out / "results" / dataset / model / f"seed{seed}", value)
        scored(out, dataset, model, seed)
    write(out / "results" / dataset / model / "scores.csv")


def under_way(folder: Path, age: float = 0.0, checkpoint: bool = True, **facts) -> Path:
    """Return the lock of a training in epoch 3 of 20, after 5 minutes and 40 before its end."""
    told = {
        "seconds": 300.0,
        "step": 250,
        "steps": 2000,
        "epoch": 2.5,
        "epochs": 20.0,
        "dev_strict_f1": 84.2,
    }
    sign = folder / ".training" / "checkpoints" / "progress.json"
    write_heartbeat(sign, JobProgress(**(told | {"seconds_left": 2400.0} | facts)))
    sign.write_text(json.dumps(json.loads(sign.read_text()) | {"at": time.time() - age}))
    if checkpoint:
        write(folder / ".training" / "checkpoints" / "checkpoint-200" / "manifest.json", "{}")
    return write(folder / ".training.lock")


def sentences(out: Path, dataset: str, count: int) -> None:
    head = "dataset,split,statistic,stratum,value\n"
    write(out / "data" / dataset / "stats.csv", f"{head}{dataset},train,instances,all,{count}\n")


def test_before_anything_is_there_all_is_waiting(overlay):
    run = run_of(overlay)
    assert [found.state for found in cells_of(run)] == ["waiting"] * 6
    assert "0 of 6 cells done, 6 waiting." in shown(cells_of(run), material(run))


def test_done_is_what_is_scored_with_the_mean_f1_on_dev_of_its_seeds(overlay, out):
    """(80 + 84) / 2 = 82."""
    finished(out, "A")
    assert in_short(cell(run_of(overlay), "A", "bert")) == "done 82.0"
    (out / "results" / "A" / "bert" / "scores.csv").unlink()
    assert cell(run_of(overlay), "A", "bert").state == "waiting"  # for its scores to be gathered


def test_what_scores_were_made_of_may_be_gone(overlay, out):
    """A cell is done even if the weights and records of its training were deleted."""
    finished(out, "A")
    (out / "results" / "A" / "bert" / "seed42" / "run.json").unlink()
    assert in_short(cell(run_of(overlay), "A", "bert")) == "done 84.0"


def test_a_control_is_scored_once_and_an_llm_in_each_decoding(overlay, out):
    scored(out, "A", "oracle", 42)
    write(out / "results" / "A" / "oracle" / "scores.csv")
    for seed in (42, 43):
        trained(out / "results" / "A" / "llama" / f"seed{seed}", 70.0)
        scored(out, "A", "llama", seed, "free")
    run = run_of(overlay)
    assert in_short(cell(run, "A", "oracle")) == "done"
    llama = cell(run, "A", "llama")
    assert [(row.seed, row.stage, row.state) for row in llama.rows] == [
        (42, "predict", "waiting"),
        (43, "predict", "waiting"),
    ]


def test_other_stages_are_no_seeds():
    seeds = [StatusRow("A", "bert", seed, "train", JobState("done")) for seed in (42, 43)]
    timed = CellStatus(
        "A", "bert", (*seeds, StatusRow("A", "bert", None, "time", JobState("running"))), None
    )
    assert in_short(timed) == "running time"
    half = CellStatus(
        "A", "bert", (seeds[0], StatusRow("A", "bert", 43, "train", JobState("waiting"))), None
    )
    assert in_short(half) == "waiting, 1 of 2 seeds"


def test_running_is_a_training_that_holds_its_lock(overlay, out, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    trained(out / "results" / "A" / "bert" / "seed43", 80.0)
    scored(out, "A", "bert", 43)
    with FileLock(under_way(out / "results" / "A" / "bert" / "seed42", checkpoint=False)):
        found = cell(run_of(overlay), "A", "bert")
        assert (
            in_short(found) == "running 3/20 82.1 ~40 min, 1 of 2 seeds"
        )  # (84.2 + 80) / 2 = 82.1
        told = shown([found], [])
    row = next(line for line in told.splitlines() if line.startswith("| A "))
    assert [value.strip() for value in row.strip("|").split("|")] == [
        *("A", "bert", "42", "train", "running", "3/20", "84.20", "~40 min"),
        *(f"{socket.gethostname()}, Slurm job 4711", ""),
    ]


def test_a_training_whose_predictions_are_there_still_is_running_again(overlay, out):
    finished(out, "A")
    with FileLock(under_way(out / "results" / "A" / "bert" / "seed43")):
        assert cell(run_of(overlay), "A", "bert").state == "running"


def test_time_goes_on_after_the_last_sign_and_silence_is_told(overlay, out):
    """10 minutes ago, 40 minutes were left."""
    with FileLock(under_way(out / "results" / "A" / "bert" / "seed42", age=600)):
        row = cell(run_of(overlay), "A", "bert").rows[0]
    assert row.left == pytest.approx(1800, abs=5)
    assert row.job_state.note == "last heard of 10 min ago"


def test_a_training_that_has_just_begun_is_running_without_an_epoch(overlay, out):
    with FileLock(write(out / "results" / "A" / "bert" / "seed42" / ".training.lock")):
        row = cell(run_of(overlay), "A", "bert").rows[0]
    assert (row.state, row.job_state.progress, row.job_state.note) == (
        "running",
        "",
        "before its first step",
    )


@pytest.mark.parametrize(
    ("checkpoint", "note"),
    [
        (True, "cut short at epoch 3, goes on"),
        (False, "cut short at epoch 3, begins again: no checkpoint yet"),
    ],
)
def test_a_training_that_was_cut_short_waits(overlay, out, checkpoint, note):
    under_way(out / "results" / "A" / "bert" / "seed42", age=FRESH + 1, checkpoint=checkpoint)
    found = cell(run_of(overlay), "A", "bert")
    assert (found.state, found.rows[0].job_state.note) == ("waiting", note)
    assert in_short(found) == "waiting 3/20 84.2"
    assert note in shown([found], [])


def test_failed_is_what_ended_with_an_error_and_names_its_log(overlay, out):
    log = write(
        out / "logs" / "train" / "A" / "bert" / "seed42.log",
        "train bert: epoch 1\nbioner: bert: found a\n",
    )
    found = cell(run_of(overlay), "A", "bert")
    assert in_short(found) == "failed"
    assert found.rows[0].job_state.note == f"{log}: bioner: bert: found a"


def test_a_failure_with_a_checkpoint_says_that_it_goes_on(overlay, out):
    under_way(out / "results" / "A" / "bert" / "seed42")
    log = write(out / "logs" / "train" / "A" / "bert" / "seed42.log", "bioner: no memory\n")
    row = cell(run_of(overlay), "A", "bert").rows[0]
    assert (row.state, row.job_state.note) == (
        "failed",
        f"{log}: bioner: no memory; cut short at epoch 3, goes on",
    )


def test_an_error_of_python_is_told_by_its_name_alone(overlay, out):
    """Its message may quote a sentence of a corpus that must not be shown."""
    job_state = "Traceback (most recent call last):\n  File x\nKeyError: 'a secret sentence'\n"
    write(out / "logs" / "predict" / "A" / "oracle" / "seed42" / "direct.log", job_state)
    found = cell(run_of(overlay), "A", "oracle")
    assert found.state == "failed"
    assert found.rows[0].job_state.note.endswith("direct.log: KeyError")
    assert "secret" not in shown([found], [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "train bert: epoch 1\n",
        (
            "bioner: bert: SIGTERM at step 8 of 24. A checkpoint is written; the same command goes"
            " on from there.\n"
        ),
    ],
)
def test_a_log_without_an_error_tells_of_no_failure(overlay, out, text):
    write(out / "logs" / "train" / "A" / "bert" / "seed42.log", text)
    assert cell(run_of(overlay), "A", "bert").state == "waiting"


def test_an_error_of_before_is_none_where_the_output_is_there_or_somebody_works(overlay, out):
    finished(out, "A")
    write(out / "logs" / "train" / "A" / "bert" / "seed42.log", "bioner: bad\n")
    write(out / "logs" / "train" / "B" / "bert" / "seed42.log", "bioner: bad\n")
    with FileLock(under_way(out / "results" / "B" / "bert" / "seed42")):
        run = run_of(overlay)
        assert (cell(run, "A", "bert").state, cell(run, "B", "bert").state) == ("done", "running")


def test_a_prediction_on_dev_that_failed_names_its_own_log(overlay, out):
    trained(out / "results" / "A" / "llama" / "seed42", 70.0)
    log = write(
        out / "logs" / "predict" / "A" / "llama" / "seed42" / "dev" / "constrained.log",
        "bioner: no memory\n",
    )
    row = cell(run_of(overlay), "A", "llama").rows[0]
    assert (row.stage, row.state, row.job_state.note) == (
        "predict dev",
        "failed",
        f"{log}: bioner: no memory",
    )


def test_shards_tell_how_far_an_llm_has_decoded(overlay, out):
    base = out / "results" / "A" / "llama" / "seed42"
    trained(base, 70.0)
    place = base / "free" / ".raw.jsonl.gz.shards"
    write_heartbeat(
        place / "0123" / "progress.json", JobProgress(shards=40, done=12, seconds_left=600.0)
    )
    before = place / "4567" / "progress.json"  # of a job with other settings, an hour ago
    write_heartbeat(before, JobProgress(shards=90, done=80, seconds_left=1.0))
    before.write_text(json.dumps(json.loads(before.read_text()) | {"at": time.time() - 3600}))
    lock = write(place.with_name(f"{place.name}.lock"))
    with FileLock(lock):
        row = cell(run_of(overlay), "A", "llama").rows[0]
    assert (row.stage, row.state, row.job_state.progress, row.job_state.dev_f1) == (
        "predict",
        "running",
        "12/40 shards",
        70.0,
    )
    assert row.left == pytest.approx(600, abs=5)
    with FileLock(lock):
        assert (
            in_short(cell(run_of(overlay), "A", "llama"))
            == "running predict 12/40 shards 70.0 ~10 min"
        )
    lock.unlink(missing_ok=True)
    row = cell(run_of(overlay), "A", "llama").rows[0]
    assert (row.state, row.job_state.note) == (
        "waiting",
        "cut short after 12 of 40 shards, goes on",
    )


@pytest.mark.parametrize(
    ("snakemake", "age", "state"),
    [
        (-60, 0, "running"),
        (None, 0, "waiting"),
        (-60, 120, "waiting"),
        (-3600, FRESH + 60, "waiting"),
    ],
)
def test_a_job_without_a_lock_runs_where_its_log_grows_under_a_snakemake_that_works(
    overlay, out, snakemake, age, state
):
    """Otherwise: no Snakemake, a log from before it began, or a log that is silent for long."""
    now = time.time()
    log = write(
        out / "logs" / "score" / "A" / "oracle" / "seed42" / "direct.log", "score: 3 of 9\n"
    )
    os.utime(log, (now - age, now - age))
    for name in ("raw.jsonl.gz", "predictions.jsonl", "alignment.csv"):
        write(out / "results" / "A" / "oracle" / "seed42" / "direct" / name)
    row = cell(run_of(overlay, None if snakemake is None else now + snakemake), "A", "oracle").rows[
        0
    ]
    assert (row.stage, row.state) == ("score", state)


def test_a_snakemake_that_works_is_known_by_its_locks(tmp_path):
    assert snakemake_since(tmp_path / "out") is None
    lock = write(tmp_path / ".snakemake" / "locks" / "0.output.lock")
    os.utime(lock, (5000, 5000))
    assert snakemake_since(tmp_path / "out") == snakemake_since(tmp_path / "runs" / "mine") == 5000
    left = write(tmp_path / ".snakemake" / "locks" / "0.input.lock")
    os.utime(left, (4000, 4000))
    assert snakemake_since(tmp_path / "out") == 5000
    left.unlink(), lock.unlink()
    assert snakemake_since(tmp_path / "out") is None


def test_a_search_is_as_far_as_its_trials(overlay, out):
    run = run_of(overlay, run_search=True)
    trials = list(run.matrix.models["bert"].trials())
    assert len(trials) == 3
    folder = out / "results" / "A" / "bert" / "trials"
    trained(folder / trials[0], 81.0)
    with FileLock(under_way(folder / trials[1])):
        row = cell(run, "A", "bert").rows[0]
        assert (row.stage, row.state, row.job_state.progress, row.job_state.dev_f1) == (
            "search",
            "running",
            "1/3 trials",
            84.2,
        )
        assert row.job_state.note == f"{trials[1]} 3/20"
    # One took 100 s, two take 300 + 2400 s each: 5500 / 3 s in the mean, as each seed will.
    sentences(out, "A", 50)
    with FileLock(under_way(folder / trials[1])), FileLock(under_way(folder / trials[2])):
        search, *seeds = cell(run, "A", "bert").rows
        assert search.left == pytest.approx(4800, abs=10)
        assert [(row.seed, row.stage, row.state) for row in seeds] == [
            (seed, "train", "waiting") for seed in (42, 43)
        ]
        assert [row.left for row in seeds] == [pytest.approx(5500 / 3, abs=1)] * 2
    for name in trials[1:]:
        trained(folder / name, 79.0)
        (folder / name / ".training.lock").unlink(missing_ok=True)
    row = cell(run, "A", "bert").rows[0]
    assert (row.state, row.job_state.progress, row.job_state.dev_f1) == (
        "waiting",
        "3/3 trials",
        81.0,
    )
    for name in ("search.csv", "winner.json"):
        (out / "results" / "A" / "bert" / name).touch()
    trained(out / "results" / "A" / "bert" / "seed42", 80.0)
    rows = cell(run, "A", "bert").rows
    assert [(row.seed, row.stage, row.state) for row in rows] == [
        (42, "predict", "waiting"),
        (43, "train", "waiting"),
    ], "a search that is done has no row"


def test_what_waits_takes_what_the_same_model_took_a_sentence(overlay, out):
    """100 s for 50 sentences are 2 s each: two seeds of 30 take 2 x 60 s. llama is unknown."""
    finished(out, "A")
    sentences(out, "B", 30)
    run = run_of(overlay)
    assert cell(run, "B", "bert").left == 120
    assert in_short(cell(run, "B", "bert")) == "waiting ~2 min"
    assert cell(run, "B", "llama").left is None
    told = shown(cells_of(run), [])
    assert (
        "Time left, as far as known: 2 min one after the other, for 1 of 5 cells that are not done"
        in told
    )


def test_a_model_that_learns_of_a_part_takes_the_time_of_that_part(overlay, out):
    """2 s per sentence, 10 of the other corpus's 30 sentences, two seeds: 2 x 20 s."""
    overlay.write_text(
        overlay.read_text().replace("like: bert-mini,", "like: bert-mini, train: {sentences: 10},")
    )
    finished(out, "A")
    sentences(out, "B", 30)
    assert cell(run_of(overlay), "B", "bert").left == 40


def test_a_failure_is_told_though_another_decoding_waits(overlay, out):
    trained(out / "results" / "A" / "llama" / "seed42", 70.0)
    log = "logs/predict/A/llama/seed42/constrained.log"
    write(out / log, "bioner: no memory\n")
    row = cell(run_of(overlay), "A", "llama").rows[0]
    assert (row.stage, row.state) == ("predict", "failed")
    assert row.job_state.note == f"{out / log}: bioner: no memory"


def test_a_cell_that_is_timed_says_so_until_its_times_are_there(overlay, out):
    finished(out, "A")
    write(out / "logs" / "time" / "A" / "bert.log", "bioner: no memory\n")
    assert in_short(cell(run_of(overlay), "A", "bert")) == "failed time 82.0"
    write(out / "results" / "A" / "bert" / "timing.csv")
    assert in_short(cell(run_of(overlay), "A", "bert")) == "done 82.0"


def test_a_training_that_runs_tells_what_its_other_seed_will_take(overlay, out):
    """The waiting seed takes 300 s + 2400 s for 90 sentences, the running one 2400 s more."""
    sentences(out, "A", 90)
    with FileLock(under_way(out / "results" / "A" / "bert" / "seed42")):
        assert cell(run_of(overlay), "A", "bert").left == pytest.approx(2400 + 2700, abs=10)


def test_a_corpus_that_is_not_at_hand_is_left_out(overlay, out):
    overlay.write_text(
        overlay.read_text().replace("datasets: [A, B]", "datasets: [A, Reddit-Impacts]")
    )
    run = run_of(overlay)
    assert {found.state for found in cells_of(run) if found.dataset == "Reddit-Impacts"} == {
        "left out"
    }
    assert "Reddit-Impacts is left out: " in shown(cells_of(run), [])
    (out / "data" / "Reddit-Impacts" / "raw").mkdir(parents=True)
    assert cell(run_of(overlay), "Reddit-Impacts", "bert").state == "waiting"


def test_what_cells_wait_for_is_told_where_it_failed(overlay, out):
    overlay.write_text(overlay.read_text().replace("like: bert-mini,", "like: biomedbert-large,"))
    log = write(out / "logs" / "fetch" / "A.log", "bioner: A: found a failed download\n")
    write(out / "logs" / "download_model" / "bert.log", "bioner: bert: found no connection\n")
    rows = material(run_of(overlay))
    assert [(row.dataset, row.model, row.stage, row.state) for row in rows] == [
        ("A", "", "fetch", "failed"),
        ("", "bert", "download_model", "failed"),
    ]
    assert f"{log}: bioner: A: found a failed download" in shown(cells_of(run_of(overlay)), rows)


def test_whatever_lies_there_is_no_error(overlay, out):
    """Files may be cut at any byte while they are replaced, or be somebody else's."""
    finished(out, "A")
    under_way(out / "results" / "B" / "bert" / "seed42")
    write(out / "logs" / "train" / "B" / "llama" / "seed42.log", "bioner: é\n")
    sentences(out, "B", 30)
    draw = random.Random(1)
    run = run_of(overlay)
    for path in sorted(out.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            for cut in {draw.randrange(len(content) + 1) for _ in range(4)}:
                path.write_bytes(content[:cut])
                assert shown(cells_of(run), material(run))
            path.write_bytes(b"\xff\x00{")
            assert shown(cells_of(run), material(run))
            path.write_bytes(content)
    assert in_short(cell(run_of(overlay), "A", "bert")) == "done 82.0"


def test_names_and_messages_stay_in_their_cells():
    told = r"| x\|y \| z  [31m |"
    rule = "|" + "-" * (len(told) - 2) + "|"
    assert as_markdown(pl.DataFrame({"a": ["x|y\n| z \x1b[31m"]})).splitlines() == [
        "| a" + " " * (len(told) - 5) + " |",
        rule,
        told,
    ]
    failed = JobState("failed", note="x|y\n| z \x1b[31m")
    row = StatusRow("A", "bert", 42, "train", failed)
    assert told.removeprefix("|") in shown([CellStatus("A", "bert", (row,))], [])


def test_the_command_shows_the_matrix_and_writes_a_row_a_seed(overlay, out, tmp_path):
    finished(out, "A")
    done = CliRunner().invoke(
        app, ["status", "--config", str(overlay), "--csv", str(tmp_path / "status.csv")]
    )
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].split() == ["|", "model", "|", "A", "|", "B", "|"]
    table = pl.read_csv(tmp_path / "status.csv", schema=STATUS)
    assert table.equals(status_table(cells_of(run_of(overlay)), []))
    of_bert = table.filter(dataset="A", model="bert")
    assert of_bert.select("seed", "stage", "state", "dev_strict_f1").rows() == [
        (42, "score", "done", 80.0),
        (43, "score", "done", 84.0),
    ]


def test_a_file_in_place_of_the_folder_is_told(overlay, tmp_path):
    path = write(tmp_path / "file")
    done = CliRunner().invoke(app, ["status", "--config", str(overlay), "--out", str(path)])
    assert isinstance(done.exception, InputError)
    assert "a run's output folder" in str(done.exception)


def test_what_fails_across_corpora_is_shown(overlay, out):
    settings = settings_of([overlay]).model_copy(update={"seeds": (42,)}).canonical()
    settings["cross"] = {"train": "A", "test": ["B"], "types": {"Disease": ["DPF"]}}
    run = replace(run_of(overlay), matrix=load_matrix(load_config(settings), []))
    trained(out / "results/A/bert/seed42", 80.0)
    scored(out, "A", "bert", 42)
    write(out / "results/A/bert/scores.csv")
    assert in_short(cell(run, "A", "bert")) == "done 80.0", "it only waits"
    assert material(run) == []
    (where,) = {log_of(job) for job in jobs_of(run.matrix, ["A", "B"]) if job.rule == "cross"}
    assert where == "logs/cross/A/B.log"
    write(out / where, "bioner: cross: types.Disease: found no DPF\n")
    (row,) = material(run)
    assert (row.dataset, row.stage, row.state) == ("A", "cross B", "failed")

"""A training cut short goes on where it was, and ends as if nothing had happened, bit for bit.

Most tests take a copy of one training that was cut short. What is slow proves once more, by a whole
training, what a cheaper test shows.
"""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import torch
from accelerate import PartialState
from transformers.trainer_utils import rotate_checkpoints

from bioner.errors import InputError, Interrupted
from bioner.training import checkpoints
from bioner.training.classifier import ClassifierDevScorer
from bioner.training.interrupts import Interrupts
from bioner.training.job import TrainingJob
from bioner.training.llm import DevScorer
from bioner.training.progress import Diverged, Progress, best_of, step_to_keep
from bioner.training.run import _source, train
from bioner.training.trainer import ResumableTrainer
from bioner.training.workspace import ASIDE, CLAIM, WORKSPACE, workspace_of
from tests.unit.training.helpers import (
    Crash,
    a_second_a_pass,
    at_step,
    crash,
    results,
    steps_at_hand,
    with_settings,
)

SLOW = pytest.mark.slow


@pytest.fixture
def left(cut_short, tmp_path) -> Path:
    """A copy of what a training left that died in its third epoch."""
    folder: Path = tmp_path / "left"
    shutil.copytree(cut_short, folder)
    assert steps_at_hand(folder) == [6, 12]
    return folder


def slow(*values: object) -> object:
    return pytest.param(*values, marks=SLOW)


@pytest.mark.parametrize("step", [slow(1), 6, 7, slow(9), slow(12), 24])
def test_a_training_that_died_goes_on_from_its_last_epoch(
    job, undisturbed, tmp_path, monkeypatch, step
):
    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, step, crash)
        train(job, tmp_path)
    train(job, tmp_path)
    assert results(tmp_path) == results(undisturbed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "model", "run.json"]
    assert json.loads((tmp_path / "run.json").read_text())["sessions"] == (2 if step > 6 else 1)


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (signal.SIGTERM, 1),
        (signal.SIGUSR1, 8),
        (signal.SIGTERM, 12),
        (signal.SIGUSR1, 23),
        (signal.SIGTERM, 24),
        slow(signal.SIGUSR1, 1),
        slow(signal.SIGTERM, 8),
        slow(signal.SIGUSR1, 12),
        slow(signal.SIGTERM, 23),
    ],
)
def test_a_signal_writes_a_checkpoint_first(job, undisturbed, tmp_path, monkeypatch, number, step):
    handler = signal.getsignal(number)
    with (
        monkeypatch.context() as patch,
        pytest.raises(Interrupted, match=f"{number.name} at step {step} of 24"),
    ):
        at_step(patch, step, lambda: signal.raise_signal(number))
        train(job, tmp_path)
    assert steps_at_hand(tmp_path)[-1] == step
    assert signal.getsignal(number) is handler
    train(job, tmp_path)
    assert results(tmp_path) == results(undisturbed)


def test_a_signal_at_the_very_end_is_too_late(job, undisturbed, tmp_path, monkeypatch):
    in_evaluation(monkeypatch, 4, lambda: signal.raise_signal(signal.SIGTERM), after=True)
    train(job, tmp_path)
    assert results(tmp_path) == results(undisturbed)


def test_a_signal_after_the_last_pass_on_dev_waits_for_no_step_of_the_next_epoch(
    job, tmp_path, monkeypatch
):
    in_evaluation(monkeypatch, 1, lambda: signal.raise_signal(signal.SIGTERM), after=True)
    with pytest.raises(Interrupted, match="SIGTERM at step 6 of 24"):
        train(job, tmp_path)
    newest = checkpoints.newest(tmp_path / WORKSPACE / "checkpoints")
    assert len(checkpoints.read_manifest(newest)["rows"]) == 1


def in_evaluation(monkeypatch, number, action, scorer=ClassifierDevScorer, *, after=False) -> None:
    """Do something in the evaluation of this number, before dev is scored or after."""
    count, scores = [0], scorer.scores

    def counted(*args):
        count[0] += 1
        here = count[0] == number
        if here and not after:
            action()
        found = scores(*args)
        if here and after:
            action()
        return found

    monkeypatch.setattr(scorer, "scores", counted)


def at_pass_on_dev(monkeypatch, number, action) -> None:
    """Do something in the pass of this number that evaluates dev, one per epoch here."""
    count, step = [0], ResumableTrainer.prediction_step

    def counted(*args, **kwargs):
        count[0] += 1
        if count[0] == number:
            action()
        return step(*args, **kwargs)

    monkeypatch.setattr(ResumableTrainer, "prediction_step", counted)


@pytest.mark.parametrize("epoch", [1, 3, slow(2), 4])
@pytest.mark.parametrize("kind", ["signal", "death"])
def test_a_training_that_ends_while_dev_is_evaluated_evaluates_first_when_it_resumes(
    job, undisturbed, tmp_path, monkeypatch, kind, epoch
):
    ends, action = {
        "signal": (Interrupted, lambda: signal.raise_signal(signal.SIGTERM)),
        "death": (Crash, crash),
    }[kind]
    with monkeypatch.context() as patch, pytest.raises(ends) as error:
        at_pass_on_dev(patch, epoch, action)
        train(job, tmp_path)
    if kind == "signal":
        assert "A checkpoint is written, dev is scored on resuming" in str(error.value)
    newest = checkpoints.newest(tmp_path / WORKSPACE / "checkpoints")
    record = checkpoints.read_manifest(newest)
    assert (newest.name, record["unscored"]) == (f"checkpoint-{6 * epoch}", True)
    assert len(record["rows"]) == epoch - 1
    trained = []
    at_step(monkeypatch, 1, lambda: trained.append("a step"))
    train(job, tmp_path)
    assert results(tmp_path) == results(undisturbed)
    assert bool(trained) == (epoch < 4), "no epoch is trained twice"


def test_early_stopping_also_works_when_dev_is_evaluated_on_resuming(job, tmp_path, monkeypatch):
    quick = replace(job, entry=job.entry.changed(train={"epochs": 30, "patience": 1}))
    train(quick, tmp_path / "undisturbed")
    epochs = len(results(tmp_path / "undisturbed")[1])
    assert epochs < 30
    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_pass_on_dev(patch, epochs, crash)
        train(quick, tmp_path / "run")
    at_step(monkeypatch, 1, lambda: pytest.fail("a step more was trained"))
    train(quick, tmp_path / "run")
    assert results(tmp_path / "run") == results(tmp_path / "undisturbed")


def test_a_signal_ends_the_decoding_of_dev_and_it_is_decoded_on_resuming(
    tiny_llm, sentences, tmp_path, monkeypatch
):
    lora = {"r": 4, "alpha": 8, "dropout": 0.1, "target_modules": ["q_proj", "v_proj"]}
    entry = with_settings(tiny_llm, lora=lora, train={"epochs": 3, "monitor_sentences": 2})
    llm = TrainingJob("tiny-llama", entry, sentences, sentences, 7)
    train(llm, tmp_path / "undisturbed")
    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="dev is scored on"):
        in_evaluation(patch, 2, lambda: signal.raise_signal(signal.SIGTERM), DevScorer)
        train(llm, tmp_path / "run")
    train(llm, tmp_path / "run")
    file = "adapter_model.safetensors"
    assert results(tmp_path / "run", file) == results(tmp_path / "undisturbed", file)


def test_a_checkpoint_of_an_earlier_version_has_its_scores(left, job, undisturbed):
    """It has no word on it, and was written after dev had been evaluated."""
    newest = checkpoints.newest(left / WORKSPACE / "checkpoints")
    record = checkpoints.read_manifest(newest)
    assert record.pop("unscored") is False
    checkpoints.replace_record(newest, record)
    train(job, left)
    assert results(left) == results(undisturbed)


def test_many_interruptions_are_as_good_as_none(job, undisturbed, tmp_path, monkeypatch):
    for _ in range(3):  # seven steps a session
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            at_step(patch, 7, lambda: signal.raise_signal(signal.SIGUSR1))
            train(job, tmp_path)
    train(job, tmp_path)
    assert results(tmp_path) == results(undisturbed)
    assert json.loads((tmp_path / "run.json").read_text())["sessions"] == 4


def test_death_while_a_checkpoint_is_written_falls_back_to_the_one_before(
    job, undisturbed, tmp_path, monkeypatch, caplog
):
    seal, seen = checkpoints.write_manifest, []

    def die_at_the_second(checkpoint, record):
        seen.append(checkpoint)
        if len(seen) == 2:
            raise Crash
        seal(checkpoint, record)

    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr("bioner.training.trainer.write_manifest", die_at_the_second)
        train(job, tmp_path)
    assert steps_at_hand(tmp_path) == [6, 12]
    train(job, tmp_path)
    assert "checkpoint-12 is broken (it was never finished)" in caplog.text
    assert results(tmp_path) == results(undisturbed)


FILES = ["model.safetensors", "optimizer.pt", "trainer_state.json", checkpoints.MANIFEST]
DAMAGES = ["cut", "flipped", "gone"]


def damaged(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x80
    {
        "cut": lambda: path.write_bytes(content[:100]),
        "flipped": lambda: path.write_bytes(content),
        "gone": path.unlink,
    }[damage]()


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_corrupted_checkpoint_is_found_and_removed(left, caplog, file, damage):
    folder = left / WORKSPACE / "checkpoints"
    damaged(folder / "checkpoint-12" / file, damage)
    checkpoints.remove_broken(folder)
    assert "checkpoint-12 is broken" in caplog.text
    assert steps_at_hand(left) == [6]
    assert checkpoints.newest(folder) == folder / "checkpoint-6"


def test_whole_checkpoints_stay(left, caplog):
    checkpoints.remove_broken(left / WORKSPACE / "checkpoints")
    assert steps_at_hand(left) == [6, 12]
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        (file, damage) if (file, damage) == ("model.safetensors", "flipped") else slow(file, damage)
        for file in FILES
        for damage in DAMAGES
    ],
)
def test_a_corrupted_checkpoint_falls_back_to_the_one_before(
    job, undisturbed, left, caplog, file, damage
):
    damaged(left / WORKSPACE / "checkpoints" / "checkpoint-12" / file, damage)
    train(job, left)
    assert "checkpoint-12 is broken" in caplog.text
    assert results(left) == results(undisturbed)


def test_when_no_checkpoint_is_sound_training_starts_over(job, undisturbed, left):
    for step in (6, 12):
        (left / WORKSPACE / "checkpoints" / f"checkpoint-{step}" / "optimizer.pt").write_bytes(b"")
    train(job, left)
    assert results(left) == results(undisturbed)


def test_early_stopping_is_remembered(job, tmp_path, monkeypatch):
    """Death between the checkpoint of the epoch that ended training and the outputs: not one epoch
    more is trained.
    """
    quick = replace(job, entry=job.entry.changed(train={"epochs": 30, "patience": 1}))
    train(quick, tmp_path / "undisturbed")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr("bioner.training.run._publish", lambda *_: crash())
        train(quick, tmp_path / "run")
    train(quick, tmp_path / "run")
    assert results(tmp_path / "run") == results(tmp_path / "undisturbed")
    assert len(results(tmp_path / "run")[1]) < 30


def test_checkpoints_of_other_settings_are_not_gone_on_from(
    job, undisturbed, tmp_path, monkeypatch, caplog
):
    other = replace(job, entry=job.entry.changed(train={"learning_rate": 2e-3}))
    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, 7, crash)
        train(other, tmp_path)
    assert steps_at_hand(tmp_path) == [6]
    with caplog.at_level("INFO"):
        train(job, tmp_path)
    assert "settings or data have changed since; starting over" in caplog.text
    assert results(tmp_path) == results(undisturbed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "model", "run.json"]


def test_another_job_s_checkpoints_go_once_this_one_has_its_own(job, tmp_path, monkeypatch):
    for rate in (2e-3, 1e-2):
        with monkeypatch.context() as patch, pytest.raises(Crash):
            at_step(patch, 7, crash)
            train(replace(job, entry=job.entry.changed(train={"learning_rate": rate})), tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [WORKSPACE]


def test_a_live_training_holds_the_newest_checkpoint_and_another_one(tmp_path):
    for step, second, expected in (
        (2, None, [2]),
        (4, 2, [2, 4]),
        (6, 2, [2, 6]),
        (8, None, [6, 8]),
    ):
        (tmp_path / f"checkpoint-{step}").mkdir()
        best = None if second is None else str(checkpoints.folder_of(tmp_path, second))
        rotate_checkpoints(str(tmp_path), 2, best)
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            f"checkpoint-{number}" for number in expected
        ]


@pytest.mark.parametrize(
    ("scores", "newest", "kept"),
    [
        ([], 4, None),  # a signal inside the first epoch
        ([30.0], 6, 6),
        ([30.0, 40.0], 12, 6),  # the newest is the best: the best before it
        ([40.0, 30.0], 12, 6),
        ([40.0, 20.0, 30.0], 18, 6),
        ([20.0, 30.0, 40.0], 18, 12),
        ([30.0, 20.0, 40.0], 18, 6),
        ([40.0, 30.0], 15, 6),  # a signal inside the third epoch
        ([30.0, 40.0], 15, 12),
    ],
)
def test_beside_the_newest_checkpoint_the_best_or_the_best_before_it_is_kept(scores, newest, kept):
    rows = [
        {"step": 6 * epoch, "dev_strict_f1": score, "dev_loss": 1.0}
        for epoch, score in enumerate(scores, 1)
    ]
    assert step_to_keep(rows, newest) == kept


def test_the_best_so_far_is_there_to_fall_back_to(observed):
    """Epochs 1, 2, 3 are the best when they end, or not: what lies there is the newest and the best
    before or at it.
    """
    rows = pl.read_csv(observed.folder / "history.csv").rows(named=True)
    assert len(observed.held) == len(rows) == 4
    assert observed.held[0] == [6]
    for number, held in enumerate(observed.held[1:], 2):
        best = best_of(rows[:number])["step"]
        newest = 6 * number
        before = best_of(rows[: number - 1])["step"]
        assert held == sorted({newest, best if best != newest else before})


def test_a_new_best_has_the_best_before_it_to_fall_back_to(job, tmp_path, monkeypatch):
    """Not the epoch before, if that was worse: without the best so far it would be of no use."""
    scores = iter((40.0, 30.0, 50.0))
    monkeypatch.setattr(
        "bioner.training.classifier.ClassifierDevScorer.scores",
        lambda *_: {"strict_f1": next(scores)},
    )
    at_step(monkeypatch, 19, crash)
    with pytest.raises(Crash):
        train(job, tmp_path)
    assert steps_at_hand(tmp_path) == [6, 18]


def test_where_the_last_epoch_is_kept_the_best_may_be_gone(job, tmp_path, monkeypatch, caplog):
    """The best of three epochs, the first, is not needed: training resumes from the third."""
    last = replace(job, entry=job.entry.changed(train={"keep_checkpoint": "last"}))
    scores = iter((50.0, 40.0, 30.0, 20.0))
    monkeypatch.setattr(
        "bioner.training.classifier.ClassifierDevScorer.scores",
        lambda *_: {"strict_f1": next(scores)},
    )
    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, 19, crash)
        train(last, tmp_path)
    assert steps_at_hand(tmp_path) == [12, 18]
    with caplog.at_level("INFO"):
        train(last, tmp_path)
    assert "going on from step 18" in caplog.text
    assert results(tmp_path)[2]["step"] == 24


@pytest.mark.parametrize("file", [slow("model.safetensors"), "optimizer.pt"])
def test_without_the_best_checkpoint_a_newer_one_is_of_no_use(
    job, tmp_path, monkeypatch, caplog, file
):
    worse = replace(
        job,
        entry=job.entry.changed(train={"epochs": 5, "patience": None, "learning_rate": 5e-2}),
    )
    train(worse, tmp_path / "undisturbed")
    best = results(tmp_path / "undisturbed")[2]["step"]
    assert best < 24, "for this test the best must come early"
    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, best + 7, crash)
        train(worse, tmp_path / "run")
    assert steps_at_hand(tmp_path / "run")[-2:] == [best, best + 6]
    (tmp_path / "run" / WORKSPACE / "checkpoints" / f"checkpoint-{best}" / file).write_bytes(b"")
    train(worse, tmp_path / "run")
    assert f"is of no use without checkpoint-{best}" in caplog.text
    assert results(tmp_path / "run") == results(tmp_path / "undisturbed")


def test_a_typo_between_two_sessions_costs_nothing(job, undisturbed, left, caplog):
    for changes in ({"train": {"optimizer": "adamw_troch"}}, {"max_length": 512}):
        with pytest.raises(InputError):
            train(replace(job, entry=with_settings(job.entry, **changes)), left)
        assert steps_at_hand(left) == [6, 12]
    with caplog.at_level("INFO"):
        train(job, left)
    assert "going on from step 12" in caplog.text
    assert results(left) == results(undisturbed)


@pytest.mark.parametrize(
    "gone",
    ["checkpoints", CLAIM, slow("source/model.safetensors"), slow("checkpoints/checkpoint-24")],
)
def test_death_while_the_workspace_is_removed_leaves_nothing_to_stumble_over(
    job, undisturbed, tmp_path, monkeypatch, gone
):
    """Whatever of it is gone already: the outputs are there, and the same command gives them
    again.
    """
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr("bioner.training.workspace._leave", lambda out, done: crash())
        train(job, tmp_path)
    path = tmp_path / WORKSPACE / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    (tmp_path / ".model.abc").mkdir()
    train(job, tmp_path)
    assert results(tmp_path) == results(undisturbed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "model", "run.json"]


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", checkpoints.MANIFEST])
def test_a_damaged_source_is_made_again(job, cut_short, left, file):
    before = {path.name: path.read_bytes() for path in (cut_short / WORKSPACE / "source").iterdir()}
    (left / WORKSPACE / "source" / file).write_bytes(b"{}")
    source = _source(job, left / WORKSPACE, PartialState())
    assert source == left / WORKSPACE / "source"
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before


@pytest.mark.slow
@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", checkpoints.MANIFEST])
def test_a_training_whose_source_was_damaged_ends_the_same(job, undisturbed, left, file):
    (left / WORKSPACE / "source" / file).write_bytes(b"{}")
    train(job, left)
    assert results(left) == results(undisturbed)


@pytest.mark.parametrize(
    ("name", "kind"), [("model", "file"), ("history.csv", "folder"), ("run.json", "folder")]
)
def test_what_lies_in_the_way_of_an_output_is_told_before_training(job, tmp_path, name, kind):
    (tmp_path / name).touch() if kind == "file" else (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: found something else"):
        train(job, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_out_folder_that_was_there_stays_and_hides_no_error(job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="max_length 512"):
        train(replace(job, entry=with_settings(job.entry, max_length=512)), Path())
    assert tmp_path.is_dir()


def test_no_second_of_any_session_is_forgotten(job, tmp_path, monkeypatch):
    """The clock is looked at every SILENCE seconds, here at every step: what a crash undid counts,
    too.
    """
    job = replace(job, entry=job.entry.changed(train={"epochs": 3}))
    monkeypatch.setattr("bioner.training.progress.SILENCE", -1)
    a_second_a_pass(monkeypatch)
    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, 11, crash)  # ten steps, of which the last four are lost with their epoch
        train(job, tmp_path)
    train(job, tmp_path)
    history = pl.read_csv(tmp_path / "history.csv")
    assert history["seconds"].to_list() == [6, 10 + 6, 10 + 12]
    assert json.loads((tmp_path / "run.json").read_text())["wall_seconds"] == 22
    tokens = history["tokens_per_second"]
    assert tokens.n_unique() == 1, "the same number of tokens in six seconds, resumed or not"


def test_an_llm_goes_on_from_its_last_epoch_too(tiny_llm, sentences, tmp_path, monkeypatch):
    lora = {"r": 4, "alpha": 8, "dropout": 0.1, "target_modules": ["q_proj", "v_proj"]}
    entry = with_settings(tiny_llm, lora=lora, train={"epochs": 3})
    llm = TrainingJob("tiny-llama", entry, sentences, sentences, 7)
    train(llm, tmp_path / "undisturbed")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, 4, crash)
        train(llm, tmp_path / "run")
    train(llm, tmp_path / "run")
    weights = [
        (tmp_path / name / "model" / "adapter_model.safetensors").read_bytes()
        for name in ("run", "undisturbed")
    ]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("data", [{"train": "other"}, {"dataset": "other"}])
def test_checkpoints_from_other_data_are_not_gone_on_from(job, left, caplog, data):
    claim = json.loads((left / WORKSPACE / CLAIM).read_text())
    with (
        caplog.at_level("INFO"),
        pytest.raises(Crash),
        workspace_of(replace(job, data=data), left) as workspace,
    ):
        assert "starting over" in caplog.text
        assert steps_at_hand(left) == [], "a workspace of its own"
        assert json.loads((workspace / CLAIM).read_text()) == claim | {"data": data}
        assert (left / ASIDE / "checkpoints" / "checkpoint-12").is_dir()
        crash()
    assert steps_at_hand(left) == [6, 12], (
        "cut short before its first checkpoint, it gives the others' back"
    )


def test_another_job_that_is_killed_before_its_first_checkpoint_costs_nothing(
    job, left, monkeypatch
):
    """After kill -9 the earlier job finds its checkpoints where they were put aside."""
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr("bioner.training.workspace._leave", lambda out, done: None)
        with workspace_of(replace(job, seed=8), left):
            crash()
    assert steps_at_hand(left) == []
    with pytest.raises(Crash), workspace_of(job, left):
        assert steps_at_hand(left) == [6, 12]
        crash()
    assert steps_at_hand(left) == [6, 12]


def test_what_checkpoints_depend_on(job, tmp_path, monkeypatch):
    """Anything that may change a weight is part of a job's identity; prediction settings are
    not.
    """

    def identity(of: TrainingJob) -> str:
        return json.dumps(of.identity(), sort_keys=True)

    source = tmp_path / "source"
    source.mkdir()
    (source / "model.safetensors").write_text("one")
    local = replace(
        job, entry=with_settings(job.entry, source={"hub": str(source), "scratch": None})
    )
    jobs = [
        *(job, local, replace(job, name="other"), replace(job, seed=8), replace(job, processes=2)),
        *(
            replace(job, data={"train": "other"}),
            replace(job, train=job.train[1:]),
            replace(job, dev=job.dev[1:]),
        ),
        *(
            replace(job, entry=with_settings(job.entry, **change))
            for change in ({"max_length": 16}, {"train": {"epochs": 9}})
        ),
    ]
    found = [identity(one) for one in jobs]
    (source / "model.safetensors").write_text("another")
    found.append(identity(local))
    assert identity(replace(job, entry=job.entry.changed(predict={"batch_size": 1}))) == found[0]
    monkeypatch.setattr("bioner.training.job.version", lambda package: "another")
    found.append(identity(job))
    assert len(set(found)) == len(found)


def test_a_signal_to_any_process_lets_all_of_them_leave(monkeypatch):
    """A process that stayed would wait for the others forever at the next step."""
    monkeypatch.setattr(
        "bioner.training.interrupts.PartialState", lambda: SimpleNamespace(num_processes=2)
    )
    sent = []

    def reduced(mine, others):
        sent.append(mine)
        return mine + torch.tensor(others)

    interrupts = Interrupts("tiny")
    interrupts.progress = Progress("tiny")
    for mine, others, expected in (
        (None, 0, None),
        (None, 1, signal.SIGTERM),
        (signal.SIGUSR1, 0, signal.SIGUSR1),
        (signal.SIGUSR1, 1, signal.SIGUSR1),
    ):
        monkeypatch.setattr(
            "bioner.training.interrupts.reduce",
            lambda mine, how, others=others: reduced(mine, [others, 0.5]),
        )
        interrupts.came = mine
        assert interrupts.anywhere(torch.device("cpu"), 3) == expected
    for loss in (float("nan"), float("inf")):
        monkeypatch.setattr(
            "bioner.training.interrupts.reduce",
            lambda mine, how, loss=loss: reduced(mine, [0, loss]),
        )
        with pytest.raises(Diverged, match=f"a loss of {loss} at or before step 3"):
            interrupts.anywhere(torch.device("cpu"), 3)
    assert len(sent) == 6, "one reduction for both"


@pytest.mark.slow
@pytest.mark.parametrize("data", [{"train": "other"}, {"dataset": "other"}])
def test_a_training_on_other_data_starts_over(job, undisturbed, left, caplog, data):
    with caplog.at_level("INFO"):
        train(replace(job, data=data), left)
    assert "starting over" in caplog.text
    assert results(left) == results(undisturbed)


def test_a_signal_saves_no_loss_that_is_no_number(job, tmp_path, monkeypatch):
    add_loss, loss = Progress.add_loss, [1.0]

    def poisoned():
        loss[0] = float("nan")
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Progress, "add_loss", lambda self, value: add_loss(self, value * loss[0]))
    at_step(monkeypatch, 8, poisoned)
    with pytest.raises(InputError, match="a loss of nan at or before step 8"):
        train(job, tmp_path)
    assert steps_at_hand(tmp_path) == [6]


def test_two_trainings_in_one_folder_are_refused(job, tmp_path, monkeypatch):
    def another():
        with pytest.raises(InputError, match="another process that trains here"):
            train(job, tmp_path)
        crash()

    with monkeypatch.context() as patch, pytest.raises(Crash):
        at_step(patch, 3, another)
        train(job, tmp_path)

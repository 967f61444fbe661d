"""Out of memory: once more with half as many sentences a forward pass, and the batch as it is."""

import json
from dataclasses import replace

import polars as pl
import pytest
import torch

from bioner.errors import InputError
from bioner.training.job import TrainingJob
from bioner.training.run import _within_memory, train
from bioner.training.search import rank, read_trial
from bioner.training.trainer import ResumableTrainer
from tests.unit.training.helpers import DATA, Crash, job_of


def out_of_memory_above(monkeypatch, most: int) -> list[int]:
    """Forward passes with more than `most` sentences fail as on a full GPU."""
    sizes, step = [], ResumableTrainer.training_step

    def limited(self, model, inputs, *args, **kwargs):
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return step(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(ResumableTrainer, "training_step", limited)
    return sizes


def test_out_of_memory_halves_the_forward_pass_and_keeps_the_batch(
    tiny_encoder, sentences, tmp_path, monkeypatch, caplog
):
    sizes = out_of_memory_above(monkeypatch, 2)
    train(job_of(tiny_encoder, sentences * 4, train={"batch_size": 4}), tmp_path)
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["micro_batch_size"], run["accumulation"]) == (2, 2)
    assert pl.read_csv(tmp_path / "history.csv")["step"].to_list() == [3, 6], (
        "as many optimiser steps"
    )
    assert (sizes[0], max(sizes[1:])) == (4, 2)
    assert "out of memory; half as many sentences a forward pass, the batch as it is" in caplog.text


def test_a_second_time_out_of_memory_is_the_end(tiny_encoder, sentences, tmp_path, monkeypatch):
    out_of_memory_above(monkeypatch, 1)
    with pytest.raises(
        InputError, match=r"no memory for 4, nor for 2 sentences a forward pass.*micro_batch_size"
    ):
        train(job_of(tiny_encoder, sentences * 4, train={"batch_size": 4}), tmp_path)


def test_several_processes_do_not_try_again_out_of_memory(tiny_encoder, sentences, tmp_path):
    def full(_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    job = replace(job_of(tiny_encoder, sentences, train={"batch_size": 8}), processes=2)
    with pytest.raises(InputError, match="no memory for 4 sentences a forward pass"):
        _within_memory(full, job, tmp_path / "note")
    assert not (tmp_path / "note").exists()


def test_a_trial_that_ran_out_of_memory_is_still_one_of_its_search(
    tiny_encoder, sentences, tmp_path, monkeypatch
):
    for size in (2, 4):
        with monkeypatch.context() as patch:
            out_of_memory_above(patch, 2)
            entry = tiny_encoder.changed(train={"batch_size": size})
            train(
                TrainingJob(
                    "tiny", entry, sentences * 4, sentences, 7, data=DATA, searched=["batch_size"]
                ),
                tmp_path / f"b{size}",
            )
    ranked = rank([read_trial(tmp_path / name) for name in ("b2", "b4")])
    assert len(ranked) == 2
    assert not list(tmp_path.glob("*/model"))


def test_a_resumed_training_remembers_that_memory_was_short(
    tiny_encoder, sentences, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        sizes = out_of_memory_above(patch, 2)
        limited = ResumableTrainer.training_step

        def dies(self, *args, **kwargs):
            if len(sizes) > 8:
                raise Crash
            return limited(self, *args, **kwargs)

        patch.setattr(ResumableTrainer, "training_step", dies)
        with pytest.raises(Crash):
            train(job_of(tiny_encoder, sentences * 4, train={"batch_size": 4}), tmp_path)
    train(job_of(tiny_encoder, sentences * 4, train={"batch_size": 4}), tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["micro_batch_size"] == 2


def test_memory_that_is_shorter_still_in_a_later_session_is_told(tiny_encoder, sentences, tmp_path):
    def full(_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    (tmp_path / "note").touch()
    with pytest.raises(InputError, match="no memory for 4 sentences a forward pass"):
        _within_memory(
            full, job_of(tiny_encoder, sentences, train={"batch_size": 8}), tmp_path / "note"
        )


def test_half_a_sentence_is_no_forward_pass(tiny_encoder, sentences, tmp_path, monkeypatch):
    out_of_memory_above(monkeypatch, 0)
    with pytest.raises(InputError, match="no memory for 1 sentences a forward pass"):
        train(job_of(tiny_encoder, sentences, train={"batch_size": 1}), tmp_path)


def test_another_error_is_not_taken_for_one_of_memory(
    tiny_encoder, sentences, tmp_path, monkeypatch
):
    def broken(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr(ResumableTrainer, "training_step", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        train(job_of(tiny_encoder, sentences), tmp_path)

"""Out of memory: again with half as many sentences per forward pass, and the same batch. `auto`
finds the most that fit before training.
"""

import json
from dataclasses import replace

import polars as pl
import pytest
import torch
from transformers import BertModel, Trainer

from bioner.errors import InputError
from bioner.training.job import TrainingJob
from bioner.training.run import train
from bioner.training.search import rank, read_trial
from bioner.training.trainer import ResumableTrainer, is_out_of_memory
from bioner.training.workspace import WORKSPACE
from tests.unit.training.helpers import DATA, Crash, at_step, crash, job_of, results


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
    assert "out of memory with 4 sentences per forward pass; 2 from now on" in caplog.text


def test_passes_are_halved_until_they_fit(tiny_encoder, sentences, tmp_path, monkeypatch):
    sizes = out_of_memory_above(monkeypatch, 1)
    train(job_of(tiny_encoder, sentences * 4, train={"batch_size": 12}), tmp_path)
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["micro_batch_size"], run["accumulation"]) == (1, 12)
    assert list(dict.fromkeys(sizes)) == [12, 6, 3, 1]


def test_out_of_memory_with_one_sentence_is_an_error(
    tiny_encoder, sentences, tmp_path, monkeypatch
):
    out_of_memory_above(monkeypatch, 0)
    with pytest.raises(InputError, match="out of memory with 1 sentences per forward pass"):
        train(job_of(tiny_encoder, sentences * 4, train={"batch_size": 2}), tmp_path)
    assert not (tmp_path / WORKSPACE).exists(), "more memory is used where there is some"


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


@pytest.fixture
def on_a_device(monkeypatch) -> None:
    """The CPU counts as a device whose memory can be tried."""
    monkeypatch.setattr("bioner.training.trainer.has_own_memory", lambda _: True)


def out_of_memory_in_the_model_above(monkeypatch, most: int) -> list[int]:
    """The model itself fails on more than `most` rows."""
    rows, forward = [], BertModel.forward

    def limited(self, input_ids=None, **kwargs):
        if self.training:
            rows.append(len(input_ids))
            if rows[-1] > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return forward(self, input_ids, **kwargs)

    monkeypatch.setattr(BertModel, "forward", limited)
    return rows


AUTO = {"batch_size": 8, "micro_batch_size": "auto", "epochs": 2, "learning_rate": 1e-2}


def test_auto_takes_the_largest_size_that_fits_and_trains_as_if_it_were_set(
    tiny_encoder, sentences, tmp_path, monkeypatch, on_a_device, caplog
):
    many = sentences * 4
    with monkeypatch.context() as patch:
        asked = out_of_memory_in_the_model_above(patch, 3)
        train(job_of(tiny_encoder, many, train=AUTO | {"micro_batch_size": 2}), tmp_path / "asked")
    rows = out_of_memory_in_the_model_above(monkeypatch, 3)
    train(job_of(tiny_encoder, many, train=AUTO), tmp_path / "found")
    assert rows[:3] == [8, 4, 2]
    assert rows[3:] == asked
    assert "from now on" not in caplog.text, "nothing runs out of memory in training"
    runs = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("asked", "found")]
    assert [(run["micro_batch_size"], run["accumulation"]) for run in runs] == [(2, 4)] * 2
    assert runs[1]["settings"]["train"]["micro_batch_size"] == "auto"
    assert results(tmp_path / "asked") == results(tmp_path / "found"), "dropout draws the same"


@pytest.mark.parametrize("family", ["llm", "llm-head"])
def test_auto_tries_with_activation_checkpointing_if_training_has_it(
    tiny_llm, sentences, tmp_path, monkeypatch, on_a_device, family
):
    fits, found = ResumableTrainer._fits, []
    monkeypatch.setattr(
        ResumableTrainer, "_fits", lambda self, size: found.append(fits(self, size)) or found[-1]
    )
    train_settings = AUTO | {"epochs": 1, "activation_checkpointing": True}
    lora = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": ["q_proj"]}
    settings = {"family": family, "lora": lora, "train": train_settings}
    settings["predict"] = {"weights": "as-trained"}
    train(job_of(tiny_llm, sentences * 4, **settings), tmp_path)
    assert found == [True]


def test_several_gpus_take_what_fits_on_all(
    tiny_encoder, sentences, tmp_path, monkeypatch, on_a_device
):
    monkeypatch.setattr("bioner.training.trainer.gather_object", lambda fitting: [*fitting, 2])
    train(job_of(tiny_encoder, sentences * 4, train=AUTO | {"epochs": 1}), tmp_path)
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["micro_batch_size"], run["accumulation"]) == (2, 4)


def test_a_trial_has_the_longest_examples_and_all_that_training_holds(
    tiny_encoder, sentences, tmp_path, monkeypatch, on_a_device
):
    fits, step, empty = ResumableTrainer._fits, Trainer.training_step, torch.empty_like
    held, widths, without_gradient = [], [], []

    def tried(self, micro):
        trained = [values for values in self.model.parameters() if values.requires_grad]

        def noted(self, model, inputs, count):
            widths.append((inputs["input_ids"].shape[1], max(self.lengths)))
            without_gradient.extend(values for values in trained if values.grad is None)
            return step(self, model, inputs, count)

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "training_step", noted)
            patch.setattr(
                torch, "empty_like", lambda like: held.append(like.numel()) or empty(like)
            )
            found = fits(self, micro)
        assert sum(held) == 2 * sum(values.numel() for values in trained), "AdamW's moments"
        assert all(values.grad is None for values in trained), "nothing is left of it"
        return found

    monkeypatch.setattr(ResumableTrainer, "_fits", tried)
    train(job_of(tiny_encoder, sentences * 4, train=AUTO | {"epochs": 1}), tmp_path)
    ((width, longest),) = widths
    assert width == longest
    assert without_gradient == []


def test_auto_on_the_cpu_is_the_whole_batch(tiny_encoder, sentences, tmp_path, monkeypatch):
    rows = out_of_memory_in_the_model_above(monkeypatch, 99)
    train(job_of(tiny_encoder, sentences * 4, train=AUTO | {"epochs": 1}), tmp_path)
    assert rows == [8, 4]
    assert json.loads((tmp_path / "run.json").read_text())["micro_batch_size"] == 8


def test_a_resumed_training_does_not_search_for_the_micro_batch_again(
    tiny_encoder, sentences, tmp_path, monkeypatch, on_a_device
):
    with monkeypatch.context() as patch, pytest.raises(Crash):
        out_of_memory_in_the_model_above(patch, 4)
        at_step(patch, 5, crash)
        train(job_of(tiny_encoder, sentences * 4, train=AUTO), tmp_path)
    rows = out_of_memory_in_the_model_above(monkeypatch, 99)
    train(job_of(tiny_encoder, sentences * 4, train=AUTO), tmp_path)
    assert max(rows) == 4
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["sessions"], run["micro_batch_size"]) == (2, 4)


def test_after_out_of_memory_the_size_found_by_auto_is_halved(
    tiny_encoder, sentences, tmp_path, monkeypatch, on_a_device
):
    out_of_memory_in_the_model_above(monkeypatch, 4)
    sizes = out_of_memory_above(monkeypatch, 2)  # training takes more than the trial did
    train(job_of(tiny_encoder, sentences * 4, train=AUTO), tmp_path)
    assert list(dict.fromkeys(sizes)) == [4, 2]
    assert json.loads((tmp_path / "run.json").read_text())["micro_batch_size"] == 2


@pytest.mark.parametrize(
    ("settings", "processes", "sizes"),
    [
        ({"batch_size": 32, "micro_batch_size": "auto"}, 2, [16, 8, 4, 2, 1]),
        ({"batch_size": 24}, 1, [24, 12, 6, 3, 1]),
        ({"batch_size": 30, "micro_batch_size": 5}, 2, [5, 1]),
        ({"batch_size": 30, "micro_batch_size": "auto"}, 2, [15, 5, 1]),
    ],
)
def test_sizes_that_are_tried_divide_the_batch(tiny_encoder, sentences, settings, processes, sizes):
    job = replace(job_of(tiny_encoder, sentences, train=settings), processes=processes)
    assert job.micro_batches() == sizes
    assert {job.with_micro_batch(size).batches()[0] for size in sizes} == set(sizes)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"), True),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
    ],
)
def test_out_of_memory_is_recognised_in_the_words_of_each_library(error, expected):
    assert is_out_of_memory(error) == expected


def test_another_error_is_not_taken_for_one_of_memory(
    tiny_encoder, sentences, tmp_path, monkeypatch
):
    def broken(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr(ResumableTrainer, "training_step", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        train(job_of(tiny_encoder, sentences), tmp_path)

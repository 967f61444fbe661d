"""Tiny models through the whole of training and prediction, on the CPU, with the code that trains
the real ones.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from transformers import TrainingArguments

from bioner.data.instances import entity_types
from bioner.data.raw_outputs import Generated, Tagged
from bioner.data.tags import tag_set, violation
from bioner.errors import InputError
from bioner.inference.predict import PredictionJob, load_predictor, predict, predict_to
from bioner.models.llm import load_trained
from bioner.models.pretrained import load_token_classifier
from bioner.realignment.realign import realign, realign_all
from bioner.scoring.score import headline_f1
from bioner.training.job import TrainingJob
from bioner.training.progress import HISTORY
from bioner.training.run import sample, train
from bioner.training.trainer import training_arguments
from tests.unit.training.helpers import with_settings

LORA = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": ["q_proj", "v_proj", "down_proj"]}


def test_an_encoder_leaves_weights_history_and_provenance(trained_encoder, sentences):
    history = pl.read_csv(trained_encoder / "history.csv")
    assert history["epoch"].to_list() == [1.0, 2.0]
    assert history.columns == list(HISTORY)
    run = json.loads((trained_encoder / "run.json").read_text())
    assert run["labels"] == tag_set(entity_types(sentences))
    assert run["seed"] == 7
    assert run["versions"]["torch"].startswith("2.13.0")
    assert run["settings"]["train"]["batch_size"] == 2
    assert sorted(path.name for path in trained_encoder.iterdir()) == [
        "history.csv",
        "model",
        "run.json",
    ]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    tiny_encoder, sentences, trained_encoder, tmp_path
):
    weights = {}
    for seed in (7, 8):
        train(
            TrainingJob("tiny-bert", tiny_encoder, sentences, sentences, seed), tmp_path / str(seed)
        )
        weights[seed] = (tmp_path / str(seed) / "model" / "model.safetensors").read_bytes()
    assert weights[7] == (trained_encoder / "model" / "model.safetensors").read_bytes()
    assert weights[7] != weights[8]


def test_an_encoder_s_raw_output_tags_every_subword_of_every_sentence(
    tiny_encoder, sentences, trained_encoder
):
    outputs = predict("tiny-bert", tiny_encoder, sentences, [], trained_encoder / "model", "direct")
    assert [output.id for output in outputs] == ["s1", "s2", "s3"]
    for output, instance in zip(outputs, sentences, strict=True):
        assert isinstance(output, Tagged)
        assert set(output.words) == set(range(len(instance.tokens)))
        assert set(output.tags) <= set(tag_set(entity_types(sentences)))
        assert {tag for (tag,) in output.alternatives[0]} == set(tag_set(entity_types(sentences)))
        for word, ((number, values),) in enumerate(output.log_probs):
            assert number == 0
            assert np.exp(values).sum() == pytest.approx(1, abs=2e-3)
            tags = {
                tag for tag, place in zip(output.tags, output.words, strict=True) if place == word
            }
            if len(tags) == 1:  # the pieces agree
                chosen = output.alternatives[0].index([*tags])
                assert values[chosen] == max(values), "rounded, others may equal it"


def test_batches_do_not_change_an_encoder_s_tags(tiny_encoder, sentences, trained_encoder):
    predictor = load_predictor("tiny-bert", tiny_encoder, trained_encoder / "model", "direct")
    assert predictor(sentences, 1) == predictor(sentences, 3)


def test_free_decoding_keeps_what_the_model_wrote(tiny_llm, sentences, trained_llm):
    entry = with_settings(tiny_llm, predict={"tokens_per_word": 3})
    outputs = predict("tiny-llama", entry, sentences, [], trained_llm / "model", "free")
    assert [output.id for output in outputs] == ["s1", "s2", "s3"]
    budget = 3 * max(len(instance.tokens) for instance in sentences)
    assert all(isinstance(output, Generated) and output.new_tokens <= budget for output in outputs)


def test_forced_decoding_writes_the_input_s_words_with_one_legal_tag_each(
    tiny_llm, sentences, trained_llm
):
    legal = frozenset(tag_set(entity_types(sentences)))
    for instance, output in zip(
        sentences,
        predict("tiny-llama", tiny_llm, sentences, [], trained_llm / "model", "constrained"),
        strict=True,
    ):
        lines = output.text.rstrip("\n").split("\n")
        assert [line.rpartition(":")[0] for line in lines] == instance.tokens
        assert {line.rpartition(":")[2] for line in lines} <= legal
        assert output.stopped
        prediction, alignment = realign(instance, output, legal)
        assert alignment.exact == len(instance.tokens)
        assert violation(prediction.tags) is None


@pytest.mark.parametrize("decoding", ["constrained", "free-paper"])
def test_an_llm_decodes_as_the_entry_and_the_seed_say(
    tiny_llm, sentences, trained_llm, tmp_path, decoding
):
    model = Path(shutil.copytree(trained_llm / "model", tmp_path / "model"))
    path = model / "generation_config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"do_sample": True, "temperature": 0.5})
    )
    entry = with_settings(
        tiny_llm, predict={"tokens_per_word": 1, "draft_length": 5, "legal_transitions": True}
    )
    job = PredictionJob("tiny-llama", entry, sentences, sentences, model, decoding, seed=11)
    predict_to(job, tmp_path / "raw.jsonl", tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())
    expected = {
        "constrained": {"draft_length": 5, "legal_transitions": True, "draft": "table"},
        "free-paper": {"generation_seed": 11, "seed": 11},
    }[decoding]
    assert {name: run[name] for name in expected} == expected
    if decoding == "free-paper":
        assert run["generation"]["temperature"] == 0.5


@pytest.mark.parametrize(
    ("precision", "weights", "paper", "expected"),
    [
        ("bf16", "merged", False, (torch.bfloat16, False, False)),
        ("bf16", "as-trained", False, (torch.float32, True, False)),
        ("bf16", "merged", True, (torch.float32, False, True)),
        ("fp32", "merged", False, (torch.float32, False, False)),
    ],
)
def test_an_encoder_tags_in_the_precision_it_was_trained_in(
    tiny_encoder, sentences, trained_encoder, monkeypatch, precision, weights, paper, expected
):
    seen = []

    def tag(model, *given):
        seen.append((model.dtype, torch.is_autocast_enabled("cpu"), given[4]))
        return []

    monkeypatch.setattr("bioner.models.encoder.tag", tag)
    entry = with_settings(
        tiny_encoder, train={"precision": precision}, predict={"weights": weights}
    )
    load_predictor("tiny-bert", entry, trained_encoder / "model", "direct", paper=paper)(
        sentences, 2
    )
    assert seen == [expected], "number format, autocast, padding"


def test_batches_do_not_change_forced_tags(tiny_llm, sentences, trained_llm):
    predictor = load_predictor("tiny-llama", tiny_llm, trained_llm / "model", "constrained")
    assert predictor(sentences, 1) == predictor(sentences, 3)


def test_decoding_is_greedy_even_where_the_model_ships_with_sampling_on(
    tiny_llm, sentences, trained_llm, tmp_path
):
    entry = with_settings(tiny_llm, predict={"tokens_per_word": 3})
    model = Path(shutil.copytree(trained_llm / "model", tmp_path / "model"))
    path = model / "generation_config.json"
    greedy = predict("tiny-llama", entry, sentences, [], model, "free")
    sampling = {"do_sample": True, "temperature": 5.0, "top_p": 0.9}
    path.write_text(json.dumps(json.loads(path.read_text()) | sampling))
    assert load_trained(model, entry)[0].generation_config.do_sample
    assert predict("tiny-llama", entry, sentences, [], model, "free") == greedy


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_lora_trains_adapters_on_a_base_in_full_or_4_bit_precision(
    tiny_llm, sentences, tmp_path, quantization
):
    entry = with_settings(tiny_llm, lora=LORA, quantization=quantization)
    train(TrainingJob("tiny-llama", entry, sentences, sentences, 7), tmp_path)
    model = tmp_path / "model"
    run = json.loads((tmp_path / "run.json").read_text())
    # One layer, d = 64: q and v are 64 x 64, down is 64 x 64; each adapter has 4 x (64 + 64)
    # weights.
    assert run["trained_parameters"] == 3 * 4 * (64 + 64)
    assert (
        json.loads((model / "adapter_config.json").read_text())["base_model_name_or_path"] == "base"
    )
    outputs = predict("tiny-llama", entry, sentences, [], model, "constrained")
    assert [output.text.count("\n") for output in outputs] == [
        len(instance.tokens) for instance in sentences
    ]


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_training_stops_early_and_ends_with_the_best_or_the_last_epoch_s_weights(
    tiny_encoder, sentences, tmp_path, checkpoint
):
    # This learning rate is too high on purpose: the score falls after its first rise.
    changes = {"epochs": 12, "patience": 2, "learning_rate": 5e-3, "keep_checkpoint": checkpoint}
    entry = with_settings(tiny_encoder, train=changes)
    train(TrainingJob("tiny-bert", entry, sentences, sentences, 7), tmp_path)
    scores = pl.read_csv(tmp_path / "history.csv")["dev_strict_f1"].to_list()
    assert len(scores) < 12
    assert scores[-1] < max(scores)
    outputs = predict("tiny-bert", entry, sentences, [], tmp_path / "model", "direct")
    predictions, _ = realign_all(sentences, outputs, None)
    assert headline_f1(sentences, predictions)["strict"] == pytest.approx(
        {"best": max(scores), "last": scores[-1]}[checkpoint]
    )


def test_the_best_epoch_is_kept_without_early_stopping_too(tiny_encoder, sentences, tmp_path):
    entry = with_settings(
        tiny_encoder, train={"epochs": 6, "patience": None, "learning_rate": 5e-3}
    )
    train(TrainingJob("tiny-bert", entry, sentences, sentences, 7), tmp_path)
    scores = pl.read_csv(tmp_path / "history.csv")["dev_strict_f1"].to_list()
    assert len(scores) == 6
    assert scores[-1] < max(scores)
    predictions, _ = realign_all(
        sentences, predict("tiny-bert", entry, sentences, [], tmp_path / "model", "direct"), None
    )
    assert headline_f1(sentences, predictions)["strict"] == pytest.approx(max(scores))


def test_one_process_drives_one_gpu_however_many_are_visible(
    tiny_encoder, sentences, tmp_path, monkeypatch
):
    def eight_visible(arguments):
        arguments._n_gpu = 8
        return torch.device("cpu")

    monkeypatch.setattr(TrainingArguments, "_setup_devices", property(eight_visible))
    entry = with_settings(tiny_encoder, train={"batch_size": 16})
    arguments = training_arguments(
        TrainingJob("tiny-bert", entry, sentences, sentences, 7), tmp_path, 4
    )
    assert arguments.train_batch_size * arguments.gradient_accumulation_steps == 16


def test_the_optimiser_does_as_the_entry_says(tiny_encoder, sentences, tmp_path):
    changes = {
        "learning_rate": 3e-4,
        "weight_decay": 0.3,
        "warmup_ratio": 0.25,
        "optimizer": "adafactor",
        "epochs": 2.5,
    }
    entry = with_settings(tiny_encoder, train=changes)
    arguments = training_arguments(
        TrainingJob("tiny-bert", entry, sentences, sentences, 7), tmp_path, 4
    )
    told = (
        arguments.learning_rate,
        arguments.weight_decay,
        arguments.warmup_steps,
        arguments.num_train_epochs,
    )
    assert told == (3e-4, 0.3, 0.25, 2.5)
    assert (arguments.optim, arguments.lr_scheduler_type, arguments.seed) == (
        "adafactor",
        "linear",
        7,
    )


@pytest.mark.parametrize("split", ["train", "dev"])
def test_an_empty_split_is_refused(tiny_encoder, sentences, tmp_path, split):
    splits = {"train": sentences, "dev": sentences} | {split: []}
    with pytest.raises(InputError, match=f"{split} split: found no instance"):
        train(
            TrainingJob("empty", tiny_encoder, splits["train"], splits["dev"], 7), tmp_path / "run"
        )


def test_a_train_split_without_an_entity_is_refused(tiny_encoder, sentences):
    empty = [replace(item, tags=["O"] * len(item.tags)) for item in sentences]
    with pytest.raises(InputError, match=r"train split: found no entity in 3 sentences"):
        TrainingJob("empty", tiny_encoder, empty, sentences, 7)


def test_a_folder_that_is_no_trained_model_is_a_clear_error(tiny_llm, sentences, tmp_path):
    with pytest.raises(InputError, match=r"no bioner.json; expected the folder of a trained LLM"):
        predict("tiny-llama", tiny_llm, sentences, [], tmp_path, "free")


def test_half_precision_checkpoints_are_trained_in_full(trained_encoder, tmp_path):
    load_token_classifier(trained_encoder / "model").half().save_pretrained(tmp_path)
    assert load_token_classifier(tmp_path).dtype == torch.float32


def test_a_missing_gpu_is_named_before_anything_is_loaded(tiny_encoder, sentences, tmp_path):
    entry = with_settings(
        tiny_encoder, source={"hub": "no/such", "scratch": None}, resources={"gpus": 64}
    )
    with pytest.raises(InputError, match=r"CUDA GPUs; expected 64"):
        train(TrainingJob("big", entry, sentences, sentences, 7), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_that_cannot_be_loaded_is_a_clear_error(tiny_encoder, sentences, tmp_path):
    entry = with_settings(tiny_encoder, source={"hub": str(tmp_path / "nowhere"), "scratch": None})
    with pytest.raises(InputError, match="no such folder"):
        train(TrainingJob("lost", entry, sentences, sentences, 7), tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()


def test_batch_settings_that_do_not_divide_are_refused(tiny_encoder, sentences, tmp_path):
    entry = with_settings(tiny_encoder, train={"batch_size": 3, "micro_batch_size": 2})
    with pytest.raises(InputError, match="whole number of accumulation steps"):
        train(TrainingJob("odd", entry, sentences, sentences, 7), tmp_path / "run")


def test_a_sample_is_fixed_by_the_seed_and_keeps_the_corpus_order(sentences):
    corpus = [replace(sentences[0], id=f"{number:02}") for number in range(30)]
    chosen = {seed: [item.id for item in sample(corpus, 5, seed)] for seed in (3, 4, 5)}
    assert [item.id for item in sample(corpus, 5, seed=3)] == chosen[3]
    assert len(set(map(tuple, chosen.values()))) == 3, "another seed, another sample"
    for ids in chosen.values():
        assert len(set(ids)) == 5
        assert ids == sorted(ids)
    assert sample(sentences, None, seed=3) == sample(sentences, 99, seed=3) == sentences

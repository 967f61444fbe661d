"""The shipped configurations of LLMs, run on small stand-ins of the models that they name."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedTokenizerFast,
)

from bioner.errors import InputError
from bioner.inference.predict import predict
from bioner.realignment.realign import realign_all
from bioner.settings.catalogue import load_models, parse_entry
from bioner.settings.config import Configuration, load_config, merged
from bioner.settings.model_entry import ModelEntry
from bioner.settings.repository import REPOSITORY
from bioner.settings.yaml_files import read_yaml
from bioner.training.job import TrainingJob
from bioner.training.run import train
from tests.unit.training.helpers import SMALL


def catalogue(name: str) -> tuple[Configuration, dict[str, ModelEntry]]:
    """A shipped configuration, and the models as it has them."""
    config = load_config(read_yaml(REPOSITORY / "config" / f"{name}.yaml"))
    return config, load_models(config)


def trained(name, entry, source, sentences, folder) -> dict:
    """Outputs of that model, on the CPU, by every way of decoding that it has; free answers are
    short.
    """
    few = {"train": {"epochs": 1, "batch_size": 2, "micro_batch_size": 1}}
    here = {
        "source": {"hub": str(source)},
        "resources": {"gpus": 0, "predict_gpus": 0, "threads": 1},
    }
    changes = merged(few, here) | {"search_space": None, "predict": {"tokens_per_word": 2}}
    if entry.lora:
        changes["lora"] = {"r": entry.lora.r // 8, "alpha": entry.lora.alpha // 8}
    small = parse_entry(ModelEntry, name, merged(entry.canonical(), changes))
    train(TrainingJob(name, small, sentences, sentences, 7), folder)
    ways = ["free", "constrained"] if entry.family == "llm" else ["direct"]
    return {way: predict(name, small, sentences, [], folder / "model", way) for way in ways}


ABLATIONS, ABLATED = catalogue("ablations")


# Like r16 and r256, which stand for other ranks.
RANKS = ("mistral-7b-r32", "mistral-7b-r64")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in RANKS)) for name in ABLATIONS.models],
)
def test_every_ablation_runs(name, mistral, sentences, tmp_path):
    outputs = trained(name, ABLATED[name], mistral, sentences, tmp_path)
    for way, rows in outputs.items():
        assert [row.id for row in rows] == ["s1", "s2", "s3"]
        if way == "constrained":
            _, alignments = realign_all(sentences, rows, None)
            assert sum(row.dropped + row.illegal_tags for row in alignments) == 0


def test_an_ablation_changes_one_thing():
    base = ABLATED["mistral-7b"]
    changed = {
        name: {key for key, value in base if getattr(ABLATED[name], key) != value}
        for name in ABLATIONS.models
        if "head" not in name
    }
    assert changed.pop("mistral-7b") == set()
    # Training all weights is one thing, which takes other settings; and other disk, which is what
    # its costs say.
    assert changed.pop("mistral-7b-full") == {"lora", "quantization", "train", "cost_estimates"}
    assert {frozenset(keys) for keys in changed.values()} == {
        frozenset({key}) for key in ("verbalizer", "train", "lora", "quantization")
    }
    losses = {ABLATED[name].train.loss for name in ABLATIONS.models}
    assert losses == {"tags", "response", "all"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"mine": {"like": "mistral"}},
            r"model_overrides.mine.like: found the unknown model 'mistral'.*Did you mean",
        ),
        ({"llama-8b": {"like": "mistral-7b"}}, r"`like` and a model 'llama-8b' of the catalogue"),
        ({"mine": {"lora": {"r": 16}}}, r"unknown model 'mine'"),
    ],
)
def test_what_a_new_model_is_like_must_be_known_and_its_name_free(settings, said):
    with pytest.raises(InputError, match=said):
        load_models(load_config({"model_overrides": settings}))


QUICK, SMALL_MODELS = catalogue("quick")


def small_bert(folder: Path, sentences: list) -> Path:
    """Four layers and WordPiece, as google/bert_uncased_L-4_H-512_A-8 has them."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [" ".join(item.tokens).lower() for item in sentences]
    tokenizer.train_from_iterator(
        words, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special)
    )
    names = dict(
        zip(
            ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True
        )
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    fast.save_pretrained(folder)
    sizes = {
        "hidden_size": 32,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "num_hidden_layers": 4,
    }
    config = AutoConfig.for_model("bert", vocab_size=len(fast), **sizes)
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    return folder


def small_smollm(folder: Path, sentences: list) -> Path:
    """Llama's architecture with tied embeddings, byte-level BPE, chat tokens for ends: as
    SmolLM2-135M-Instruct.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator([" ".join(item.tokens) for item in sentences], trainer)
    ends = {"bos_token": special[1], "eos_token": special[2], "pad_token": special[2]}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **ends)
    fast.save_pretrained(folder)
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    config = AutoConfig.for_model(
        "llama", **SMALL, **ids, vocab_size=len(fast), tie_word_embeddings=True
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "make"), [("bert-small", small_bert), ("smollm2-135m", small_smollm)]
)
def test_the_models_of_the_quick_configuration_load_and_run(name, make, sentences, tmp_path):
    assert name in QUICK.models
    assert "/" in SMALL_MODELS[name].source.hub, "by hub id"
    outputs = trained(
        name, SMALL_MODELS[name], make(tmp_path / "hub", sentences), sentences, tmp_path / "run"
    )
    assert all([row.id for row in rows] == ["s1", "s2", "s3"] for rows in outputs.values())


def test_the_quick_configuration_has_one_corpus_one_seed_and_no_search():
    assert (len(QUICK.datasets), len(QUICK.seeds)) == (1, 1)
    assert all(SMALL_MODELS[name].search_space is None for name in QUICK.models)

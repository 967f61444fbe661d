"""Weights and adapters of LLMs: loaded as they were saved, and what is none of either refused."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from bioner.errors import InputError
from bioner.models import adapters, pretrained
from bioner.models.llm import load_trained
from bioner.models.pretrained import load_tokenizer
from bioner.settings.catalogue import parse_entry
from bioner.settings.model_entry import ModelEntry
from bioner.training.job import TrainingJob
from bioner.training.model_card import write_card
from bioner.training.run import train
from tests.unit.training.helpers import Crash, crash, job_of, recipe, stand_in, with_settings


@pytest.fixture(scope="module")
def adapted(llama, sentences, tmp_path_factory) -> Path:
    """The output folder of a training of adapters; read only."""
    folder: Path = tmp_path_factory.mktemp("adapted")
    train(
        TrainingJob("tiny", recipe("llama-8b", llama, quantization=None), sentences, sentences, 7),
        folder,
    )
    return folder


@pytest.fixture
def model(adapted, tmp_path) -> Path:
    """A copy of its model, to damage."""
    return Path(shutil.copytree(adapted / "model", tmp_path / "model"))


@pytest.mark.parametrize(
    ("family", "kind"), [("llm", "AutoModelForCausalLM"), ("llm-head", "AutoModel")]
)
def test_the_model_card_says_how_to_load_the_adapter(
    family, kind, adapted, llama, sentences, tmp_path
):
    folder = adapted
    if family == "llm-head":
        folder = tmp_path / "run"
        entry = recipe("llama-8b", llama, quantization=None, family=family)
        train(TrainingJob("tiny", entry, sentences, sentences, 7), folder)
    run = json.loads((folder / "run.json").read_text())
    run["settings"]["source"]["hub"] = "owner/name"
    write_card(tmp_path, run, parse_entry(ModelEntry, "tiny", run["settings"]))
    card = (tmp_path / "README.md").read_text()
    assert f'base = {kind}.from_pretrained("owner/name", revision="main"' in card
    assert 'PeftModel.from_pretrained(base, "THIS FOLDER")' in card
    assert ("head.safetensors" in card) == (family == "llm-head")
    assert "| LoRA | rank 128, alpha 256, dropout 0.05, on q_proj" in card
    assert not re.search(r"{{|{%|None|undefined", card)


@pytest.mark.parametrize("family", ["encoder", "llm", "llm-head"])
def test_tokenizer_and_weights_are_those_of_the_commit_that_was_noted(
    family, tiny_encoder, llama, sentences, tmp_path, monkeypatch
):
    asked, tokenizer = [], load_tokenizer(llama)

    def loaded(load: Callable, source: str, revision: str | None, **_: object) -> object:
        asked.append((source, revision))
        if len(asked) == 2:  # the tokenizer comes first
            crash()
        return tokenizer

    monkeypatch.setattr(pretrained, "_loaded", loaded)
    source = {"hub": "owner/name", "revision": "c0ffee", "scratch": None}
    entry = tiny_encoder if family == "encoder" else recipe("llama-8b", llama, family=family)
    with pytest.raises(Crash):
        train(
            TrainingJob("tiny", with_settings(entry, source=source), sentences, sentences, 7),
            tmp_path / "run",
        )
    assert asked == [("owner/name", "c0ffee")] * 2


def test_a_wrong_folder_is_told_apart(model, llama, mistral):
    entry, folder = recipe("llama-8b", llama, quantization=None), model
    with pytest.raises(
        InputError, match=rf"trained from {llama}; expected one trained from {mistral}"
    ):
        load_trained(folder, recipe("llama-8b", mistral))
    for changes, said in [
        ({"lora": None}, r'a model trained with lora \{"r": 128.*expected null, as the entry says'),
        ({"family": "llm-head"}, 'trained with family "llm"; expected "llm-head"'),
        ({"verbalizer": "letters"}, 'trained with verbalizer "names"; expected "letters"'),
        ({"quantization": "nf4"}, 'trained with quantization null; expected "nf4"'),
    ]:
        with pytest.raises(InputError, match=said):
            load_trained(folder, with_settings(entry, **changes))
    weights = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(weights[:1000])
    with pytest.raises(InputError, match="an adapter that does not fit"):
        load_trained(folder, entry)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(
        InputError, match=r"no adapter_model.safetensors; expected the weights of an adapter"
    ):
        load_trained(folder, entry)


def test_an_adapter_with_more_or_less_than_its_base_takes_is_refused(model, llama):
    path = model / "adapter_model.safetensors"
    saved = load_file(path)
    lacking = dict(list(saved.items())[1:])
    for tensors in (lacking, saved | {"base_model.model.more.lora_A.weight": torch.zeros(2, 2)}):
        save_file(tensors, path)
        with pytest.raises(InputError, match=r"an adapter that does not fit \(base_model.model"):
            load_trained(model, recipe("llama-8b", llama, quantization=None))


def test_weights_that_lack_are_not_drawn_at_random(sentences, tmp_path):
    source = stand_in(tmp_path / "source", "llama", sentences)
    saved = load_file(source / "model.safetensors")
    del saved["model.layers.0.mlp.up_proj.weight"]
    save_file(saved, source / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        InputError, match=r"weights without model.layers.0.mlp.up_proj.weight; expected all"
    ):
        train(
            TrainingJob("tiny", recipe("llama-8b", source), sentences, sentences, 7),
            tmp_path / "run",
        )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"target_modules": ["q_proj", "nonsense"]},
            r"lora.target_modules: found 'nonsense'; expected names of modules.*up_proj",
        ),
        ({"target_modules": []}, r"lora.target_modules = \[\]; expected at least 1"),
        (
            {"target_modules": ["all-linear", "lm_head"]},
            r"lora.target_modules: found all-linear and names; expected either",
        ),
        (
            {"target_modules": ["input_layernorm"]},
            r"lora: found what makes no adapters \(Target module",
        ),
        ({"modules_to_save": ["nonsense"]}, r"lora.modules_to_save: found 'nonsense'"),
        ({"modules_to_save": ["q_proj"]}, "lora: found what makes no adapters"),
    ],
)
def test_adapters_that_cannot_be_made_are_told(llama, sentences, tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        train(
            TrainingJob("tiny", recipe("llama-8b", llama, lora=changes), sentences, sentences, 7),
            tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_an_output_layer_that_is_the_embeddings_gets_no_adapter(sentences, tmp_path, caplog):
    source = stand_in(tmp_path / "source", "llama", sentences, tie_word_embeddings=True)
    entry = recipe("llama-8b", source)
    train(TrainingJob("tiny", entry, sentences, sentences, 7), tmp_path / "run")
    assert (
        "lora: no adapter on lm_head: output layer and embeddings share their weights"
        in caplog.text
    )
    folder = tmp_path / "run" / "model"
    assert not any("lm_head" in name for name in load_file(folder / "adapter_model.safetensors"))
    assert load_trained(folder, entry)


def test_an_adapter_is_no_base(adapted, sentences, tmp_path):
    with pytest.raises(InputError, match=r"an adapter; expected a whole model.*bioner merge"):
        train(
            TrainingJob("tiny", recipe("llama-8b", adapted / "model"), sentences, sentences, 7),
            tmp_path / "two",
        )


def test_whole_weights_are_trained_in_full_precision_unless_told_otherwise_and_loaded_as_saved(
    tiny_llm, sentences, tmp_path
):
    for weights in ("fp32", "bf16"):
        settings = {"precision": "bf16"} | ({} if weights == "fp32" else {"param_dtype": weights})
        train(job_of(tiny_llm, sentences, train=settings), tmp_path / weights)
        expected = {{"fp32": torch.float32, "bf16": torch.bfloat16}[weights]}
        saved = load_file(tmp_path / weights / "model" / "model.safetensors")
        assert {tensor.dtype for tensor in saved.values()} == expected
        model = load_trained(tmp_path / weights / "model", tiny_llm.changed(train=settings))[0]
        assert {parameter.dtype for parameter in model.parameters()} == expected


def test_adapters_are_trained_in_full_precision_on_a_base_in_half(llama):
    base = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.bfloat16)
    model = adapters.with_adapter(base, recipe("llama-8b", llama))
    kinds = {(parameter.requires_grad, parameter.dtype) for parameter in model.parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}

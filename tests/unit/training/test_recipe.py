"""The paper's recipe: what the catalogue says of the real LLMs, and that it runs in four bits."""

import json
from functools import partial

import polars as pl
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig

from bioner.errors import InputError
from bioner.inference.predict import predict
from bioner.models.adapters import trained_parameters, with_adapter
from bioner.models.pretrained import load_causal_lm, load_llm_classifier
from bioner.settings.catalogue import parse_entry
from bioner.settings.model_entry import ModelEntry
from bioner.training.job import TrainingJob
from bioner.training.run import train
from tests.unit.training.helpers import CATALOGUE, Crash, at_step, crash, recipe, results, stand_in

# The published sizes: https://huggingface.co/mistralai/Mistral-7B-Instruct-v0.3 and
# meta-llama/Llama-3.1-8B-Instruct.
WIDE = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}


REAL = {
    "mistral-7b": (MistralConfig(**WIDE, intermediate_size=14336, vocab_size=32768), 340_262_912),
    "llama-8b": (LlamaConfig(**WIDE, intermediate_size=14336, vocab_size=128256), 352_485_376),
}


@pytest.mark.parametrize("name", REAL)
def test_the_adapters_of_the_real_models_have_as_many_parameters_as_the_paper_s(name):
    configuration, expected = REAL[name]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(configuration)
        assert trained_parameters(with_adapter(model, CATALOGUE[name])) == expected


def test_by_default_every_linear_layer_but_the_output_layer_has_an_adapter():
    configuration, with_output = REAL["mistral-7b"]
    entry = parse_entry(
        ModelEntry, "tiny", {"family": "llm", "source": {"hub": "a/b"}, "lora": {"r": 128}}
    )
    with torch.device("meta"):
        model = with_adapter(AutoModelForCausalLM.from_config(configuration), entry)
    assert trained_parameters(model) == with_output - 128 * (4096 + 32768)


@pytest.mark.parametrize("name", REAL)
def test_the_catalogue_has_the_paper_s_recipe(name):
    entry = CATALOGUE[name]
    train, lora = entry.train, entry.lora
    assert (entry.quantization, entry.max_length, train.precision) == ("nf4", 2048, "bf16")
    assert (lora.r, lora.alpha, lora.dropout, len(lora.target_modules)) == (
        128,
        256,
        0.05,
        8,
    )
    assert (train.batch_size, train.epochs, train.patience) == (32, 20, 3)
    assert (train.optimizer, train.activation_checkpointing) == ("paged_adamw_8bit", True)
    assert (entry.searched(), entry.resources.gpus) == (
        {"learning_rate": (2e-5, 4e-5)},
        2,
    )


@pytest.mark.parametrize(
    ("name", "architecture"),
    [pytest.param("mistral-7b", "mistral", marks=pytest.mark.slow), ("llama-8b", "llama")],
)
def test_the_recipe_runs_in_four_bits_and_leaves_an_adapter_alone(
    request, name, architecture, sentences, tmp_path
):
    source = request.getfixturevalue(architecture)
    entry = recipe(name, source)
    train(TrainingJob(name, entry, sentences, sentences, 7), tmp_path / "run")
    folder = tmp_path / "run" / "model"
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    saved = load_file(folder / "adapter_model.safetensors")
    assert {key.rsplit(".", 2)[1] for key in saved} == {"lora_A", "lora_B"}, (
        "no copy of the output layer"
    )
    assert sum(tensor.numel() for tensor in saved.values()) == run["trained_parameters"]
    settings = json.loads((folder / "adapter_config.json").read_text())
    assert (settings["base_model_name_or_path"], settings["revision"]) == (str(source), "main")
    assert run["kept"]["dev_strict_f1"] is not None
    bare = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(source), str(folder))
    assert "lora_A" in dict(bare.named_modules())["base_model.model.lm_head"]._modules
    answers = predict(name, entry, sentences, [], folder, "constrained")
    assert [answer.text.count("\n") for answer in answers] == [
        len(item.tokens) for item in sentences
    ]


@pytest.mark.parametrize("family", ["llm", "llm-head"])
def test_the_base_is_in_four_bits_twice_quantised_and_the_rest_in_half_precision(family, llama):
    entry = recipe("llama-8b", llama, family=family)
    load = (
        partial(load_llm_classifier, labels=["O", "B-x"])
        if family == "llm-head"
        else load_causal_lm
    )
    model = load(llama, entry, 0)
    prefix = "decoder" if family == "llm-head" else "model"
    layer = model.get_submodule(f"{prefix}.layers.0.mlp.up_proj")
    assert (layer.weight.quant_state.quant_type, layer.weight.quant_state.nested) == ("nf4", True)
    if family == "llm-head":
        assert {values.dtype for values in model.head.parameters()} == {torch.float32}
        model = model.decoder
    assert model.get_input_embeddings().weight.dtype == torch.bfloat16
    task = "FEATURE_EXTRACTION" if family == "llm-head" else "CAUSAL_LM"
    adapted = with_adapter(model, entry, task=task)
    assert {values.dtype for values in adapted.parameters() if values.requires_grad} == {
        torch.float32
    }


def test_an_output_layer_of_another_name_is_not_in_four_bits(sentences, tmp_path):
    source = stand_in(tmp_path / "source", "modernbert-decoder", sentences)
    model = load_causal_lm(source, recipe("llama-8b", source), 0)
    assert type(model.decoder) is torch.nn.Linear
    assert type(model.model.layers[0].mlp.Wo) is not torch.nn.Linear


@pytest.mark.parametrize("number", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_four_bits_and_an_eight_bit_optimiser_go_on_where_they_were(
    llama, sentences, tmp_path, monkeypatch, number
):
    entry = recipe("llama-8b", llama, train={"epochs": 2, "batch_size": 2, "patience": None})
    job = TrainingJob("tiny", entry, sentences, sentences, 7)
    train(job, tmp_path / "undisturbed")
    with monkeypatch.context() as patched, pytest.raises(Crash):
        at_step(patched, number, crash)
        train(job, tmp_path / "run")
    train(job, tmp_path / "run")
    first, second = (
        results(tmp_path / name, "adapter_model.safetensors") for name in ("undisturbed", "run")
    )
    assert first == second
    assert json.loads((tmp_path / "run" / "run.json").read_text())["sessions"] == 2


def test_four_bits_go_on_learning_after_dev_was_decoded(llama, sentences, tmp_path):
    settings = {
        "epochs": 4,
        "learning_rate": 1e-2,
        "patience": None,
        "precision": "fp32",
        "optimizer": "adamw_torch",
    }
    train(
        TrainingJob("tiny", recipe("llama-8b", llama, train=settings), sentences, sentences, 7),
        tmp_path,
    )
    losses = pl.read_csv(tmp_path / "history.csv")["train_loss"].to_list()
    assert losses[-1] < losses[2] < losses[1]


def test_four_bits_without_bitsandbytes_are_refused_with_a_remedy(
    llama, sentences, tmp_path, monkeypatch
):
    monkeypatch.setattr("bioner.models.pretrained.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"nf4 and no bitsandbytes.*envs/gpu.txt"):
        train(
            TrainingJob("tiny", recipe("llama-8b", llama), sentences, sentences, 7),
            tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()

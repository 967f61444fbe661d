"""What is particular to training LLMs: the paper's recipe, where the loss is taken, dev by forced decoding."""

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig

from bioner.catalogue import complete_entry, load_catalogue
from bioner.config import load_config, merged
from bioner.decoding.forced import ForcedDecoder
from bioner.errors import InputError
from bioner.instances import entity_types
from bioner.models import adapters
from bioner.models.adapters import trained_parameters, with_adapter
from bioner.models.hub import load_causal_lm, load_llm_classifier, load_tokenizer
from bioner.models.llm import load_trained
from bioner.models.spelling import Spelling, make_room
from bioner.predict import predict
from bioner.realignment.realign import realign_all
from bioner.scoring.score import headline_f1
from bioner.tags import tag_set
from bioner.training import llm
from bioner.training import loss as loss_of_lines
from bioner.training.card import write_card
from bioner.training.dev import Dev
from bioner.training.job import Job
from bioner.training.llm import LineTrainer
from bioner.training.loss import summed_loss
from bioner.training.progress import Progress
from bioner.training.run import train
from tests.conftest import instance
from tests.unit.training.helpers import Crash, at_step, crash, job_of, results, stand_in

CATALOGUE = load_catalogue("models", load_config({}))
# The published sizes: https://huggingface.co/mistralai/Mistral-7B-Instruct-v0.3 and meta-llama/Llama-3.1-8B-Instruct.
WIDE = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8}
REAL = {
    "mistral-7b": (MistralConfig(**WIDE, intermediate_size=14336, vocab_size=32768), 340_262_912),
    "llama-8b": (LlamaConfig(**WIDE, intermediate_size=14336, vocab_size=128256), 352_485_376),
}


def recipe(name: str, source: Path, **changes) -> dict:
    """The catalogue's entry of a real model, on a small one and on the CPU."""
    small = {
        "source": {"hub": str(source), "revision": "main"},
        "resources": {"gpus": 0, "predict_gpus": 0, "threads": 1},
    }
    few = {"train": {"epochs": 1, "batch_size": 4, "micro_batch_size": 2, "learning_rate": 1e-3}}
    return complete_entry("models", name, merged(CATALOGUE[name], merged(merged(small, few), changes)))


@pytest.mark.parametrize("name", REAL)
def test_the_adapters_of_the_real_models_have_as_many_parameters_as_the_paper_s(name):
    configuration, expected = REAL[name]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(configuration)
        assert trained_parameters(with_adapter(model, CATALOGUE[name])) == expected


@pytest.mark.parametrize("name", REAL)
def test_the_catalogue_has_the_paper_s_recipe(name):
    entry = CATALOGUE[name]
    train, lora = entry["train"], entry["lora"]
    assert (entry["quantization"], entry["max_length"], train["precision"]) == ("nf4", 2048, "bf16")
    assert (lora["r"], lora["alpha"], lora["dropout"], len(lora["targets"])) == (128, 256, 0.05, 8)
    assert (train["batch_size"], train["epochs"], train["patience"]) == (32, 20, 3)
    assert (train["optimizer"], train["checkpointing"]) == ("paged_adamw_8bit", True)
    assert (entry["search"], entry["resources"]["gpus"]) == ({"learning_rate": [2e-5, 4e-5]}, 2)


@pytest.mark.parametrize(("name", "architecture"), [("mistral-7b", "mistral"), ("llama-8b", "llama")])
def test_the_recipe_runs_in_four_bits_and_leaves_an_adapter_alone(name, architecture, sentences, tmp_path):
    source = stand_in(tmp_path / "source", architecture, sentences)
    entry = recipe(name, source)
    train(Job(name, entry, sentences, sentences, 7), tmp_path / "run")
    folder = tmp_path / "run" / "model"
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    saved = load_file(folder / "adapter_model.safetensors")
    assert {key.rsplit(".", 2)[1] for key in saved} == {"lora_A", "lora_B"}, "no copy of the output layer"
    assert sum(tensor.numel() for tensor in saved.values()) == run["trained_parameters"]
    settings = json.loads((folder / "adapter_config.json").read_text())
    assert (settings["base_model_name_or_path"], settings["revision"]) == (str(source), "main")
    assert run["kept"]["dev_strict_f1"] is not None
    bare = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(source), str(folder))
    assert "lora_A" in dict(bare.named_modules())["base_model.model.lm_head"]._modules
    answers = predict(name, entry, sentences, [], folder, "forced")
    assert [answer.text.count("\n") for answer in answers] == [len(item.tokens) for item in sentences]


@pytest.mark.parametrize(("family", "kind"), [("llm", "CausalLM"), ("llm-head", "TokenClassification")])
def test_the_model_card_says_how_to_load_the_adapter(family, kind, sentences, tmp_path):
    source = stand_in(tmp_path / "source", "llama", sentences)
    entry = recipe("llama-8b", source, quantization=None, family=family)
    train(Job("tiny", entry, sentences, sentences, 7), tmp_path / "run")
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    run["settings"]["source"]["hub"] = "owner/name"
    write_card(tmp_path, run)
    card = (tmp_path / "README.md").read_text()
    assert f'AutoModelFor{kind}.from_pretrained("owner/name", revision="main"' in card
    assert 'PeftModel.from_pretrained(base, "THIS FOLDER")' in card
    assert ("num_labels=7" in card) == (family == "llm-head")
    assert "| LoRA | rank 128, alpha 256, dropout 0.05, on q_proj" in card
    assert not re.search(r"{{|{%|None|undefined", card)


class Reference(LineTrainer):
    """The loss as transformers computes it, from all logits."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        ours = super().compute_loss(model, dict(inputs), num_items_in_batch=num_items_in_batch)
        theirs = model(**inputs, num_items_in_batch=num_items_in_batch, use_cache=False).loss
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
        self.compared = getattr(self, "compared", 0) + 1
        return (theirs, {"loss": theirs}) if return_outputs else theirs


@pytest.mark.parametrize("at_once", [3, 1024])
@pytest.mark.parametrize("loss", ["tags", "response", "all"])
def test_the_loss_is_transformers_loss_on_the_same_labels(tiny_llm, sentences, tmp_path, monkeypatch, loss, at_once):
    monkeypatch.setattr(loss_of_lines, "LOGITS_AT_ONCE", at_once)
    train(job_of(tiny_llm, sentences, train={"loss": loss, "batch_size": 2}), tmp_path / "ours")
    made = []

    class Noted(Reference):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            made.append(self)

    monkeypatch.setattr(llm, "LineTrainer", Noted)
    train(job_of(tiny_llm, sentences, train={"loss": loss, "batch_size": 2}), tmp_path / "theirs")
    assert made[0].compared >= 3
    weights = [load_file(tmp_path / whose / "model" / "model.safetensors") for whose in ("ours", "theirs")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-4, atol=1e-5)


def test_dev_is_scored_as_predictions_are(tiny_llm, sentences, tmp_path):
    entry = merged(tiny_llm, {"train": {"epochs": 3, "learning_rate": 1e-2, "checkpoint": "last"}})
    train(Job("tiny", entry, sentences, sentences, 7), tmp_path)
    answers = predict("tiny", entry, sentences, [], tmp_path / "model", "forced")
    predictions, _ = realign_all(sentences, answers, frozenset(tag_set(entity_types(sentences))))
    last = pl.read_csv(tmp_path / "history.csv").row(-1, named=True)
    expected = headline_f1(sentences, predictions)
    assert last["dev_strict_f1"] == pytest.approx(expected["strict"])
    assert last["dev_relaxed_f1"] == pytest.approx(expected["relaxed"])
    assert expected["relaxed"] > 0


def test_the_best_epoch_by_f1_is_kept_and_ends_training(tiny_llm, sentences, tmp_path, monkeypatch):
    scores = iter([10.0, 30.0, 20.0, 25.0])
    monkeypatch.setattr(Dev, "scores", lambda *_: {"strict_f1": next(scores), "relaxed_f1": 50.0})
    train(job_of(tiny_llm, sentences, train={"epochs": 9, "patience": 2}), tmp_path)
    assert pl.read_csv(tmp_path / "history.csv")["dev_strict_f1"].to_list() == [10.0, 30.0, 20.0, 25.0]
    assert json.loads((tmp_path / "run.json").read_text())["kept"]["epoch"] == 2


def test_a_monitored_epoch_that_does_not_beat_the_best_is_not_decoded_further(
    tiny_llm, sentences, tmp_path, monkeypatch
):
    decoded, scores, decode, f1 = [], iter([20.0, 50.0, 10.0, 20.0, 30.0, 60.0]), Dev._decoded, Dev._f1

    def counted(self, model, numbers):
        decoded.append(list(numbers))
        return decode(self, model, numbers)

    monkeypatch.setattr(Dev, "_decoded", counted)
    monkeypatch.setattr(Dev, "_f1", lambda self, answers: dict.fromkeys(f1(self, answers), next(scores)))
    train(job_of(tiny_llm, sentences, train={"epochs": 4, "patience": 9, "monitor_sentences": 2}), tmp_path)
    assert decoded == [[0, 1], [2], [0, 1], [0, 1], [0, 1], [2]], "20 beats 10 and not the 20 before"
    history = pl.read_csv(tmp_path / "history.csv")
    assert history["monitor_f1"].to_list() == [20.0, 10.0, 20.0, 30.0]
    assert history["dev_strict_f1"].to_list() == [50.0, None, None, 60.0]
    assert json.loads((tmp_path / "run.json").read_text())["kept"]["epoch"] == 4, "chosen on the whole dev set"


def test_dev_is_decoded_with_as_many_sentences_at_once_as_have_room(tiny_llm, sentences, tmp_path, monkeypatch, caplog):
    sizes, decode = [], ForcedDecoder.__call__

    def limited(self, instances, batch_size, part=0):
        sizes.append(batch_size)
        if batch_size > 8:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return decode(self, instances, batch_size, part)

    monkeypatch.setattr(ForcedDecoder, "__call__", limited)
    train(job_of(tiny_llm, sentences, train={"epochs": 2}), tmp_path)
    assert sizes == [32, 16, 8, 8]
    assert "out of memory on dev; 8 sentences at once" in caplog.text


def test_the_sample_that_monitors_is_even(tiny_llm, sentences, tokenizer_of_three):
    seven = [replace(sentences[0], id=str(number)) for number in range(7)]
    job = replace(job_of(tiny_llm, sentences, train={"monitor_sentences": 3}), dev=seven)
    assert Dev(job, tokenizer_of_three, Spelling(["Disease"]))._sample == [0, 2, 4]


def test_a_batch_without_labels_has_no_loss_and_gradients_of_zeros(sentences, tmp_path):
    source = stand_in(tmp_path / "source", "llama", sentences)
    model = with_adapter(AutoModelForCausalLM.from_pretrained(source), recipe("llama-8b", source))
    ids = torch.tensor([[5, 6], [5, 6]])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": torch.full_like(ids, -100)}
    total, count = summed_loss(model, model, batch)
    total.backward()
    assert (total.item(), count.item()) == (0, 0)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in trained)


@pytest.mark.parametrize("family", ["llm", "llm-head"])
def test_the_base_is_in_four_bits_twice_quantised_and_the_rest_in_half_precision(family, sentences, tmp_path):
    source = stand_in(tmp_path / "source", "llama", sentences)
    entry = recipe("llama-8b", source, family=family)
    load = partial(load_llm_classifier, labels=["O", "B-x"]) if family == "llm-head" else load_causal_lm
    model = load(source, entry, 0)
    layer = model.get_submodule("model.layers.0.mlp.up_proj")
    assert (layer.weight.quant_state.quant_type, layer.weight.quant_state.nested) == ("nf4", True)
    assert model.get_input_embeddings().weight.dtype == torch.bfloat16
    whole = ["score"] if family == "llm-head" else []
    adapted = with_adapter(model, entry, task="TOKEN_CLS" if whole else "CAUSAL_LM", whole=whole)
    assert {values.dtype for values in adapted.parameters() if values.requires_grad} == {torch.float32}


def test_a_new_piece_begins_as_the_mean_of_its_name_s_pieces(sentences, tmp_path):
    source = stand_in(tmp_path / "source", "llama", sentences)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(source), load_tokenizer(source)
    pieces = Spelling(["Gene"], "pieces").add_to(tokenizer)
    before = [layer.weight.clone() for layer in (model.get_input_embeddings(), model.get_output_embeddings())]
    make_room(model, tokenizer, pieces)
    for layer, was in zip((model.get_input_embeddings(), model.get_output_embeddings()), before, strict=True):
        for number, tag in pieces.items():
            expected = was[tokenizer(tag, add_special_tokens=False)["input_ids"]].mean(0)
            torch.testing.assert_close(layer.weight[number], expected)


@pytest.mark.parametrize("number", [4, 6])
def test_four_bits_and_an_eight_bit_optimiser_go_on_where_they_were(sentences, tmp_path, monkeypatch, number):
    source = stand_in(tmp_path / "source", "llama", sentences)
    entry = recipe("llama-8b", source, train={"epochs": 3, "batch_size": 2, "patience": None})
    job = Job("tiny", entry, sentences, sentences, 7)
    train(job, tmp_path / "undisturbed")
    with monkeypatch.context() as patched, pytest.raises(Crash):
        at_step(patched, number, crash)
        train(job, tmp_path / "run")
    train(job, tmp_path / "run")
    first, second = (results(tmp_path / name, "adapter_model.safetensors") for name in ("undisturbed", "run"))
    assert first == second
    assert json.loads((tmp_path / "run" / "run.json").read_text())["sessions"] == 2


def test_four_bits_go_on_learning_after_dev_was_decoded(sentences, tmp_path):
    source = stand_in(tmp_path / "source", "llama", sentences)
    settings = {"epochs": 4, "learning_rate": 1e-2, "patience": None, "precision": "fp32", "optimizer": "adamw_torch"}
    train(Job("tiny", recipe("llama-8b", source, train=settings), sentences, sentences, 7), tmp_path)
    losses = pl.read_csv(tmp_path / "history.csv")["train_loss"].to_list()
    assert losses[-1] < losses[2] < losses[1]


def test_checkpointing_changes_nothing(tiny_llm, sentences, tmp_path):
    lora = {"r": 8, "alpha": 16, "dropout": 0.0, "targets": ["q_proj", "down_proj"]}
    for checkpointing in (False, True):
        settings = {"checkpointing": checkpointing, "loss": "all", "learning_rate": 1e-2, "epochs": 3}
        job = job_of(tiny_llm, sentences, lora=lora, train=settings)
        train(job, tmp_path / str(checkpointing))
    first, second = (results(tmp_path / str(flag), "adapter_model.safetensors") for flag in (False, True))
    assert first == second
    losses = pl.read_csv(tmp_path / "True" / "history.csv")["train_loss"].to_list()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("quantization", [None, "nf4"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("spelling", ["letters", "pieces"])
def test_other_spellings_are_learned_kept_and_read(sentences, tmp_path, spelling, tied, quantization):
    source = stand_in(tmp_path / "source", "llama", sentences, tie_word_embeddings=tied)
    targets = ["q_proj", "v_proj"] + ([] if tied else ["lm_head"])
    changes = {"tag_spelling": spelling, "quantization": quantization, "lora": {"r": 8, "alpha": 8, "targets": targets}}
    entry = recipe("llama-8b", source, **changes, train={"epochs": 2, "precision": "fp32", "checkpointing": False})
    train(Job("tiny", entry, sentences, sentences, 7), tmp_path / "run")
    folder = tmp_path / "run" / "model"
    answers = predict("tiny", entry, sentences, [], folder, "forced")
    predictions, rows = realign_all(sentences, answers, frozenset(tag_set(entity_types(sentences))))
    assert sum(row.illegal_tags + row.dropped for row in rows) == 0, "answers hold tags by their names"
    last = pl.read_csv(tmp_path / "run" / "history.csv").row(-1, named=True)
    assert last["dev_strict_f1"] == pytest.approx(headline_f1(sentences, predictions)["strict"])
    assert predict("tiny", entry, sentences, [], folder, "free")[0].id == "s1"


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [("granite", {"logits_scaling": 8.0}), ("gemma2", {"final_logit_softcapping": 0.05, "head_dim": 16})],
)
def test_an_architecture_that_changes_logits_behind_its_output_layer_is_refused(
    sentences, tmp_path, architecture, changes
):
    source = stand_in(tmp_path / "source", architecture, sentences, tie_word_embeddings=True, **changes)
    lora = {"r": 8, "alpha": 8, "targets": ["q_proj"]}
    entry = recipe("llama-8b", source, quantization=None, lora=lora, train={"precision": "fp32"})
    with pytest.raises(InputError, match=r"logits that .* changes behind its output layer"):
        train(Job("tiny", entry, sentences, sentences, 7), tmp_path / "run")


def test_whole_weights_are_predicted_with_as_they_were_saved(tiny_llm, sentences, tmp_path):
    train(job_of(tiny_llm, sentences, train={"precision": "bf16"}), tmp_path / "run")
    entry = merged(tiny_llm, {"train": {"precision": "bf16"}})
    model = load_trained(tmp_path / "run" / "model", entry)[0]
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_where_the_last_epoch_is_kept_every_epoch_has_a_score(tiny_llm, sentences, tmp_path):
    settings = {"epochs": 2, "monitor_sentences": 1, "checkpoint": "last", "patience": None}
    train(job_of(tiny_llm, sentences, train=settings), tmp_path)
    history = pl.read_csv(tmp_path / "history.csv")
    assert history["dev_strict_f1"].null_count() == 0


def test_a_wrong_folder_is_told_apart(sentences, tmp_path):
    source, other = (stand_in(tmp_path / name, "llama", sentences) for name in ("source", "other"))
    entry = recipe("llama-8b", source, quantization=None)
    train(Job("tiny", entry, sentences, sentences, 7), tmp_path / "run")
    folder = tmp_path / "run" / "model"
    with pytest.raises(InputError, match=rf"trained from {source}; expected one trained from {other}"):
        load_trained(folder, recipe("llama-8b", other))
    for changes, said in [
        ({"lora": None}, r'a model trained with lora \{"r": 128.*expected null, as the entry says'),
        ({"family": "llm-head"}, 'trained with family "llm"; expected "llm-head"'),
        ({"tag_spelling": "letters"}, 'trained with tag_spelling "names"; expected "letters"'),
        ({"quantization": "nf4"}, 'trained with quantization null; expected "nf4"'),
    ]:
        with pytest.raises(InputError, match=said):
            load_trained(folder, merged(entry, changes))
    weights = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(weights[:1000])
    with pytest.raises(InputError, match="an adapter that does not fit"):
        load_trained(folder, entry)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no adapter_model.safetensors; expected the weights of an adapter"):
        load_trained(folder, entry)


def test_an_adapter_with_more_or_less_than_its_base_takes_is_refused(sentences, tmp_path):
    source = stand_in(tmp_path / "source", "llama", sentences)
    entry = recipe("llama-8b", source, quantization=None)
    train(Job("tiny", entry, sentences, sentences, 7), tmp_path / "run")
    folder = tmp_path / "run" / "model"
    path = folder / "adapter_model.safetensors"
    saved = load_file(path)
    lacking = dict(list(saved.items())[1:])
    for tensors in (lacking, saved | {"base_model.model.more.lora_A.weight": torch.zeros(2, 2)}):
        save_file(tensors, path)
        with pytest.raises(InputError, match=r"an adapter that does not fit \(base_model.model"):
            load_trained(folder, entry)


def test_weights_that_lack_are_not_drawn_at_random(sentences, tmp_path):
    source = stand_in(tmp_path / "source", "llama", sentences)
    saved = load_file(source / "model.safetensors")
    del saved["model.layers.1.mlp.up_proj.weight"]
    save_file(saved, source / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"weights without model.layers.1.mlp.up_proj.weight; expected all"):
        train(Job("tiny", recipe("llama-8b", source), sentences, sentences, 7), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"targets": ["q_proj", "nonsense"]}, r"lora.targets: found 'nonsense'; expected names of modules.*up_proj"),
        ({"targets": []}, "lora.targets: found none"),
        ({"targets": ["input_layernorm"]}, r"lora: found what makes no adapters \(Target module"),
        ({"save_whole": ["nonsense"]}, r"lora.save_whole: found 'nonsense'"),
        ({"save_whole": ["q_proj"]}, "lora: found what makes no adapters"),
    ],
)
def test_adapters_that_cannot_be_made_are_told(sentences, tmp_path, changes, said):
    source = stand_in(tmp_path / "source", "llama", sentences)
    with pytest.raises(InputError, match=said):
        train(Job("tiny", recipe("llama-8b", source, lora=changes), sentences, sentences, 7), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_adapter_on_an_output_layer_that_is_the_embeddings_is_refused(sentences, tmp_path):
    source = stand_in(tmp_path / "source", "llama", sentences, tie_word_embeddings=True)
    with pytest.raises(InputError, match=r"lm_head, which is this model's embeddings, too.*Leave lm_head out"):
        train(Job("tiny", recipe("llama-8b", source), sentences, sentences, 7), tmp_path / "run")


def test_an_adapter_is_no_base(sentences, tmp_path):
    source = stand_in(tmp_path / "source", "llama", sentences)
    train(Job("tiny", recipe("llama-8b", source), sentences, sentences, 7), tmp_path / "run")
    with pytest.raises(InputError, match=r"an adapter; expected a whole model.*bioner merge"):
        train(Job("tiny", recipe("llama-8b", tmp_path / "run" / "model"), sentences, sentences, 7), tmp_path / "two")


def test_types_with_a_colon_cannot_be_written_in_lines(tiny_llm, tmp_path):
    odd = [instance("s", "foo/B-Gene:A baz/O")]
    with pytest.raises(InputError, match=r"the entity type 'Gene:A'; expected types without a colon"):
        train(job_of(tiny_llm, odd), tmp_path / "run")


@pytest.mark.parametrize(
    "entry",
    [
        {"family": "llm", "attention": "bidirectional"},
        {"family": "llm", "subwords": "last"},
        {"family": "llm", "train": {"head_learning_rate": 1e-3}},
        {"family": "llm", "quantization": "nf4"},
        {"family": "llm-head", "tag_spelling": "pieces"},
        {"family": "llm-head", "train": {"loss": "tags"}},
        {"family": "encoder", "attention": "bidirectional"},
        {"family": "encoder", "train": {"monitor_sentences": 5}},
    ],
)
def test_what_a_family_has_no_use_for_is_refused(entry):
    with pytest.raises(InputError):
        complete_entry("models", "tiny", {"source": {"hub": "owner/name"}, **entry})
    complete_entry("models", "tiny", {"source": {"hub": "owner/name"}, "family": entry["family"]})


def test_four_bits_without_bitsandbytes_are_refused_with_a_remedy(sentences, tmp_path, monkeypatch):
    source = stand_in(tmp_path / "source", "llama", sentences)
    monkeypatch.setattr("bioner.models.hub.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"nf4 and no bitsandbytes.*envs/gpu.txt"):
        train(Job("tiny", recipe("llama-8b", source), sentences, sentences, 7), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_ends_an_llm_s_training_too(tiny_llm, sentences, tmp_path, monkeypatch):
    add_loss = Progress.add_loss
    monkeypatch.setattr(Progress, "add_loss", lambda self, loss: add_loss(self, loss * float("nan")))
    with pytest.raises(InputError, match=r"a loss of nan at or before step 2.*Lower the learning rate"):
        train(job_of(tiny_llm, sentences), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_new_pieces_are_trained(sentences, tmp_path):
    source = stand_in(tmp_path / "source", "llama", sentences)
    entry = recipe("llama-8b", source, tag_spelling="pieces", quantization=None, train={"epochs": 2})
    train(Job("tiny", entry, sentences, sentences, 7), tmp_path / "run")
    saved = load_file(tmp_path / "run" / "model" / "adapter_model.safetensors")
    rows = next(tensor for name, tensor in saved.items() if "trainable_tokens" in name)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(source), load_tokenizer(source)
    pieces = Spelling(entity_types(sentences), "pieces").add_to(tokenizer)
    make_room(model, tokenizer, pieces)
    assert rows.shape == (len(pieces), 64)
    assert not torch.allclose(rows.float(), model.get_input_embeddings().weight[list(pieces)], atol=1e-5)


def test_dev_is_decoded_with_legal_transitions_where_tests_will_be(tiny_llm, sentences, tmp_path, monkeypatch):
    legal, begin = [], ForcedDecoder.__init__

    def noted(self, *args, **kwargs):
        legal.append(kwargs["legal"])
        begin(self, *args, **kwargs)

    monkeypatch.setattr(ForcedDecoder, "__init__", noted)
    for setting in (True, False):
        train(job_of(tiny_llm, sentences, predict={"legal_transitions": setting}), tmp_path / str(setting))
    assert legal == [True, False]


def test_whole_weights_are_trained_in_full_precision_unless_told_otherwise(tiny_llm, sentences, tmp_path):
    for weights in ("fp32", "bf16"):
        settings = {"precision": "bf16", "weights": weights}
        train(job_of(tiny_llm, sentences, train=settings), tmp_path / weights)
        saved = load_file(tmp_path / weights / "model" / "model.safetensors")
        assert {tensor.dtype for tensor in saved.values()} == {{"fp32": torch.float32, "bf16": torch.bfloat16}[weights]}


@pytest.fixture(scope="module")
def tokenizer_of_three(sentences, tmp_path_factory):
    return load_tokenizer(stand_in(tmp_path_factory.mktemp("tokenizer") / "source", "llama", sentences))


def test_long_sentences_are_split_and_counted(tiny_llm, sentences, tmp_path, caplog):
    long = replace(sentences[0], id="long", tokens=sentences[0].tokens * 6, tags=sentences[0].tags * 6)
    with caplog.at_level("WARNING"):
        train(replace(job_of(tiny_llm, [*sentences, long], max_length=200), dev=sentences), tmp_path)
    counts = json.loads((tmp_path / "run.json").read_text())["examples"]
    assert (counts["over_length"], counts["words_left_out"]) == (1, 0)
    assert counts["examples"] > 4
    assert counts["longest"] <= 200
    assert "1 of 4 sentences exceed 200 ids and are split" in caplog.text


def test_no_room_for_a_word_is_an_error(tiny_llm, sentences, tmp_path):
    with pytest.raises(InputError, match=r"no word within max_length 20.*Raise max_length"):
        train(job_of(tiny_llm, sentences, max_length=20), tmp_path)


def test_adapters_are_trained_in_full_precision_on_a_base_in_half(sentences, tmp_path):
    source = stand_in(tmp_path / "source", "llama", sentences)
    base = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16)
    model = adapters.with_adapter(base, recipe("llama-8b", source))
    kinds = {(parameter.requires_grad, parameter.dtype) for parameter in model.parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}

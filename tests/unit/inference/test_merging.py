"""A merged adapter is a model of its own and says what the unmerged one says."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from bioner.cli import app
from bioner.data.instances import write_instances
from bioner.errors import InputError
from bioner.inference import merging
from bioner.inference.decoding.drafts import TABLE_FILE
from bioner.inference.merging import merge
from bioner.inference.predict import predict
from bioner.inference.tagging import Text, entry_of, load_tagger
from bioner.models.llm import load_trained
from bioner.settings.catalogue import parse_entry
from bioner.settings.config import merged
from bioner.settings.model_entry import ModelEntry
from bioner.training.job import TrainingJob
from bioner.training.run import train
from tests.unit.training.helpers import stand_in

LORA = {"r": 8, "alpha": 16, "target_modules": ["q_proj", "v_proj", "down_proj", "lm_head"]}


@pytest.fixture(scope="module")
def source(sentences, tmp_path_factory) -> Path:
    return stand_in(tmp_path_factory.mktemp("source") / "source", "llama", sentences)


@pytest.fixture(scope="module")
def adapted(source, sentences, tmp_path_factory) -> tuple[Path, ModelEntry]:
    """The model folder of adapters beside 4 bits, and its entry; read only."""
    return trained(source, tmp_path_factory.mktemp("adapted"), sentences)


def trained(source, folder, sentences, **changes):
    described = {
        "family": "llm",
        "source": {"hub": str(source)},
        "quantization": "nf4",
        "lora": LORA,
        "train": {
            "epochs": 4,
            "batch_size": 1,
            "learning_rate": 1e-2,
            "precision": "bf16",
            "patience": None,
        },
    }
    entry = parse_entry(ModelEntry, "tiny", merged(described, changes))
    train(TrainingJob("tiny", entry, sentences, sentences, 7), folder / "run")
    return folder / "run" / "model", entry


@pytest.mark.parametrize(
    ("verbalizer", "quantization", "precision"),
    [
        ("names", "nf4", "bf16"),
        ("special_tokens", "nf4", "bf16"),
        ("names", None, "fp32"),
        ("special_tokens", None, "bf16"),
        pytest.param("names", None, "bf16", marks=pytest.mark.slow),
        pytest.param("special_tokens", None, "fp32", marks=pytest.mark.slow),
    ],
)
def test_a_merged_model_says_what_the_unmerged_one_says(
    source, adapted, sentences, tmp_path, verbalizer, quantization, precision
):
    folder, entry = adapted
    changes = {
        "verbalizer": verbalizer,
        "quantization": quantization,
        "train": {"precision": precision},
    }
    if merged(entry.canonical(), changes) != entry.canonical():
        folder, entry = trained(source, tmp_path, sentences, **changes)
    agreement = merge(folder, entry, tmp_path / "merged", sentences)
    assert (agreement.differing, agreement.difference) == (0, 0)
    record = json.loads((tmp_path / "merged" / "merge.json").read_text())
    assert record["agreement"] == agreement._asdict()
    assert (tmp_path / "merged" / TABLE_FILE).read_bytes() == (folder / TABLE_FILE).read_bytes()
    alone = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    trained_in = {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
    assert {parameter.dtype for parameter in alone.parameters()} == {trained_in}
    assert not hasattr(alone.config, "quantization_config")
    whole = entry.model_copy(update={"lora": None, "quantization": None})
    as_trained = entry.changed(predict={"weights": "as-trained"})
    texts = [
        [answer.text for answer in predict("tiny", settings, sentences, [], model, "constrained")]
        for settings, model in ((as_trained, folder), (entry, folder), (whole, tmp_path / "merged"))
    ]
    assert texts[0] == texts[1] == texts[2]
    mentions = next(load_tagger(tmp_path / "merged")([Text("1", "No gout .")]))[1]
    assert [mention.text for mention in mentions] in ([], ["gout"], ["No gout"], ["No", "gout"])


def test_the_faithful_route_is_not_to_merge_into_the_original_weights(source, adapted, tmp_path):
    """What the adapter learned beside are the 4-bit weights."""
    folder, entry = adapted
    merge(folder, entry, tmp_path / "merged", [])
    merged_model = load_trained(folder, entry, merged=True)[0]
    assert {buffer.dtype for buffer in merged_model.buffers()} == {torch.float32}, "frequencies"
    base = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16)
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    untouched = "model.layers.0.self_attn.k_proj.weight"  # has no adapter
    assert not torch.equal(ours.get_parameter(untouched), base.get_parameter(untouched))
    assert torch.equal(
        ours.get_parameter("model.norm.weight"), base.get_parameter("model.norm.weight")
    )


def test_what_is_written_is_compared_with_the_adapter_on_its_base(
    adapted, sentences, tmp_path, monkeypatch
):
    loaded, load = [], merging.load_predictor

    def noted(name, entry, weights, decoding):
        loaded.append((weights, entry.predict.weights))
        predict = load(name, entry, weights, decoding)
        answers = {"as-trained": predict, "merged": lambda part, batch: predict(part[::-1], batch)}
        return answers[entry.predict.weights]

    monkeypatch.setattr(merging, "load_predictor", noted)
    monkeypatch.setattr(merging, "realign_all", lambda gold, outputs, legal: (outputs, None))
    compared = []
    monkeypatch.setattr(merging, "compare_predictions", lambda *given: compared.append(given))
    merging.merge(*adapted, tmp_path / "m", sentences)
    (as_trained, merged_weights) = loaded
    assert as_trained == (adapted[0], "as-trained")
    assert merged_weights[1] == "merged"
    ((_, one, other),) = compared
    ids = [[output.id for output in side] for side in (one, other)]
    assert ids == [[item.id for item in sentences][::-1], [item.id for item in sentences]]


def test_the_command_tells_how_they_agree_and_overwrites_nothing(adapted, sentences, tmp_path):
    folder = shutil.copytree(adapted[0].parent, tmp_path / "run") / "model"
    write_instances(tmp_path / "dev.jsonl", sentences)
    options = [
        "merge",
        "--model",
        str(folder),
        "--gold",
        str(tmp_path / "dev.jsonl"),
        "--out",
        str(tmp_path / "m"),
    ]
    assert CliRunner().invoke(app, options).exit_code == 0
    assert (tmp_path / "m" / "model.safetensors").is_file()
    beside = tmp_path / "run" / "merged"
    assert CliRunner().invoke(app, [*options[:-1], str(beside)]).exit_code == 0
    assert list(load_tagger(beside)([Text("1", "No gout .")])), (
        "not by the adapter's run.json, which lies beside it"
    )
    inside = CliRunner().invoke(app, [*options[:-1], str(folder / "merged")])
    assert "an input or another output" in str(inside.exception)
    again = CliRunner().invoke(app, options)
    assert isinstance(again.exception, InputError)
    assert "a name that is free" in str(again.exception)


def test_the_command_reserves_its_gpu_before_anything_starts_cuda(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioner.inference.merging", None)  # which imports bitsandbytes
    options = ["--model", str(tmp_path / "none"), "--out", str(tmp_path / "m")]
    ended = CliRunner().invoke(app, ["merge", *options])
    assert "no such folder" in str(ended.exception)


def test_a_model_that_could_not_be_loaded_again_is_not_written(sentences, tmp_path):
    changes = {"lora": {"target_modules": ["all-linear"]}, "train": {"epochs": 1, "batch_size": 3}}
    source = stand_in(tmp_path / "gpt2", "gpt2", sentences)
    folder, entry = trained(source, tmp_path, sentences, **changes)
    with pytest.raises(InputError, match=r"GPT-2 in 4 bits.*quantization: null"):
        merge(folder, entry, tmp_path / "merged", sentences)
    assert not (tmp_path / "merged").exists()


def test_there_must_be_something_to_merge(tiny_llm, trained_llm, sentences, tmp_path):
    folder = trained_llm / "model"
    with pytest.raises(InputError, match=r"whole weights; expected an LLM with an adapter"):
        merge(folder, entry_of(folder), tmp_path / "merged", sentences)
    with pytest.raises(InputError, match=r"no bioner.json"):
        merge(tmp_path, tiny_llm, tmp_path / "merged", sentences)
    assert not (tmp_path / "merged").exists()

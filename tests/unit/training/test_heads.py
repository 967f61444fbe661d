"""An LLM with a token-classification head: trained as an LLM, asked as an encoder."""

import json
import shutil

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from bioner.data.instances import entity_types
from bioner.data.tags import tag_set
from bioner.errors import InputError
from bioner.inference.predict import predict
from bioner.inference.tagging import Text, entry_of, load_tagger
from bioner.models.llm import SAME
from bioner.models.pretrained import load_llm_classifier, load_tokenizer
from bioner.models.subword_windows import cut
from bioner.realignment.realign import realign_all
from bioner.scoring.score import headline_f1
from bioner.settings.catalogue import load_models, parse_entry
from bioner.settings.config import load_config, merged
from bioner.settings.model_entry import ModelEntry
from bioner.training.job import TrainingJob
from bioner.training.run import train
from bioner.training.trainer import ResumableTrainer
from tests.unit.training.helpers import Crash, at_step, crash, results, stand_in

CATALOGUE = load_models(load_config({}))


SLOW = pytest.mark.slow


@pytest.fixture(params=["llama", "mistral"])
def source(request):
    """Of both architectures, for what costs nothing; trainings are of Mistral, where not both are
    named.
    """
    return request.getfixturevalue(request.param)


BY_HEART = {
    "epochs": 15,
    "batch_size": 1,
    "learning_rate": 2e-3,
    "patience": None,
    "keep_checkpoint": "last",
    "precision": "fp32",
}


def head(source, **changes) -> ModelEntry:
    small = {
        "source": {"hub": str(source)},
        "resources": {"gpus": 0, "predict_gpus": 0, "threads": 1},
    }
    few = {"epochs": 2, "batch_size": 2, "micro_batch_size": 1, "learning_rate": 1e-3}
    name = "mistral-7b-head"
    return parse_entry(
        ModelEntry,
        name,
        merged(CATALOGUE[name].canonical(), merged(small | {"train": few}, changes)),
    )


def test_the_catalogue_s_heads_are_the_llms_but_for_the_method():
    for name in ("mistral-7b", "llama-8b"):
        lines, classes = CATALOGUE[name], CATALOGUE[f"{name}-head"]
        for key in ("source", "quantization", "search_space", "resources"):
            assert getattr(lines, key) == getattr(classes, key)
        assert lines.lora.r == classes.lora.r
        assert (classes.family, classes.label_subwords) == ("llm-head", "last")


@pytest.mark.parametrize(
    ("architecture", "attention"),
    [
        ("llama", "causal"),
        ("mistral", "bidirectional"),
        pytest.param("llama", "bidirectional", marks=SLOW),
        pytest.param("mistral", "causal", marks=SLOW),
    ],
)
def test_a_head_is_trained_kept_and_read(request, sentences, tmp_path, architecture, attention):
    entry = head(
        request.getfixturevalue(architecture),
        attention=attention,
        train={"keep_checkpoint": "last"},
    )
    train(TrainingJob("head", entry, sentences, sentences, 7), tmp_path)
    folder = tmp_path / "model"
    saved = load_file(folder / "adapter_model.safetensors")
    assert {key for key in saved if "lora" not in key} == {
        "base_model.model.score.bias",
        "base_model.model.score.weight",
    }
    assert json.loads((folder / "bioner.json").read_text())["settings"]["family"] == "llm-head"
    outputs = predict("head", entry, sentences, [], folder, "direct")
    predictions, _ = realign_all(sentences, outputs, frozenset(tag_set(entity_types(sentences))))
    last = pl.read_csv(tmp_path / "history.csv").row(-1, named=True)
    assert last["dev_relaxed_f1"] == pytest.approx(headline_f1(sentences, predictions)["relaxed"])
    text = Text("1", "Oral aspirin worsened gout .")
    here = next(load_tagger(folder)([text]))[1]
    assert all(text.text[mention.start : mention.end] == mention.text for mention in here)
    moved = tmp_path / "moved" / "model"
    shutil.copytree(folder, moved)
    found, trained = entry_of(moved).canonical(), entry.canonical()
    assert found == found | {name: trained[name] for name in SAME}
    assert next(load_tagger(moved)([text]))[1] == here


@pytest.mark.parametrize("side", ["left", pytest.param("right", marks=SLOW)])
def test_dev_is_scored_as_predictions_are_whatever_side_a_tokenizer_pads(sentences, tmp_path, side):
    source = stand_in(tmp_path / "source", "mistral", sentences)
    path = source / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding_side": side}))
    entry = head(source, train=BY_HEART | {"epochs": 8})
    train(TrainingJob("head", entry, sentences, sentences, 7), tmp_path / "run")
    outputs = predict("head", entry, sentences, [], tmp_path / "run" / "model", "direct")
    predictions, _ = realign_all(sentences, outputs, frozenset(tag_set(entity_types(sentences))))
    last = pl.read_csv(tmp_path / "run" / "history.csv").row(-1, named=True)
    assert last["dev_strict_f1"] == pytest.approx(headline_f1(sentences, predictions)["strict"])
    assert last["dev_strict_f1"] > 50


@pytest.mark.parametrize("architecture", [pytest.param("llama", marks=SLOW), "mistral"])
def test_heads_learn_three_sentences_by_heart(request, sentences, tmp_path, architecture):
    entry = head(request.getfixturevalue(architecture), train=BY_HEART)
    train(TrainingJob("head", entry, sentences, sentences, 7), tmp_path)
    last = pl.read_csv(tmp_path / "history.csv").row(-1, named=True)
    assert last["dev_strict_f1"] > 85


@pytest.mark.parametrize(("attention", "sees"), [("causal", False), ("bidirectional", True)])
@pytest.mark.parametrize("padding", [0, 3])
def test_what_a_subword_sees(source, attention, sees, padding):
    model = load_llm_classifier(
        source, head(source, attention=attention, quantization=None), 0, ["O", "B-x"]
    ).eval()
    ids = torch.tensor([[5, 6, 7, 8, *[0] * padding], [9] * (4 + padding)])
    mask = torch.ones_like(ids)
    mask[0, 4:] = 0
    other = ids.clone()
    other[0, 3] = 9
    with torch.inference_mode():
        first, second = (
            model(input_ids=each, attention_mask=mask).logits[0, 0] for each in (ids, other)
        )
    assert torch.equal(first, second) != sees


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_a_new_head_is_new_and_a_trained_one_is_kept(source, tmp_path, quantization):
    labels = ["O", "B-x", "I-x"]
    whole = load_llm_classifier(source, head(source, quantization=None), 0, labels)
    with torch.no_grad():
        whole.score.weight.fill_(9)
    whole.save_pretrained(tmp_path)
    entry = head(source, quantization=quantization)
    for wanted in (labels, [*labels, "B-y", "I-y"]):
        new = load_llm_classifier(tmp_path, entry, 0, wanted).score.weight
        assert new.shape[0] == len(wanted)
        assert not (new == 9).any()
    kept = load_llm_classifier(tmp_path, entry, 0, labels, new_head=False)
    assert (kept.score.weight == 9).all()


def test_words_have_the_subwords_of_the_text_and_the_last_decides(source, sentences):
    tokenizer = load_tokenizer(source)
    made = cut(tokenizer, [item.tokens for item in sentences], 512, "last")
    for item, (window,) in zip(sentences, made.windows, strict=True):
        assert window.input_ids == tokenizer(" ".join(item.tokens))["input_ids"]
        assert [word for word in window.words if word is not None] == list(range(len(item.tokens)))
        ends = [place for place, word in enumerate(window.words) if word is not None]
        pieces = tokenizer(" ".join(item.tokens), return_offsets_mapping=True)["offset_mapping"]
        closing = [sum(map(len, item.tokens[: n + 1])) + n for n in range(len(item.tokens))]
        assert [pieces[place][1] for place in ends] == closing


@pytest.mark.parametrize("architecture", [pytest.param("llama", marks=SLOW), "mistral"])
def test_a_head_goes_on_where_it_was(request, sentences, tmp_path, monkeypatch, architecture):
    entry = head(request.getfixturevalue(architecture), train={"patience": None})
    job = TrainingJob("head", entry, sentences, sentences, 7)
    train(job, tmp_path / "undisturbed")
    with monkeypatch.context() as patched, pytest.raises(Crash):
        at_step(patched, 5, crash)  # in the second of two epochs
        train(job, tmp_path / "run")
    train(job, tmp_path / "run")
    first, second = (
        results(tmp_path / name, "adapter_model.safetensors") for name in ("undisturbed", "run")
    )
    assert first == second


def test_a_head_learns_at_a_rate_of_its_own(mistral, sentences, tmp_path, monkeypatch):
    rates, create = [], ResumableTrainer.create_optimizer

    def noted(self, model=None):
        optimizer = create(self, model)
        rates.append(
            [
                (group["lr"], sum(values.numel() for values in group["params"]))
                for group in optimizer.param_groups
            ]
        )
        return optimizer

    monkeypatch.setattr(ResumableTrainer, "create_optimizer", noted)
    settings = {"head_learning_rate": 0.5, "learning_rate": 1e-4, "epochs": 1}
    entry = head(mistral, train=settings)
    train(TrainingJob("head", entry, sentences, sentences, 7), tmp_path)
    sizes = {rate: sum(size for other, size in rates[0] if other == rate) for rate in (0.5, 1e-4)}
    assert sizes[0.5] == 64 * 7 + 7, "weights and biases of seven tags"
    assert sizes[1e-4] > sizes[0.5]


def test_a_head_does_not_write_lines(mistral, sentences):
    with pytest.raises(InputError, match="decoding 'constrained'; expected direct"):
        predict("head", head(mistral), sentences, [], None, "constrained")

"""An LLM with a token-classification head: trained as an LLM, asked as an encoder."""

import json
import shutil

import polars as pl
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification

from bioner.data.instances import entity_types
from bioner.data.tags import tag_set
from bioner.errors import InputError
from bioner.inference.predict import predict
from bioner.inference.tagging import Text, entry_of, load_tagger
from bioner.models.decoder_head import HEAD
from bioner.models.llm import SAME, load_trained
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
from tests import families
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
    bare = AutoModel.from_pretrained(entry.source.hub, dtype=torch.bfloat16)
    adapted = PeftModel.from_pretrained(bare, str(folder)).state_dict()
    saved = load_file(folder / "adapter_model.safetensors")
    assert all("lora" in key for key in saved)
    found = {key: adapted[key.replace(".weight", ".default.weight")] for key in saved}
    assert all(torch.equal(found[key], values) for key, values in saved.items())
    sizes = {key: list(values.shape) for key, values in load_file(folder / HEAD).items()}
    assert sizes == {"weight": [7, 64], "bias": [7]}
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
    found = entry_of(moved)
    assert all(getattr(found, name) == getattr(entry, name) for name in SAME)
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
def test_a_head_that_the_source_has_is_left_out(source, tmp_path, quantization, caplog):
    other = AutoModelForTokenClassification.from_pretrained(source)
    with torch.no_grad():
        other.score.weight.fill_(9)
    other.save_pretrained(tmp_path)
    entry = head(source, quantization=quantization)
    with caplog.at_level("INFO"):
        model = load_llm_classifier(tmp_path, entry, 0, ["O", "B-x"])
    assert not (model.head.weight == 9).any()
    assert f"{tmp_path}: its own classification head is left out" in caplog.text


def test_an_architecture_that_stays_causal_is_not_called_bidirectional(mistral, tmp_path):
    config = AutoConfig.for_model("mamba", hidden_size=32, num_hidden_layers=1, vocab_size=64)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    entry = head(mistral, attention="bidirectional", quantization=None)
    with pytest.raises(InputError, match=r"'mamba' with attention bidirectional.*with repeat 2"):
        load_llm_classifier(tmp_path, entry, 0, ["O", "B-x"])


def last_word_is_seen_by_the_first(source, sentences, repeat: int) -> bool:
    """Whether another last word changes a causal model's answer about the first word."""
    model = load_llm_classifier(source, head(source, quantization=None), 0, ["O", "B-x"]).eval()
    words = sentences[0].tokens
    answers = []
    for text in (words, [*words[:-1], "?"]):
        made = cut(load_tokenizer(source), [text], 64, "last", copies=repeat)
        (window,) = made.windows[0]
        ids = torch.tensor([window.input_ids])
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        answers.append(logits[0, window.words.index(0)])
    return not torch.equal(*answers)


def test_in_the_second_copy_a_causal_model_has_seen_the_whole_sentence(source, sentences):
    assert last_word_is_seen_by_the_first(source, sentences, 2)
    assert not last_word_is_seen_by_the_first(source, sentences, 1)


@pytest.mark.parametrize(("kind", "ahead"), [(families.llama, ["<s>"]), (families.qwen2, [])])
def test_a_window_of_two_copies_has_a_line_end_between_and_is_answered_once(kind, ahead, sentences):
    texts = [item.tokens for item in sentences]
    tokenizer = kind([" ".join(text) for text in texts])
    once, twice, short = (
        cut(tokenizer, texts, length, copies=copies)
        for length, copies in ((512, 1), (512, 2), (16, 2))
    )
    *_, line_end = tokenizer("a\n")["input_ids"]
    for (plain,), (window,), windows in zip(
        once.windows, twice.windows, short.windows, strict=True
    ):
        copy, words = plain.input_ids[len(ahead) :], plain.words[len(ahead) :]
        first = [*tokenizer.convert_tokens_to_ids(ahead), *copy, line_end]
        assert window.input_ids == [*first, *copy]
        assert window.words == [None] * len(first) + words
        assert all(len(part.input_ids) <= 16 for part in windows)
        assert [word for part in windows for word in part.words if word is not None] == words


def test_a_model_that_reads_a_sentence_twice_is_trained_kept_and_asked_so(
    mistral, sentences, tmp_path
):
    entry = head(mistral, repeat=2, train=BY_HEART | {"epochs": 8})
    train(TrainingJob("head", entry, sentences, sentences, 7), tmp_path)
    folder = tmp_path / "model"
    outputs = predict("head", entry, sentences, [], folder, "direct")
    predictions, _ = realign_all(sentences, outputs, frozenset(tag_set(entity_types(sentences))))
    last = pl.read_csv(tmp_path / "history.csv").row(-1, named=True)
    assert last["dev_strict_f1"] == pytest.approx(headline_f1(sentences, predictions)["strict"])
    assert last["dev_strict_f1"] > 50
    assert entry_of(folder).repeat == 2
    assert "the sentence twice" in (folder / "README.md").read_text()
    with pytest.raises(InputError, match="a model trained with repeat 2; expected 1, as the entry"):
        predict("head", head(mistral, train=BY_HEART), sentences, [], folder, "direct")


def test_a_model_trained_before_there_was_a_choice_reads_a_sentence_once(
    mistral, sentences, tmp_path
):
    entry = head(mistral, train={"epochs": 1})
    train(TrainingJob("head", entry, sentences, sentences, 7), tmp_path)
    path = tmp_path / "model" / "bioner.json"
    task = json.loads(path.read_text())
    assert task["settings"].pop("repeat") == 1
    path.write_text(json.dumps(task))
    assert load_trained(tmp_path / "model", entry)[2].entry.repeat == 1
    assert "repeat" not in entry.canonical(), "nothing that was trained without it runs again"


def test_a_head_on_weights_that_are_all_trained(mistral, sentences, tmp_path):
    settings = {"activation_checkpointing": True, "param_dtype": "bf16", "epochs": 2}
    entry = head(mistral, lora=None, quantization=None, train=settings)
    train(TrainingJob("head", entry, sentences, sentences, 7), tmp_path)
    folder = tmp_path / "model"
    model, _, _ = load_trained(folder, entry)
    assert {values.dtype for values in model.decoder.parameters()} == {torch.bfloat16}
    assert {values.dtype for values in model.head.parameters()} == {torch.float32}
    outputs = predict("head", entry, sentences, [], folder, "direct")
    predictions, _ = realign_all(sentences, outputs, frozenset(tag_set(entity_types(sentences))))
    kept = json.loads((tmp_path / "run.json").read_text())["kept"]
    assert kept["dev_strict_f1"] == pytest.approx(headline_f1(sentences, predictions)["strict"])


def test_a_folder_without_a_head_of_its_size_is_refused(mistral, sentences, tmp_path):
    """As a version wrote it that kept the head with the adapter."""
    entry = head(mistral, train={"epochs": 1})
    train(TrainingJob("head", entry, sentences, sentences, 7), tmp_path)
    path = tmp_path / "model" / HEAD
    save_file({"weight": torch.zeros(5, 64), "bias": torch.zeros(5)}, path)
    with pytest.raises(InputError, match=r"size mismatch.*expected a head of 7 tags"):
        load_trained(tmp_path / "model", entry)
    path.unlink()
    with pytest.raises(InputError, match=r"no head.safetensors that can be used.*train again"):
        load_trained(tmp_path / "model", entry)


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

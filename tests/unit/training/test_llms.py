"""What is particular to training LLMs: the paper's recipe, where the loss is taken, dev by
constrained decoding.
"""

import json
import signal
from dataclasses import replace

import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from bioner.data.instances import entity_types
from bioner.data.tags import tag_set
from bioner.errors import InputError, Interrupted
from bioner.inference.decoding.constrained import ConstrainedDecoder
from bioner.inference.predict import predict
from bioner.models.adapters import with_adapter
from bioner.models.pretrained import load_tokenizer
from bioner.models.verbalizer import Verbalizer, resize_for_tags
from bioner.realignment.realign import realign_all
from bioner.scoring.score import headline_f1
from bioner.settings.catalogue import parse_entry
from bioner.settings.model_entry import ModelEntry
from bioner.training import llm
from bioner.training import loss as loss_of_lines
from bioner.training.job import TrainingJob
from bioner.training.llm import DevScorer, LineTrainer
from bioner.training.loss import summed_loss
from bioner.training.progress import Progress
from bioner.training.run import train
from bioner.training.search import read_trial
from tests.conftest import instance
from tests.unit.training.helpers import job_of, recipe, results, stand_in


def test_a_trial_whose_last_step_makes_the_weights_nan_has_diverged(
    tiny_llm, sentences, tmp_path, monkeypatch
):
    """The losses before it are finite; there is nothing to decode dev with."""
    end = Progress.on_epoch_end

    def poisoned(self, *args, model, **kwargs):
        end(self, *args, **kwargs)
        for weights in model.parameters():
            weights.data.fill_(float("nan"))

    monkeypatch.setattr(Progress, "on_epoch_end", poisoned)
    job = job_of(tiny_llm, sentences, train={"epochs": 1})
    train(replace(job, searched=["learning_rate"]), tmp_path / "lr1")
    assert set(read_trial(tmp_path / "lr1").record.kept.model_dump().values()) == {None}


class Reference(LineTrainer):
    """The loss as transformers computes it, from all logits."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        ours = super().compute_loss(model, dict(inputs), num_items_in_batch=num_items_in_batch)
        theirs = model(**inputs, num_items_in_batch=num_items_in_batch, use_cache=False).loss
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
        self.compared = getattr(self, "compared", 0) + 1
        return (theirs, {"loss": theirs}) if return_outputs else theirs


@pytest.mark.parametrize(
    ("loss", "at_once"),
    [
        ("tags", 3),
        ("response", 3),
        ("all", 3),
        ("all", 1024),
        pytest.param("tags", 1024, marks=pytest.mark.slow),
        pytest.param("response", 1024, marks=pytest.mark.slow),
    ],
)
def test_the_loss_is_transformers_loss_on_the_same_labels(
    tiny_llm, sentences, tmp_path, monkeypatch, loss, at_once
):
    monkeypatch.setattr(loss_of_lines, "LOGITS_AT_ONCE", at_once)
    train(job_of(tiny_llm, sentences, train={"loss": loss, "batch_size": 2}), tmp_path / "ours")
    made = []

    class Noted(Reference):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            made.append(self)

    monkeypatch.setattr(llm, "LineTrainer", Noted)
    train(job_of(tiny_llm, sentences, train={"loss": loss, "batch_size": 2}), tmp_path / "theirs")
    assert made[0].compared >= 2
    weights = [
        load_file(tmp_path / whose / "model" / "model.safetensors") for whose in ("ours", "theirs")
    ]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-4, atol=1e-5)


def test_dev_is_scored_as_predictions_are(tiny_llm, sentences, tmp_path):
    entry = tiny_llm.changed(train={"epochs": 3, "learning_rate": 1e-2, "keep_checkpoint": "last"})
    train(TrainingJob("tiny", entry, sentences, sentences, 7), tmp_path)
    answers = predict("tiny", entry, sentences, [], tmp_path / "model", "constrained")
    predictions, _ = realign_all(sentences, answers, frozenset(tag_set(entity_types(sentences))))
    last = pl.read_csv(tmp_path / "history.csv").row(-1, named=True)
    expected = headline_f1(sentences, predictions)
    assert last["dev_strict_f1"] == pytest.approx(expected["strict"])
    assert last["dev_relaxed_f1"] == pytest.approx(expected["relaxed"])
    assert expected["relaxed"] > 0


@pytest.mark.parametrize(("keep", "epoch"), [("best", 2), ("last", 4)])
def test_the_best_or_the_last_epoch_is_kept_and_f1_ends_training(
    tiny_llm, sentences, tmp_path, monkeypatch, keep, epoch
):
    scores = iter([10.0, 30.0, 20.0, 25.0])
    monkeypatch.setattr(
        DevScorer, "scores", lambda *_: {"strict_f1": next(scores), "relaxed_f1": 50.0}
    )
    train(
        job_of(tiny_llm, sentences, train={"epochs": 9, "patience": 2, "keep_checkpoint": keep}),
        tmp_path,
    )
    assert pl.read_csv(tmp_path / "history.csv")["dev_strict_f1"].to_list() == [
        10.0,
        30.0,
        20.0,
        25.0,
    ]
    assert json.loads((tmp_path / "run.json").read_text())["kept"]["epoch"] == epoch


def test_a_monitored_epoch_that_does_not_beat_the_best_is_not_decoded_further(
    tiny_llm, sentences, tmp_path, monkeypatch
):
    decoded, scores, decode, f1 = (
        [],
        iter([20.0, 50.0, 10.0, 20.0, 30.0, 60.0]),
        DevScorer._decoded,
        DevScorer._f1,
    )

    def counted(self, model, numbers):
        decoded.append(list(numbers))
        return decode(self, model, numbers)

    monkeypatch.setattr(DevScorer, "_decoded", counted)
    monkeypatch.setattr(
        DevScorer, "_f1", lambda self, answers: dict.fromkeys(f1(self, answers), next(scores))
    )
    train(
        job_of(tiny_llm, sentences, train={"epochs": 4, "patience": 9, "monitor_sentences": 2}),
        tmp_path,
    )
    assert decoded == [[0, 1], [2], [0, 1], [0, 1], [0, 1], [2]], (
        "20 beats 10 and not the 20 before"
    )
    history = pl.read_csv(tmp_path / "history.csv")
    assert history["monitor_f1"].to_list() == [20.0, 10.0, 20.0, 30.0]
    assert history["dev_strict_f1"].to_list() == [50.0, None, None, 60.0]
    assert json.loads((tmp_path / "run.json").read_text())["kept"]["epoch"] == 4, (
        "chosen on the whole dev set"
    )


def test_dev_is_decoded_with_as_many_sentences_at_once_as_have_room(
    tiny_llm, sentences, tmp_path, monkeypatch, caplog
):
    sizes, decode = [], ConstrainedDecoder.__call__

    def limited(self, instances, batch_size, part=0):
        sizes.append(batch_size)
        if batch_size > 8:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return decode(self, instances, batch_size, part)

    monkeypatch.setattr(ConstrainedDecoder, "__call__", limited)
    train(job_of(tiny_llm, sentences, train={"epochs": 2}), tmp_path)
    assert sizes == [32, 16, 8, 8]
    assert "out of memory on dev; 8 sentences at once" in caplog.text


def test_the_dev_loss_does_not_depend_on_the_ids_per_pass(
    tiny_llm, sentences, tmp_path, monkeypatch, caplog
):
    dev = [instance(f"s{number}", "word " * (number % 5 + 1)) for number in range(20)]
    job = replace(job_of(tiny_llm, sentences, train={"epochs": 1}), dev=dev)
    losses, rows = [], []

    def limited(model, inner, inputs, *, plain):
        if not model.training:
            rows.append(len(inputs["input_ids"]))
            if rows[-1] > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return summed_loss(model, inner, inputs, plain=plain)

    monkeypatch.setattr(llm, "summed_loss", limited)
    for ids, most, passes in ((8192, 99, [20]), (8192, 9, None), (1, 99, [4] * 5)):
        rows.clear()
        monkeypatch.setattr(llm, "DEV_IDS", ids)
        train(job, tmp_path / f"{ids}-{most}")
        losses += pl.read_csv(tmp_path / f"{ids}-{most}" / "history.csv")["dev_loss"].to_list()
        assert passes in (rows, None)
        assert max(size for size in rows if size <= most) > 1, "halved, as often as it takes"
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)
    assert "out of memory on dev" in caplog.text


def test_a_signal_ends_the_loss_on_dev(tiny_llm, sentences, tmp_path, monkeypatch):
    def signalled(model, inner, inputs, *, plain):
        if not model.training:
            signal.raise_signal(signal.SIGTERM)
        return summed_loss(model, inner, inputs, plain=plain)

    monkeypatch.setattr(llm, "summed_loss", signalled)
    monkeypatch.setattr(DevScorer, "scores", lambda *_: pytest.fail("dev is decoded"))
    with pytest.raises(Interrupted, match="dev is scored on resuming"):
        train(job_of(tiny_llm, sentences, train={"epochs": 1}), tmp_path)


def test_the_sample_that_monitors_is_even(tiny_llm, sentences, llama):
    seven = [replace(sentences[0], id=str(number)) for number in range(7)]
    job = replace(job_of(tiny_llm, sentences, train={"monitor_sentences": 3}), dev=seven)
    assert DevScorer(job, load_tokenizer(llama), Verbalizer(["Disease"]))._sample == [0, 2, 4]


def test_a_batch_without_labels_has_no_loss_and_gradients_of_zeros(llama):
    model = with_adapter(AutoModelForCausalLM.from_pretrained(llama), recipe("llama-8b", llama))
    ids = torch.tensor([[5, 6], [5, 6]])
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": torch.full_like(ids, -100),
    }
    total, count = summed_loss(model, model, batch, plain=True)
    total.backward()
    assert (total.item(), count.item()) == (0, 0)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in trained)


def test_a_new_piece_begins_as_the_mean_of_its_name_s_pieces(llama):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(llama), load_tokenizer(llama)
    pieces = Verbalizer(["Gene"], "special_tokens").add_to(tokenizer)
    before = [
        layer.weight.clone()
        for layer in (model.get_input_embeddings(), model.get_output_embeddings())
    ]
    resize_for_tags(model, tokenizer, pieces)
    for layer, was in zip(
        (model.get_input_embeddings(), model.get_output_embeddings()), before, strict=True
    ):
        for number, tag in pieces.items():
            expected = was[tokenizer(tag, add_special_tokens=False)["input_ids"]].mean(0)
            torch.testing.assert_close(layer.weight[number], expected)


def test_checkpointing_changes_nothing(tiny_llm, sentences, tmp_path):
    lora = {"r": 8, "alpha": 16, "dropout": 0.0, "target_modules": ["q_proj", "down_proj"]}
    for checkpointing in (False, True):
        settings = {
            "activation_checkpointing": checkpointing,
            "loss": "all",
            "learning_rate": 1e-2,
            "epochs": 2,
        }
        job = job_of(tiny_llm, sentences, lora=lora, train=settings)
        train(job, tmp_path / str(checkpointing))
    first, second = (
        results(tmp_path / str(flag), "adapter_model.safetensors") for flag in (False, True)
    )
    assert first == second
    losses = pl.read_csv(tmp_path / "True" / "history.csv")["train_loss"].to_list()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("verbalizer", "tied", "quantization"),
    [
        ("letters", False, None),
        ("letters", True, "nf4"),
        ("special_tokens", False, "nf4"),
        ("special_tokens", True, None),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("letters", False, "nf4"),
                ("letters", True, None),
                ("special_tokens", False, None),
                ("special_tokens", True, "nf4"),
            )
        ),
    ],
)
def test_other_spellings_are_learned_kept_and_read(
    sentences, tmp_path, verbalizer, tied, quantization
):
    source = stand_in(tmp_path / "source", "llama", sentences, tie_word_embeddings=tied)
    targets = ["q_proj", "v_proj"] + ([] if tied else ["lm_head"])
    changes = {
        "verbalizer": verbalizer,
        "quantization": quantization,
        "lora": {"r": 8, "alpha": 8, "target_modules": targets},
    }
    changes |= {"predict": {"tokens_per_word": 2}}
    entry = recipe(
        "llama-8b",
        source,
        **changes,
        train={"precision": "fp32", "activation_checkpointing": False},
    )
    train(TrainingJob("tiny", entry, sentences, sentences, 7), tmp_path / "run")
    folder = tmp_path / "run" / "model"
    answers = predict("tiny", entry, sentences, [], folder, "constrained")
    predictions, rows = realign_all(sentences, answers, frozenset(tag_set(entity_types(sentences))))
    assert sum(row.illegal_tags + row.dropped for row in rows) == 0, (
        "answers hold tags by their names"
    )
    last = pl.read_csv(tmp_path / "run" / "history.csv").row(-1, named=True)
    assert last["dev_strict_f1"] == pytest.approx(headline_f1(sentences, predictions)["strict"])
    assert predict("tiny", entry, sentences, [], folder, "free")[0].id == "s1"


def test_where_the_last_epoch_is_kept_every_epoch_has_a_score(tiny_llm, sentences, tmp_path):
    settings = {"epochs": 2, "monitor_sentences": 1, "keep_checkpoint": "last", "patience": None}
    train(job_of(tiny_llm, sentences, train=settings), tmp_path)
    history = pl.read_csv(tmp_path / "history.csv")
    assert history["dev_strict_f1"].null_count() == 0


def test_types_with_a_colon_are_learned_written_and_read(tiny_llm, tmp_path):
    text = [instance("s", "CHEBI:15377/B-CHEBI:CHEM lyase/I-CHEBI:CHEM ./O")]
    job = job_of(tiny_llm, text, train={"epochs": 12, "patience": None, "learning_rate": 1e-2})
    train(job, tmp_path)
    assert max(pl.read_csv(tmp_path / "history.csv")["dev_strict_f1"]) == 100
    answers = predict("tiny", job.entry, text, [], tmp_path / "model", "constrained")
    assert realign_all(text, answers, None)[0][0].tags == text[0].tags
    read = Verbalizer(["CHEBI:CHEM"], "special_tokens").read("CHEBI:15377:<B-CHEBI:CHEM>")
    assert read == "CHEBI:15377:B-CHEBI:CHEM"


def test_a_type_too_long_for_a_line_is_refused_before_a_model_is_loaded(
    sentences, tmp_path, monkeypatch
):
    source = stand_in(tmp_path / "source", "llama", sentences)
    monkeypatch.setattr(llm, "load_causal_lm", None)
    long = [instance("s", f"foo/B-{'Protein' * 40} baz/O")]
    entry = recipe("llama-8b", source, max_length=400)
    with pytest.raises(InputError, match=r"'Protein.*, a line of .* within 400 ids"):
        train(TrainingJob("tiny", entry, long, long, 7), tmp_path / "run")


@pytest.mark.parametrize(
    "entry",
    [
        {"family": "llm", "attention": "bidirectional"},
        {"family": "llm", "repeat": 2},
        {"family": "llm", "label_subwords": "last"},
        {"family": "llm", "train": {"head_learning_rate": 1e-3}},
        {"family": "llm", "quantization": "nf4"},
        {"family": "llm-head", "verbalizer": "special_tokens"},
        {"family": "llm-head", "train": {"loss": "tags"}},
        {"family": "encoder", "attention": "bidirectional"},
        {"family": "encoder", "repeat": 2},
        {"family": "encoder", "train": {"monitor_sentences": 5}},
    ],
)
def test_what_a_family_has_no_use_for_is_refused(entry):
    with pytest.raises(InputError):
        parse_entry(ModelEntry, "tiny", {"source": {"hub": "owner/name"}, **entry})
    parse_entry(ModelEntry, "tiny", {"source": {"hub": "owner/name"}, "family": entry["family"]})


def test_a_loss_that_is_no_number_ends_an_llm_s_training_too(
    tiny_llm, sentences, tmp_path, monkeypatch
):
    add_loss = Progress.add_loss
    monkeypatch.setattr(
        Progress, "add_loss", lambda self, loss: add_loss(self, loss * float("nan"))
    )
    with pytest.raises(
        InputError, match=r"a loss of nan at or before step 2.*Lower the learning rate"
    ):
        train(job_of(tiny_llm, sentences), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_new_pieces_are_trained(llama, sentences, tmp_path):
    entry = recipe("llama-8b", llama, verbalizer="special_tokens", quantization=None)
    train(TrainingJob("tiny", entry, sentences, sentences, 7), tmp_path / "run")
    saved = load_file(tmp_path / "run" / "model" / "adapter_model.safetensors")
    rows = next(tensor for name, tensor in saved.items() if "trainable_tokens" in name)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(llama), load_tokenizer(llama)
    pieces = Verbalizer(entity_types(sentences), "special_tokens").add_to(tokenizer)
    resize_for_tags(model, tokenizer, pieces)
    assert rows.shape == (len(pieces), 64)
    assert not torch.allclose(
        rows.float(), model.get_input_embeddings().weight[list(pieces)], atol=1e-5
    )


def test_dev_is_decoded_with_legal_transitions_where_tests_will_be(
    tiny_llm, sentences, tmp_path, monkeypatch
):
    legal, begin = [], ConstrainedDecoder.__init__

    def noted(self, *args, **kwargs):
        legal.append(args[4].legal_transitions)
        begin(self, *args, **kwargs)

    monkeypatch.setattr(ConstrainedDecoder, "__init__", noted)
    for setting in (True, False):
        train(
            job_of(tiny_llm, sentences, predict={"legal_transitions": setting}),
            tmp_path / str(setting),
        )
    assert legal == [True, False]


def test_long_sentences_are_split_and_counted(tiny_llm, sentences, tmp_path, caplog):
    long = replace(
        sentences[0], id="long", tokens=sentences[0].tokens * 6, tags=sentences[0].tags * 6
    )
    with caplog.at_level("WARNING"):
        train(
            replace(job_of(tiny_llm, [*sentences, long], max_length=200), dev=sentences), tmp_path
        )
    counts = json.loads((tmp_path / "run.json").read_text())["examples"]
    assert (counts["over_length"], counts["words_left_out"]) == (1, 0)
    assert counts["examples"] > 4
    assert counts["longest"] <= 200
    assert "1 of 4 sentences exceed 200 ids and are split" in caplog.text


def test_no_room_for_a_word_is_an_error(tiny_llm, sentences, tmp_path):
    with pytest.raises(InputError, match=r"behind a prompt of .* within 20 ids.*Raise max_length"):
        train(job_of(tiny_llm, sentences, max_length=20), tmp_path)

"""What is particular to training encoders: subwords and windows, the head, memory, bad luck, what
is left.
"""

import json
import shutil
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import polars as pl
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForTokenClassification, AutoTokenizer, pipeline

from bioner.data.instances import Instance
from bioner.errors import InputError
from bioner.inference.predict import predict
from bioner.models.encoder import tag
from bioner.models.pretrained import load_token_classifier
from bioner.realignment.realign import realign_all
from bioner.scoring.score import headline_f1
from bioner.training import trainer
from bioner.training.job import TrainingJob
from bioner.training.progress import Diverged, Progress, best_of, is_stale
from bioner.training.run import train
from bioner.training.search import read_trial
from bioner.training.trainer import ResumableTrainer, training_arguments
from tests.conftest import instance
from tests.unit.training.helpers import DATA, a_second_a_pass, job_of


@pytest.mark.parametrize(
    ("architecture", "subwords"),
    [
        ("bert", "first"),
        ("deberta-v2", "all"),
        pytest.param("bert", "all", marks=pytest.mark.slow),
        pytest.param("deberta-v2", "first", marks=pytest.mark.slow),
    ],
)
def test_both_architectures_learn_three_sentences_by_heart(
    tiny_encoder, sentences, tmp_path, architecture, subwords
):
    source = {"scratch": {"architecture": architecture, "config": {"hidden_dropout_prob": 0.0}}}
    settings = {"epochs": 20, "batch_size": 1, "patience": None, "learning_rate": 1e-2}
    job = job_of(tiny_encoder, sentences, source=source, label_subwords=subwords, train=settings)
    train(job, tmp_path)
    assert pl.read_csv(tmp_path / "history.csv")["dev_strict_f1"].max() == 100
    outputs = predict("tiny", job.entry, sentences, [], tmp_path / "model", "direct")
    for output, item in zip(outputs, sentences, strict=True):
        words = range(len(item.tokens))
        assert set(output.words) == set(words)
        assert subwords == "all" or output.words == list(words)


def test_long_sentences_are_learned_in_windows_and_counted(tiny_encoder, sentences, tmp_path):
    long = instance("long", " ".join(["No/O gout/B-Disease ./O"] * 20))
    train(job_of(tiny_encoder, [*sentences, long], train={"epochs": 1}), tmp_path)
    counts = json.loads((tmp_path / "run.json").read_text())["subwords"]["train"]
    assert counts["windows"] > 4
    assert (counts["sentences_cut"], counts["words_unknown"], counts["words_lost"]) == (1, 0, 0)


def test_dev_is_scored_as_predictions_are_however_many_batches_it_takes(
    tiny_encoder, sentences, tmp_path
):
    dev = [
        instance(f"{item.id}-{n}", " ".join(["x/O"] * (n % 5)) + " " + text_of(item))
        for n in range(40)
        for item in sentences
    ]
    job = TrainingJob(
        "tiny",
        tiny_encoder.changed(train={"epochs": 3, "learning_rate": 1e-2}),
        sentences,
        dev,
        7,
    )
    train(job, tmp_path)
    predictions, _ = realign_all(
        dev, predict("tiny", job.entry, dev, [], tmp_path / "model", "direct"), None
    )
    kept = json.loads((tmp_path / "run.json").read_text())["kept"]
    assert kept["dev_strict_f1"] > 0
    assert headline_f1(dev, predictions) == {
        "strict": kept["dev_strict_f1"],
        "relaxed": kept["dev_relaxed_f1"],
    }


def text_of(item: Instance) -> str:
    return " ".join(f"{token}/{tag}" for token, tag in zip(item.tokens, item.tags, strict=True))


def test_the_folder_is_what_transformers_expects(trained_encoder):
    model = AutoModelForTokenClassification.from_pretrained(trained_encoder / "model")
    assert model.config.id2label[0] == "O"
    assert (trained_encoder / "model" / "model.safetensors").is_file()
    found = pipeline("token-classification", str(trained_encoder / "model"), device="cpu")(
        "Oral aspirin"
    )
    assert {each["entity"] for each in found} <= set(model.config.label2id)


def test_the_model_card_names_data_commit_and_dev_scores(trained_encoder):
    card = ModelCard.load(trained_encoder / "model" / "README.md")
    kept = json.loads((trained_encoder / "run.json").read_text())["kept"]
    strict, relaxed = card.data.eval_results
    assert (strict.metric_type, strict.dataset_name, strict.dataset_split) == (
        "f1",
        "made-up",
        "validation",
    )
    assert strict.metric_value == pytest.approx(kept["dev_strict_f1"] / 100)
    assert relaxed.metric_value == pytest.approx(kept["dev_relaxed_f1"] / 100)
    assert card.data.pipeline_tag == "token-classification"
    for expected in (
        "1" * 64,
        "2" * 64,
        "commit ",
        "Chemical, Disease, Gene",
        "| learning_rate | 0.001 |",
        "seed 7",
    ):
        assert expected in card.text
    assert "\n\n\n" not in card.text
    assert "aspirin" not in card.text, "a card holds no text of the corpus"


def test_run_json_names_the_optimiser_as_settings_do(trained_encoder):
    run = json.loads((trained_encoder / "run.json").read_text())
    assert run["optimizer"] == run["settings"]["train"]["optimizer"] == "adamw_torch"


def test_a_head_learns_at_a_rate_of_its_own(tiny_encoder, sentences, tmp_path, monkeypatch):
    seen = []
    step = ResumableTrainer.create_optimizer

    def spied(self, model=None):
        optimizer = step(self, model)
        seen.append((self.model, optimizer))
        return optimizer

    monkeypatch.setattr(ResumableTrainer, "create_optimizer", spied)
    train(
        job_of(
            tiny_encoder,
            sentences,
            train={"head_learning_rate": 0.5, "weight_decay": 0.1, "epochs": 1},
        ),
        tmp_path,
    )
    model, optimizer = seen[0]
    rates = {
        id(values): group["initial_lr"]
        for group in optimizer.param_groups
        for values in group["params"]
    }
    assert len(rates) == len(list(model.parameters())), "every parameter once"
    for name, values in model.named_parameters():
        assert rates[id(values)] == (0.5 if name.startswith("classifier") else 1e-3), name


def test_types_that_only_dev_holds_are_told_and_can_only_be_missed(
    tiny_encoder, sentences, tmp_path, caplog
):
    dev = [*sentences, instance("d", "A/O rash/B-Symptom and/O a/O cough/B-Symptom")]
    train(replace(job_of(tiny_encoder, sentences, train={"epochs": 1}), dev=dev), tmp_path)
    assert (
        "dev has 2 entities of type Symptom, training has none: they can only be missed"
        in caplog.text
    )


@pytest.mark.parametrize("where", ["train", "dev"])
def test_a_loss_that_is_no_number_ends_training_with_one_line(
    tiny_encoder, sentences, tmp_path, monkeypatch, where
):
    if where == "train":
        add_loss = Progress.add_loss
        monkeypatch.setattr(
            Progress, "add_loss", lambda self, loss: add_loss(self, loss * float("nan"))
        )
    else:
        evaluate = Progress.on_evaluate
        monkeypatch.setattr(
            Progress,
            "on_evaluate",
            lambda self, *a, metrics, **k: evaluate(
                self, *a, metrics=metrics | {"eval_loss": float("inf")}, **k
            ),
        )
    with pytest.raises(InputError, match=r"loss of (nan|inf).*Lower the learning rate"):
        train(job_of(tiny_encoder, sentences), tmp_path / "run")
    assert (tmp_path / "run").exists() == (where == "dev"), "the epoch's checkpoint stays"


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
@pytest.mark.parametrize("hook", [Progress.on_step_end, Progress.on_epoch_end])
def test_the_loss_is_looked_at_now_and_then_and_after_every_epoch(hook, loss, monkeypatch):
    progress, state = Progress("tiny"), SimpleNamespace(global_step=3)
    monkeypatch.setattr("bioner.training.progress.SILENCE", -1)
    progress.add_loss(torch.tensor(loss))
    with pytest.raises(Diverged, match=f"a loss of {loss} at or before step 3"):
        hook(progress, None, state, None)


def test_the_split_of_a_batch_changes_neither_loss_nor_weights(tiny_encoder, sentences, tmp_path):
    """Up to rounding: without dropout, one pass of 6 sentences, three of 2 and six of 1 are the
    same step.
    """
    found = {}
    source = {
        "scratch": {"config": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}
    }
    for micro in (6, 2, 1):
        settings = {"batch_size": 6, "micro_batch_size": micro, "epochs": 2, "learning_rate": 1e-2}
        train(
            job_of(tiny_encoder, sentences * 4, source=source, train=settings),
            tmp_path / str(micro),
        )
        history = pl.read_csv(tmp_path / str(micro) / "history.csv")
        found[micro] = (
            history["train_loss"].to_list(),
            load_file(tmp_path / str(micro) / "model" / "model.safetensors"),
        )
    for micro in (2, 1):
        assert found[micro][0] == pytest.approx(found[6][0], rel=1e-4)
        for name, values in found[6][1].items():
            torch.testing.assert_close(found[micro][1][name], values, rtol=1e-3, atol=1e-4)


def test_the_training_loss_is_the_mean_over_labels(tiny_encoder, sentences, tmp_path):
    """Without dropout and almost without learning, it is the loss on the same sentences as dev,
    however it is split.
    """
    source = {
        "scratch": {"config": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}
    }
    for micro in (3, 1):
        settings = {"batch_size": 3, "micro_batch_size": micro, "epochs": 2, "learning_rate": 1e-12}
        train(job_of(tiny_encoder, sentences, source=source, train=settings), tmp_path / str(micro))
        history = pl.read_csv(tmp_path / str(micro) / "history.csv")
        assert history["train_loss"].to_list() == pytest.approx(
            history["dev_loss"].to_list(), rel=1e-5
        )


def test_tokens_are_counted_without_padding_an_epoch_at_a_time(
    tiny_encoder, sentences, tmp_path, monkeypatch
):
    """A second a step, three steps an epoch of one sentence each: tokens a second are a third of
    all subwords.
    """
    a_second_a_pass(monkeypatch)
    train(job_of(tiny_encoder, sentences, train={"batch_size": 1, "epochs": 2}), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    subwords = sum(
        len(tokenizer(item.tokens, is_split_into_words=True)["input_ids"]) for item in sentences
    )
    assert (
        pl.read_csv(tmp_path / "history.csv")["tokens_per_second"].to_list()
        == [round(subwords / 3, 1)] * 2
    )


def test_the_seconds_of_an_epoch_that_was_cut_short_are_of_its_speed(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("bioner.training.progress.time.monotonic", lambda: now[0])
    state = SimpleNamespace(global_step=6, epoch=1.0, is_world_process_zero=False)
    first, second = Progress("x", tokens=100), Progress("x", tokens=100)
    first.on_epoch_begin(None, state, None)
    now[0] = 30.0
    second.restore(first.record())
    second.on_epoch_begin(None, state, None)
    now[0] = 50.0
    second.on_epoch_end(None, state, None)
    second.on_evaluate(None, state, None, {"eval_loss": 1.0})
    assert second.rows[0]["tokens_per_second"] == 2.0


def test_energy_adds_up_over_sessions(monkeypatch):
    meter = [5.0]
    monkeypatch.setattr("bioner.training.progress.energy_kwh", lambda gpus: meter[0])
    first = Progress("x", gpus=1)
    meter[0] = 7.0
    record = first.record()
    assert record["energy_kwh"] == 2.0
    meter[0] = 100.0  # another machine, another meter
    second = Progress("x", gpus=1)
    second.restore(record)
    meter[0] = 101.0
    assert second.energy() == 3.0


def test_peaks_of_memory_are_those_of_all_sessions(monkeypatch):
    monkeypatch.setattr("bioner.training.progress.peak_memory", lambda gpus: (2.0, 3.0))
    progress = Progress("x", gpus=1)
    assert progress.peak_memory() == (2.0, 3.0)
    epochs = ((5.0, 7.0), (1.0, None))
    progress.rows = [
        dict(zip(("peak_memory_gb", "peak_gpu_memory_gb"), epoch, strict=True)) for epoch in epochs
    ]
    assert progress.peak_memory() == (5.0, 7.0)


class Watched(torch.nn.Module):
    """A model that keeps what it was asked and answered."""

    def __init__(self, model):
        super().__init__()
        self.model, self.config, self.device, self.seen = model, model.config, model.device, []
        self.get_input_embeddings = model.get_input_embeddings

    def forward(self, input_ids, attention_mask):
        output = self.model(input_ids=input_ids, attention_mask=attention_mask)
        self.seen.append((input_ids, output.logits))
        return output


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_padding_is_not_attended_to(tiny_encoder, trained_encoder, sentences, dtype):
    tokenizer = AutoTokenizer.from_pretrained(trained_encoder / "model")
    answers = []
    for size in (1, 3):
        model = Watched(load_token_classifier(trained_encoder / "model", dtype=dtype).eval())
        tag(model, tokenizer, sentences, tiny_encoder, size)
        rows = [row for ids, logits in model.seen for row in zip(ids, logits, strict=True)]
        answers.append({tuple(ids[ids != 0].tolist()): logits[ids != 0] for ids, logits in rows})
    assert answers[0].keys() == answers[1].keys()
    rounding = {torch.float32: 1e-5, torch.bfloat16: 2e-2}[dtype]
    for ids, logits in answers[0].items():
        torch.testing.assert_close(logits, answers[1][ids], rtol=0, atol=rounding)


def test_an_encoder_as_the_paper_ran_it_is_padded_to_its_window(
    tiny_encoder, trained_encoder, sentences
):
    tokenizer = AutoTokenizer.from_pretrained(trained_encoder / "model")
    plain = AutoModelForTokenClassification.from_pretrained(trained_encoder / "model").eval()
    model = Watched(plain)
    tagged = tag(model, tokenizer, sentences, tiny_encoder, 2, padded=True)
    assert {ids.shape[1] for ids, _ in model.seen} == {32}
    assert tagged == tag(plain, tokenizer, sentences, tiny_encoder, 2)


def test_a_trial_that_diverges_is_a_result_without_weights(
    tiny_encoder, sentences, tmp_path, monkeypatch
):
    add_loss = Progress.add_loss
    monkeypatch.setattr(
        Progress, "add_loss", lambda self, loss: add_loss(self, loss * float("nan"))
    )
    (tmp_path / "lr1" / "model").mkdir(parents=True)  # what it left under other settings
    train(
        TrainingJob(
            "tiny", tiny_encoder, sentences, sentences, 7, data=DATA, searched=["learning_rate"]
        ),
        tmp_path / "lr1",
    )
    trial = read_trial(tmp_path / "lr1")
    assert set(trial.record.kept.model_dump().values()) == {None}
    assert not (trial.folder / "model").exists()
    assert sorted(path.name for path in (tmp_path / "lr1").iterdir()) == ["history.csv", "run.json"]


@pytest.mark.parametrize("subwords", ["all", "first"])
def test_a_corpus_of_endless_words_has_a_loss_all_the_same(
    tiny_encoder, sentences, tmp_path, subwords
):
    """With `first` most windows of such a word would hold no label at all, and the loss of a batch
    of them is 0 / 0.
    """
    endless = [instance(f"w{number}", "x" * 400 + "/B-Gene gout/B-Disease") for number in range(6)]
    train(job_of(tiny_encoder, endless, label_subwords=subwords, train={"epochs": 1}), tmp_path)
    assert pl.read_csv(tmp_path / "history.csv")["train_loss"].is_finite().all()


def test_an_encoder_without_a_trained_head_is_refused(
    trained_encoder, tiny_encoder, sentences, tmp_path
):
    AutoModel.from_pretrained(trained_encoder / "model").save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(trained_encoder / "model").save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"weights without classifier\.bias and 1 others"):
        predict("tiny", tiny_encoder, sentences, [], tmp_path, "direct")


def test_a_head_for_something_else_is_refused(trained_encoder, tiny_encoder, sentences, tmp_path):
    shutil.copytree(trained_encoder / "model", tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config.pop("label2id")
    config["id2label"] = {number: f"LABEL_{number}" for number in config["id2label"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"the label 'LABEL_0'.*no trained head"):
        predict("tiny", tiny_encoder, sentences, [], tmp_path, "direct")


@pytest.mark.parametrize("name", ["galore_adamw", "lomo"])
def test_an_optimiser_that_is_not_installed_is_told(tiny_encoder, sentences, tmp_path, name):
    with pytest.raises(InputError, match=f"the optimizer '{name}', which cannot be used here"):
        train(job_of(tiny_encoder, sentences, train={"optimizer": name}), tmp_path)


def test_bf16_is_refused_on_a_gpu_without_it(tiny_encoder, sentences, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    job = job_of(tiny_encoder, sentences, resources={"gpus": 1}, train={"precision": "bf16"})
    with pytest.raises(InputError, match=r"bf16 on a Tesla V100.*fp32"):
        training_arguments(job, tmp_path, 64)


@pytest.mark.parametrize(
    ("on_gpu", "asked", "used"),
    [
        (True, "adamw_torch", "adamw_torch_fused"),
        (False, "adamw_torch", "adamw_torch"),
        (True, "paged_adamw_8bit", "paged_adamw_8bit"),
    ],
)
def test_an_optimiser_is_fused_on_a_gpu(
    tiny_encoder, sentences, tmp_path, monkeypatch, on_gpu, asked, used
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: on_gpu)
    monkeypatch.setattr(trainer, "TrainingArguments", partial(SimpleNamespace, n_gpu=1))
    monkeypatch.setattr(trainer.Trainer, "get_optimizer_cls_and_kwargs", lambda arguments: None)
    job = job_of(tiny_encoder, sentences, resources={"gpus": 1}, train={"optimizer": asked})
    assert training_arguments(job, tmp_path, 64).optim == used


def test_the_optimiser_that_was_used_is_recorded(tiny_encoder, sentences, tmp_path, monkeypatch):
    """The fused one, as on a GPU; CPUs have it, too."""

    def fused(*given):
        arguments = training_arguments(*given)
        arguments.optim = "adamw_torch_fused"
        return arguments

    monkeypatch.setattr("bioner.training.classifier.training_arguments", fused)
    train(job_of(tiny_encoder, sentences, train={"epochs": 1}), tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["optimizer"] == "adamw_torch_fused"


def test_deterministic_kernels_are_asked_for(tiny_encoder, sentences, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "transformers.trainer.enable_full_determinism", lambda seed: seen.append(seed)
    )
    train(job_of(tiny_encoder, sentences, train={"deterministic": True, "epochs": 1}), tmp_path)
    assert seen == [7]


def test_the_first_of_equal_epochs_is_best_and_patience_counts_from_it():
    rows = [{"dev_strict_f1": f1, "dev_loss": 1.0} for f1 in (10, 30, 20, 30, 25)]
    assert best_of(rows) is rows[1]
    assert is_stale(rows, 3)
    assert not is_stale(rows, 4)
    assert not is_stale(rows[:4], 3)
    assert not is_stale(rows, None)

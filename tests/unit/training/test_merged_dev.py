"""Dev is scored with the weights that predict: merged by default, or as trained."""

import json
import signal
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from bioner.data.instances import Instance, entity_types
from bioner.data.tags import tag_set
from bioner.errors import Interrupted
from bioner.inference.decoding.constrained import ConstrainedDecoder
from bioner.inference.predict import SHARD, NoMemoryLeft, load_predictor, predict
from bioner.models.llm import load_trained
from bioner.realignment.realign import realign_all
from bioner.scoring.score import headline_f1
from bioner.settings.catalogue import parse_entry
from bioner.settings.config import merged
from bioner.settings.model_entry import ModelEntry
from bioner.training import merged_dev
from bioner.training.job import TrainingJob
from bioner.training.llm import DevScorer
from bioner.training.progress import Progress
from bioner.training.run import train
from bioner.training.workspace import WORKSPACE
from tests.conftest import instance
from tests.unit.training.helpers import results, stand_in, with_settings

LORA = {"r": 8, "alpha": 16, "target_modules": ["q_proj", "v_proj", "down_proj"]}
DEV = [
    instance(f"d{n}", f"Oral/O drug{n}/B-Chemical worsened/O gout/B-Disease attack/I-Disease ./O")
    for n in range(12)
]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return stand_in(tmp_path_factory.mktemp("source") / "source", "llama", DEV)


def entry_of(source: Path, family: str, **changes) -> ModelEntry:
    described = {
        "family": family,
        "source": {"hub": str(source)},
        "lora": LORA,
        "train": {"epochs": 2, "batch_size": 1, "learning_rate": 1e-2, "precision": "bf16"},
    }
    return parse_entry(ModelEntry, "tiny", merged(described, changes))


def dev_f1(entry: ModelEntry, weights: str, model: Path) -> dict[str, float]:
    """F1 of what `bioner predict` and `bioner realign` make of dev."""
    entry = entry.changed(predict={"weights": weights})
    decoding = "constrained" if entry.family == "llm" else "direct"
    outputs = predict("tiny", entry, DEV, DEV[:4], model, decoding)
    found, _ = realign_all(DEV, outputs, frozenset(tag_set(entity_types(DEV))))
    return {f"dev_{scheme}_f1": f1 for scheme, f1 in headline_f1(DEV, found).items()}


def trained(entry: ModelEntry, folder: Path, train_on: list[Instance] = DEV[:4]) -> dict:
    train(TrainingJob("tiny", entry, train_on, DEV, 7), folder)
    return dict(json.loads((folder / "run.json").read_text()))


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("llm", {"quantization": "nf4"}),
        ("llm", {"quantization": "nf4", "lora": {"modules_to_save": ["lm_head"]}}),
        ("llm", {"lora": {"modules_to_save": ["embed_tokens"]}, "train": {"epochs": 1}}),
        ("llm", {"lora": None}),
        ("llm", {"train": {"precision": "fp32"}}),
        ("llm-head", {"quantization": "nf4"}),
        ("llm-head", {"lora": None, "train": {"epochs": 1}}),
        ("encoder", {}),
    ],
    ids=[
        "llm-nf4",
        "llm-output-layer",
        "llm-embeddings",
        "llm-whole",
        "llm-fp32",
        "head-nf4",
        "head-whole",
        "encoder",
    ],
)
def test_run_json_has_the_dev_scores_of_the_weights_that_predict_and_of_those_trained(
    source, tiny_encoder, tmp_path, family, changes
):
    if family == "encoder":
        rate = {"precision": "bf16", "learning_rate": 1e-2}
        entry = with_settings(tiny_encoder, train=rate)
    else:
        entry = entry_of(source, family, **changes)
    run = trained(entry, tmp_path)
    predicted, as_trained = (
        dev_f1(entry, weights, tmp_path / "model") for weights in ("merged", "as-trained")
    )
    assert predicted["dev_relaxed_f1"] > 0
    assert {name: run["kept"][name] for name in predicted} == predicted
    assert {name: run["as_trained"][name] for name in as_trained} == as_trained
    difference = predicted["dev_strict_f1"] - as_trained["dev_strict_f1"]
    assert run["as_trained"]["difference"] == pytest.approx(difference)
    assert run["as_trained"]["entities"] > 0
    assert not (tmp_path / WORKSPACE).exists()
    if entry.merges() and family != "encoder":
        model = load_trained(tmp_path / "model", entry, merged=True)[0]
        body = getattr(model, "decoder", model)  # a head stays in fp32
        expected = {torch.bfloat16 if entry.train.precision == "bf16" else torch.float32}
        assert {values.dtype for values in body.parameters()} == expected


@pytest.mark.parametrize("are_kept", [True, False])
def test_dev_is_predicted_as_trained_again_only_without_the_predictions_of_the_epoch(
    source, tmp_path, monkeypatch, are_kept
):
    predicted, predict_to = [], merged_dev.predict_to

    def noted(job, raw):
        predicted.append(job.entry.predict.weights)
        predict_to(job, raw)

    monkeypatch.setattr(merged_dev, "predict_to", noted)
    if not are_kept:
        monkeypatch.setattr(merged_dev.KeepDevPredictions, "on_evaluate", lambda *_, **__: None)
    trained(entry_of(source, "llm", train={"epochs": 1}), tmp_path)
    assert predicted == (["merged"] if are_kept else ["as-trained", "merged"])


@pytest.mark.parametrize(
    "changes",
    [
        {"predict": {"weights": "as-trained"}},
        {"lora": None, "train": {"precision": "fp32"}},
        {"lora": None, "train": {"param_dtype": "bf16"}},
    ],
)
def test_nothing_is_predicted_twice_if_the_trained_weights_predict(
    source, tmp_path, monkeypatch, changes
):
    monkeypatch.setattr("bioner.training.run.score_merged", None)
    entry = entry_of(source, "llm", **merged({"train": {"epochs": 1}}, changes))
    run = trained(entry, tmp_path)
    assert "as_trained" not in run
    for name, f1 in dev_f1(entry, entry.predict.weights, tmp_path / "model").items():
        assert run["kept"][name] == f1


def test_a_warning_says_that_merging_changes_the_predictions(source, tmp_path, monkeypatch, caplog):
    real = merged_dev.read_predictions

    def read(path, gold):
        found = real(path, gold)
        if path.name == "dev.jsonl":
            found[0].tags[:] = ["O"] * len(found[0].tags)
        return found

    monkeypatch.setattr(merged_dev, "read_predictions", read)
    entry = entry_of(source, "llm-head", train={"epochs": 4})
    run = trained(entry, tmp_path)
    assert run["as_trained"]["differing"] > 0
    assert run["as_trained"]["dev_strict_f1"] > run["kept"]["dev_strict_f1"]
    assert "of the entities differ and a difference of more than 0.2 points" in caplog.text


@pytest.fixture(scope="module")
def adapted(source, tmp_path_factory) -> tuple[ModelEntry, Path]:
    """An adapter on 4 bits after one epoch, in a folder to read only."""
    entry = entry_of(source, "llm", quantization="nf4", train={"epochs": 1})
    folder = tmp_path_factory.mktemp("adapted")
    trained(entry, folder)
    return entry, folder


def test_a_training_interrupted_while_merged_weights_predict_dev_repeats_no_step_and_no_shard(
    adapted, tmp_path, monkeypatch
):
    entry, undisturbed = adapted
    monkeypatch.setitem(SHARD, "constrained", 4)
    read, decoded = ConstrainedDecoder.__call__, []

    def decode(decoder, instances, size, shard=None):
        if shard is not None:  # of the merged weights
            decoded.append(shard)
            if decoded == [0, 1]:
                signal.raise_signal(signal.SIGTERM)
        return read(decoder, instances, size)

    monkeypatch.setattr(ConstrainedDecoder, "__call__", decode)
    with pytest.raises(Interrupted):
        trained(entry, tmp_path)
    monkeypatch.setattr(Progress, "add_loss", None)
    run = trained(entry, tmp_path)
    assert decoded == [0, 1, 1, 2]
    assert run["as_trained"] == json.loads((undisturbed / "run.json").read_text())["as_trained"]
    same = "adapter_model.safetensors"
    assert results(tmp_path, same) == results(undisturbed, same)


@pytest.mark.parametrize(("asked", "given"), [(0, 0), (1, 1), (4, 2)])
def test_dev_is_predicted_on_the_gpus_that_training_was_given(tmp_path, monkeypatch, asked, given):
    found = []
    monkeypatch.setattr(merged_dev, "predict_to", lambda job, _: found.append(job.entry.resources))
    monkeypatch.setattr(merged_dev, "read_raw", lambda *_: [])
    monkeypatch.setattr(merged_dev, "realign_all", lambda *_: ([], []))
    entry = entry_of(tmp_path, "llm", resources={"gpus": asked})
    job = TrainingJob("tiny", entry, DEV, DEV, 7, processes=max(given, 1))
    merged_dev._predict(job, tmp_path, tmp_path / "dev.jsonl", "merged")
    assert [resources.predict_gpus for resources in found] == [given]


def test_merged_weights_that_do_not_fit_in_memory_are_scored_as_trained(
    source, tmp_path, monkeypatch, caplog
):
    def fail(*_):
        raise NoMemoryLeft("tiny", "no memory left", "room", "Set predict.weights to as-trained.")

    monkeypatch.setattr(merged_dev, "predict_to", fail)
    run = trained(entry_of(source, "llm", train={"epochs": 1}), tmp_path)
    assert run["as_trained"] is None
    assert "Dev scores in run.json are of the weights as trained" in caplog.text


def test_epochs_are_decoded_without_autocast_as_predictions_are(source, tmp_path, monkeypatch):
    """Training runs under it, before and after."""
    seen, within = {"decoding": set(), "training": set()}, DevScorer._within_memory
    stage = ["training"]

    def decoded(self, model, instances):
        stage[:] = ["decoding"]
        answers = within(self, model, instances)
        stage[:] = ["training"]
        return answers

    def noted(layer, *_):
        if isinstance(layer, torch.nn.Embedding):
            seen[stage[0]].add(torch.is_autocast_enabled("cpu"))

    monkeypatch.setattr(DevScorer, "_within_memory", decoded)
    monkeypatch.setattr("bioner.training.run.score_merged", lambda job, kept, _: (kept, None))
    note = torch.nn.modules.module.register_module_forward_pre_hook(noted)
    try:
        trained(entry_of(source, "llm", train={"epochs": 2}), tmp_path)
    finally:
        note.remove()
    assert seen["decoding"] == {False}
    assert True in seen["training"]


@pytest.mark.parametrize(
    ("decoding", "weights", "merges"),
    [
        ("constrained", "merged", True),
        ("free", "merged", True),
        ("free", "as-trained", False),
        ("free-paper", "merged", False),
    ],
)
def test_free_paper_always_uses_the_weights_as_trained(adapted, decoding, weights, merges):
    entry, folder = adapted[0].changed(predict={"weights": weights}), adapted[1] / "model"
    decoder = load_predictor("tiny", entry, folder, decoding)
    assert isinstance(decoder._model, PeftModel) != merges
    norms = [each for each in decoder._model.modules() if hasattr(each, "variance_epsilon")]
    assert {"forward" in vars(each) for each in norms} == {merges}, "merged, norms are fused"
    paper = load_predictor("tiny", entry, folder, decoding, paper=True)
    assert isinstance(paper._model, PeftModel), "as it timed"

"""Models of many families through the whole of training and prediction."""

import gc
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel, pipeline

from bioner.inference.merging import merge
from bioner.inference.predict import predict
from bioner.inference.tagging import Text, load_tagger
from bioner.models.llm import load_trained
from bioner.settings.catalogue import parse_entry
from bioner.settings.model_entry import ModelEntry
from bioner.training.job import TrainingJob
from bioner.training.run import train
from tests.conftest import instance
from tests.families import FAMILIES, make
from tests.unit.inference.decoding.reference import assert_same, slowly, tags_of

TEXTS = [
    instance("s1", "Oral/O aspirin/B-Drug worsened/O C18:1/B-Drug acidosis/I-Drug ./O"),
    instance("s2", "TNF-α/B-Gene (/O 1:4/O )/O"),
]
ENCODERS = {name for name, family in FAMILIES.items() if not family.is_llm}
LLMS = FAMILIES.keys() - ENCODERS
ONE_STEP = {"epochs": 1, "batch_size": 2, "patience": None, "learning_rate": 1e-3}
ONE_STEP |= {"warmup_ratio": 0.0}  # else the first step is none
FEW_STEPS = ONE_STEP | {"epochs": 4, "learning_rate": 1e-2}


@pytest.fixture(autouse=True)
def frozen_imports() -> None:
    """Training and merging collect garbage; what was imported before is most of what they pass."""
    gc.freeze()


def trained(name: str, folder: Path, **settings: object) -> tuple[ModelEntry, Path]:
    """The entry and the trained model of a family: two sentences, one step."""
    source = make(name, TEXTS, folder / "source")
    described = {"source": {"hub": str(source)}, "max_length": 48, "train": ONE_STEP, **settings}
    described |= {"predict": {"tokens_per_word": 2}}
    entry = parse_entry(ModelEntry, name, described)
    train(TrainingJob(name, entry, TEXTS, TEXTS, 7), folder / "run")
    return entry, folder / "run" / "model"


def whole_texts_are_tagged(model: Path) -> None:
    texts = [Text(item.id, " ".join(item.tokens)) for item in TEXTS]
    assert [text.id for text, _ in load_tagger(model)(texts)] == ["s1", "s2"]


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_an_encoder_tags_as_the_ecosystem_s_own_pipeline_does(name, tmp_path):
    entry, model = trained(name, tmp_path, family="encoder", train=FEW_STEPS)
    outputs = predict(name, entry, TEXTS, [], model, "direct")
    assert [set(output.words) for output in outputs] == [set(range(6)), set(range(4))]
    tagged = pipeline("token-classification", str(model), device="cpu", ignore_labels=[])
    for item, output in zip(TEXTS, outputs, strict=True):
        found = tagged(" ".join(item.tokens))
        assert [each["entity"] for each in found] == output.tags
    assert len({tag for output in outputs for tag in output.tags}) > 1, "or equal by chance"
    whole_texts_are_tagged(model)


@torch.inference_mode()
def same_logits(model: PreTrainedModel, other: PreTrainedModel, rounding: float) -> None:
    """Assert that two models have the same logits, up to a share of the largest."""
    first, second = (one(torch.arange(5, 25)[None]).logits.float() for one in (model, other))
    torch.testing.assert_close(second, first, rtol=0, atol=rounding * float(first.abs().max()))


LORA = {"r": 4, "alpha": 8, "dropout": 0.0}


@pytest.mark.parametrize("name", sorted(LLMS))
def test_an_llm_that_writes_lines(name, tmp_path):
    entry, model = trained(name, tmp_path, family="llm", max_length=400, lora=LORA)
    outputs = predict(name, entry, TEXTS, TEXTS, model, "constrained")
    loaded, tokenizer, task = load_trained(model, entry)
    for output, text in zip(outputs, TEXTS, strict=True):
        assert_same(tags_of(output.text), slowly(loaded, tokenizer, text, task.types))
    assert len(predict(name, entry, TEXTS, [], model, "free")) == 2
    whole_texts_are_tagged(model)
    merge(model, entry, tmp_path / "merged", TEXTS)
    merged = load_trained(tmp_path / "merged", entry.model_copy(update={"lora": None}))[0]
    same_logits(loaded, load_trained(model, entry, merged=True)[0], 1e-5)
    same_logits(loaded, merged, 1e-5)


@pytest.mark.parametrize("name", sorted(LLMS))
def test_an_llm_with_a_head(name, tmp_path):
    entry, model = trained(name, tmp_path, family="llm-head", max_length=64, lora=LORA)
    outputs = predict(name, entry, TEXTS, [], model, "direct")
    assert [set(output.words) for output in outputs] == [set(range(6)), set(range(4))]
    whole_texts_are_tagged(model)

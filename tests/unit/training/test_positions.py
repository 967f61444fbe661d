"""A model with learned positions is trained and used although sentences exceed them."""

import json
import logging

import pytest

from bioner.inference.decoding.drafts import TABLE_FILE
from bioner.inference.predict import predict
from bioner.inference.tagging import Text, load_tagger
from bioner.settings.catalogue import parse_entry
from bioner.settings.model_entry import ModelEntry
from bioner.training.job import TrainingJob
from bioner.training.run import train
from tests.conftest import instance
from tests.families import make

SHORT = instance("short", "No/O gout/B-Disease ./O")
LONG = instance("long", " ".join(["No/O gout/B-Disease ./O"] * 60))


@pytest.mark.parametrize("name", ["gpt2", "opt"])
def test_a_sentence_beyond_the_positions_is_split_in_training_and_has_no_answer(
    name, tmp_path, caplog
):
    source = make(name, [SHORT, LONG], tmp_path / "source")  # 512 positions
    steps = {"epochs": 1, "batch_size": 2, "patience": None}
    described = {
        "family": "llm",
        "source": {"hub": str(source)},
        "lora": None,
        "train": steps,
        "max_length": 2048,
    }
    entry = parse_entry(ModelEntry, name, described)
    with caplog.at_level(logging.WARNING):
        train(TrainingJob(name, entry, [SHORT, LONG], [SHORT, LONG], 7), tmp_path / "run")
    assert "1 of 2 sentences exceed 512 ids and are split" in caplog.text
    assert "1 sentences need more than the model's 512 positions, 'long' the most" in caplog.text
    examples = json.loads((tmp_path / "run/run.json").read_text())["examples"]
    assert (examples["over_length"], examples["longest"] <= 512) == (1, True)
    model = tmp_path / "run" / "model"
    assert (model / TABLE_FILE).is_file()
    for decoding in ("constrained", "free"):
        outputs = predict(name, entry, [SHORT, LONG], [], model, decoding)
        assert [bool(output.text) for output in outputs] == [True, False]
    long = Text("long", " ".join(LONG.tokens[:-1]))
    assert [text.id for text, _ in load_tagger(model, segmentation="passages")([long])] == ["long"]

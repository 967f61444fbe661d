"""The formats' examples in docs/corpora.md: each overlay reads the file above it."""

import re
from typing import get_args

import pytest
import yaml

from bioner.corpora.fetching.fetch import fetch
from bioner.corpora.normalize import normalize
from bioner.data.instances import SPLITS
from bioner.settings.catalogue import load_datasets, load_models
from bioner.settings.config import load_config, merged
from bioner.settings.dataset_entry import Format
from bioner.settings.matrix import load_matrix
from bioner.settings.repository import DEFAULT_CONFIG, REPOSITORY
from bioner.settings.yaml_files import read_yaml
from tests.unit.corpora.readers import write

TOKENS, TAGS = ["Aspirin", "cures", "gout", "."], ["B-Chemical", "O", "B-Disease", "O"]
BLOCK = re.compile(r"^```(?P<language>\w+)(?: (?P<name>\S+))?\n(?P<content>.*?)^```$", re.M | re.S)


def examples():
    """Yield each overlay of the section on formats, with the files that stand before it."""
    manual = (REPOSITORY / "docs" / "corpora.md").read_text(encoding="utf-8")
    section = manual.split("\n## Formats\n")[1].split("\n## ")[0]
    files = {}
    for block in BLOCK.finditer(section):
        if block["name"]:
            files[block["name"]] = (block["language"], block["content"])
        else:
            yield yaml.safe_load(block["content"]), files
            files = {}


EXAMPLES = [(overlay, files) for overlay, files in examples() if files]
OVERLAYS = [overlay for overlay, files in examples() if not files]


def configured(overlay):
    return load_config(merged(read_yaml(DEFAULT_CONFIG), overlay))


@pytest.mark.parametrize(
    ("overlay", "files"),
    EXAMPLES,
    ids=[overlay["dataset_overrides"]["mine"]["format"] for overlay, _ in EXAMPLES],
)
def test_an_example_is_read_by_its_overlay(tmp_path, monkeypatch, overlay, files):
    monkeypatch.setattr("bioner.corpora.fetching.sources.REPOSITORY", tmp_path)
    for name, (language, content) in files.items():
        for split in SPLITS:
            path = write(tmp_path / name.replace("train", split), content)
            if language == "python":  # it writes the file
                exec(content.replace(name, str(path)), {})
    entry = load_datasets(configured(overlay))["mine"]
    fetch("mine", entry, tmp_path / "raw", mirror=None)
    splits = normalize("mine", entry, tmp_path / "raw", tmp_path / "out")
    for split in SPLITS:
        read = [(instance.tokens, instance.tags) for instance in splits[split]]
        assert read == [(TOKENS, TAGS)] * len(read), split
        assert splits[split][0].doc in ("7", f"{split}-0001")


def test_every_format_but_the_paper_s_error_has_an_example():
    shown = {overlay["dataset_overrides"]["mine"]["format"] for overlay, _ in EXAMPLES}
    assert shown == {*get_args(Format)} - {"dygie-misread"}


def test_one_source_is_divided_and_an_encoder_of_one_s_own_runs_beside_others():
    divided, own = OVERLAYS
    assert load_datasets(configured(divided))["mine"].split.test == 0.2
    config = configured(own)
    mine, original = (load_models(config)[name] for name in ("my-encoder", "biomedbert-large"))
    assert (mine.source.hub, mine.train.learning_rate) == ("/data/models/my-encoder", 3e-5)
    assert mine.train.epochs == original.train.epochs
    assert "my-encoder" in load_matrix(config, [DEFAULT_CONFIG]).models

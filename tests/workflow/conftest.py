"""A corpus of a few sentences in a folder of its own, ready to be run."""

from pathlib import Path

import pytest
import yaml

SENTENCES = {
    "train": (
        "# t1\n{Drug|Aspirin} relieves {Pain|severe head ache} .\nNo {Pain|tooth ache} today .\n"
    ),
    "dev": "# d1\n{Drug|Aspirin} again .\n",
    "test": (
        "# e1\n{Drug|Aspirin} for {Pain|tooth ache} .\nA {Pain|severe head ache} and no"
        " {Drug|aspirin} .\n"
    ),
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with a three-file corpus, a catalogue that describes it, and a configuration that
    names it.
    """
    files = {f"{split}.txt": {"path": str(tmp_path / f"{split}.txt")} for split in SENTENCES}
    for split, text in SENTENCES.items():
        (tmp_path / f"{split}.txt").write_text(text)
    entry = {
        "format": "inline",
        "files": files,
        "splits": {split: f"{split}.txt" for split in SENTENCES},
    }
    (tmp_path / "datasets.yaml").write_text(yaml.safe_dump({"tiny": entry}))
    catalogues = {"datasets": ["config/datasets.yaml", str(tmp_path / "datasets.yaml")]}
    config = {
        "datasets": ["tiny"],
        "models": ["oracle", "all-o", "dictionary"],
        "catalogues": catalogues,
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    return tmp_path

"""Models fetched before a run: one that cannot be had stops no other, and in the end all of these
are named.
"""

import json

import yaml

from bioner.settings.catalogue import load_models
from bioner.settings.config import load_config
from bioner.settings.repository import DEFAULT_CONFIG
from bioner.settings.yaml_files import read_yaml
from tests.workflow.model_folder import model_folder
from tests.workflow.snakemake import snakemake

MODELS = ["bert-small", "minilm", "smollm2-135m"]


def cache(folder, hub, commit):
    """The hub's cache with one small model in it."""
    model_folder(folder / "hub" / f"models--{hub.replace('/', '--')}" / "snapshots" / commit)


def test_all_models_are_asked_for_and_those_that_failed_are_named(tmp_path, monkeypatch):
    catalogue = load_models(load_config(read_yaml(DEFAULT_CONFIG), [DEFAULT_CONFIG]))
    sources = {name: catalogue[name].source for name in MODELS}
    (tmp_path / "models").mkdir()
    # Noted by a run before, whose cache was cleared; entries name commits.
    for name, source in sources.items():
        record = {"hub": source.hub, "revision": source.revision, "commit": source.revision}
        (tmp_path / f"models/{name}.json").write_text(json.dumps(record))
    cache(tmp_path / "home", sources["minilm"].hub, sources["minilm"].revision)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    overlay = tmp_path / "run.yaml"
    settings = {"datasets": ["demo"], "models": MODELS, "hf_home": str(tmp_path / "home")}
    overlay.write_text(yaml.safe_dump(settings))

    done = snakemake(tmp_path, "prefetch", "--configfile", str(overlay), "--cores", "1")

    said = (tmp_path / "logs/prefetch.log").read_text()
    assert done.returncode != 0
    first, second, third, last = said.splitlines()
    for line, name in ((first, "bert-small"), (third, "smollm2-135m")):
        assert line.startswith(
            f"bioner: {sources[name].hub}: found no model of this name in the cache"
        )
    assert second.startswith(
        f"snapshot minilm: {sources['minilm'].hub} at {sources['minilm'].revision}, "
    )
    assert last.startswith("bioner: prefetch: not fetched: bert-small smollm2-135m. ")

"""Models in the hub's cache and in folders: whole, or told what lacks."""

import json
import struct

import huggingface_hub
import pytest

from bioner.models.model_files import find_problem, weights_of
from bioner.ops.doctor.cache import Source, check_snapshot, fault_of, sources
from bioner.settings.catalogue import load_models
from bioner.settings.config import load_config
from bioner.settings.matrix import Matrix

COMMIT = "0123456789abcdef0123456789abcdef01234567"
INDEX = "model.safetensors.index.json"


def safetensors(values):
    """The bytes of a file with one tensor: length of the header (8 bytes), header, four bytes a
    number.
    """
    header = {"w": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(4 * values)


def make_model(folder, **files):
    """A folder with a model of one file; a keyword replaces a file of that stem, None leaves it
    out.
    """
    contents = {
        "config.json": b'{"model_type": "bert"}',
        "tokenizer.json": b"{}",
        "model.safetensors": safetensors(4),
    }
    contents |= {
        next(name for name in contents if name.startswith(stem)): text
        for stem, text in files.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        if text is not None:
            (folder / name).write_bytes(text)
    return folder


def shard(folder, names):
    (folder / "model.safetensors").unlink()
    weights = {f"layer{number}": name for number, name in enumerate(names)}
    (folder / INDEX).write_text(json.dumps({"weight_map": weights}))
    for name in names:
        (folder / name).write_bytes(safetensors(4))


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """The folder of the model a/b in the cache at COMMIT, which the branch `main` stands for."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--a--b"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return make_model(repository / "snapshots" / COMMIT)


def source(hub="a/b", revision="main"):
    return Source(hub, revision, ("mine",), 0.0)


def line(one):
    (finding,) = check_snapshot(one)
    assert (finding.state == "ok") == (fault_of(one) is None)
    return str(finding)


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_whole_model_is_found_by_branch_and_commit(cached, revision):
    assert (
        line(source(revision=revision))
        == f"ok   snapshot   a/b (mine): 0.0 GiB of weights at {COMMIT}"
    )


@pytest.mark.parametrize("revision", ["v2", COMMIT[::-1]])
def test_another_revision_is_not_taken_for_it(cached, revision):
    told = line(source(revision=revision))
    assert told.startswith(f"FAIL snapshot   a/b (mine): not in the cache, at {revision}.")
    assert f"`hf download a/b --revision {revision}`" in told


def test_a_model_that_is_not_there_is_told_how_to_fetch(cached):
    assert line(source("a/c")).endswith(
        "with the same HF_HOME: `snakemake prefetch`, or `hf download a/c`."
    )


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"config": None}, "no config.json"),
        ({"config": b'{"cut'}, "config.json cannot be read"),
        ({"tokenizer": None}, "no tokenizer"),
        ({"model": None}, "no weights"),
        ({"model": b""}, "model.safetensors cannot be read"),
        ({"model": safetensors(4)[:-1]}, "model.safetensors cannot be read"),
    ],
)
def test_what_a_model_lacks_is_named(tmp_path, files, fault):
    assert find_problem(make_model(tmp_path / "whole")) is None
    assert find_problem(make_model(tmp_path / "faulty", **files)).startswith(fault)


def test_every_shard_that_the_index_names_is_there(cached):
    shard(cached, ["model-1.safetensors", "model-2.safetensors"])
    assert line(source()).startswith("ok")
    (cached / "model-2.safetensors").write_bytes(safetensors(4)[:20])
    assert "model-2.safetensors cannot be read" in line(source())
    (cached / "model-2.safetensors").unlink()
    assert "no model-2.safetensors" in line(source())


def test_a_link_to_a_file_that_was_cleared_away_is_no_file(cached):
    (cached / "model.safetensors").unlink()
    (cached / "model.safetensors").symlink_to("../../blobs/gone")
    assert "no weights" in line(source())


def test_weights_are_looked_for_as_transformers_does(tmp_path):
    make_model(tmp_path, model=None)
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    assert weights_of(tmp_path) == ["pytorch_model.bin"]
    assert find_problem(tmp_path) is None
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    assert find_problem(tmp_path) == "pytorch_model.bin is empty"
    (tmp_path / INDEX).write_text('{"weight_map": {"a": "2", "b": "1", "c": "1"}}')
    assert weights_of(tmp_path) == ["1", "2"]
    (tmp_path / "model.safetensors").write_bytes(safetensors(1))
    assert weights_of(tmp_path) == ["model.safetensors"]


def test_a_local_folder_is_read_itself(tmp_path):
    folder = make_model(tmp_path / "own")
    assert line(source(str(folder))) == f"ok   snapshot   {folder} (mine): 0.0 GiB of weights"
    (folder / "tokenizer.json").unlink()
    told = line(source(str(folder)))
    assert told.startswith("FAIL")
    assert "hf download" not in told


def test_a_local_folder_that_is_not_there_is_no_hub_id(tmp_path):
    told = line(source(str(tmp_path / "nowhere")))
    assert "no such folder" in told
    assert "hf download" not in told


def run_of(models, **settings):
    config = load_config({"models": models, **settings})
    return Matrix(config, {}, load_models(config)).required()


def test_controls_need_nothing():
    assert run_of(["oracle", "all-o", "dictionary"]) == {}


def test_members_of_ensembles_are_needed_and_those_chosen_later_are_not():
    assert set(run_of(["vote-of-six"])) >= {"bert-large-cased", "mistral-7b", "llama-8b"}
    assert list(run_of(["bert-small", "smollm2-135m", "best-union"])) == [
        "bert-small",
        "smollm2-135m",
    ]


@pytest.mark.parametrize(
    ("decodings", "models"),
    [(["constrained"], ["smollm2-135m", "minilm"]), (["free"], ["smollm2-135m"])],
)
def test_an_encoder_to_draft_from_is_needed_where_drafts_are(decodings, models):
    settings = {"smollm2-135m": {"predict": {"draft": "minilm"}}}
    assert list(run_of(["smollm2-135m"], decodings=decodings, model_overrides=settings)) == models


def test_a_model_under_several_names_is_one_source(tmp_path):
    run = run_of(["llama-8b", "llama-8b-head", "bert-small", "bert-mini"])
    revision = run["llama-8b"].source.revision
    found = sources(run, tmp_path)
    assert found == [
        Source("meta-llama/Llama-3.1-8B-Instruct", revision, ("llama-8b", "llama-8b-head"), 16.1),
        Source("google/bert_uncased_L-4_H-512_A-8", "main", ("bert-small",), 0.0),
    ]


@pytest.mark.parametrize(
    ("record", "revision"),
    [
        ({"hub": "google/bert_uncased_L-4_H-512_A-8", "commit": COMMIT}, COMMIT),
        ({"hub": "another/model", "commit": COMMIT}, "main"),
        ([], "main"),
    ],
)
def test_the_commit_that_was_fetched_for_a_run_is_looked_for(tmp_path, record, revision):
    (tmp_path / "bert-small.json").write_text(json.dumps(record))
    (found,) = sources(run_of(["bert-small"]), tmp_path)
    assert found.revision == revision

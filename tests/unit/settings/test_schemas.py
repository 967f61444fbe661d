"""The generated schemas accept and refuse what the settings do."""

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from bioner.settings.config import Configuration, merged
from bioner.settings.dataset_entry import DatasetEntry
from bioner.settings.model_entry import ModelEntry
from bioner.settings.repository import DEFAULT_CONFIG, REPOSITORY
from bioner.settings.yaml_files import read_yaml

SETTINGS = {"config": Configuration, "datasets": DatasetEntry, "models": ModelEntry}
SCHEMAS = {
    kind: yaml.safe_load(
        (REPOSITORY / "workflow" / "schemas" / f"{kind}.schema.yaml").read_text(encoding="utf-8")
    )
    for kind in SETTINGS
}
OVERLAYS = sorted(
    path
    for path in (REPOSITORY / "config").glob("*.yaml")
    if not path.stem.startswith(("datasets", "models"))
)

CORPUS = {"format": "conll", "splits": {"train": "a", "dev": "b", "test": "c"}}
DIVIDED = {"format": "brat", "splits": {"all": "a"}, "split": {"dev": 0.1, "test": 0.2}}
ENCODER = {"family": "encoder", "source": {"hub": "a/b"}}
LLM = {"family": "llm", "source": {"hub": "a/b"}}
HEAD = {"family": "llm-head", "source": {"hub": "a/b"}}
CONTROL = {"family": "control", "control": "oracle"}
GOOD = {
    "config": [
        {},
        {"seeds": [0, 2**32 - 1]},
        {"seeds": [2.0]},
        {"prices": {"gpu_hour": 2}},
        {"offline": None},
    ],
    "datasets": [CORPUS, CORPUS | {"files": {name: {} for name in "abc"}}, DIVIDED],
    "models": [
        *(ENCODER, LLM, HEAD, CONTROL, {"family": "ensemble", "members": ["a", "b"]}),
        ENCODER | {"lora": None},
        ENCODER | {"search_space": {}},
        ENCODER | {"train": {"epochs": 3, "head_learning_rate": 1e-3}},
        ENCODER | {"cost_estimates": {"prediction": {"free-paper": 3}}},
        LLM | {"lora": {}, "quantization": "nf4"},
        LLM | {"train": {"loss": "tags", "monitor_sentences": 3}},
        HEAD | {"attention": "bidirectional", "repeat": 2},
    ],
}
BAD = {
    "config": [
        *({"x": 1}, {"seeds": []}, {"seeds": [-1]}, {"seeds": [2**32]}, {"seeds": [1.5]}),
        *({"seeds": [1, 1]}, {"models": []}, {"models": None}, {"decodings": ["x"]}),
        *({"out": ""}, {"out": "~x"}, {"out": "a b"}, {"offline": 3}, {"run_search": 1}),
        *({"timing": {"repeats": 0}}, {"timing": {"repeats": True}}, {"timing": None}),
        *({"scoring": {"length_cuts": [0]}}, {"compare": {"resamples": 3}}),
        {"compare": {"resamples": 100_001}},
        *({"prices": {"gpu_hour": -1}}, {"catalogues": {"x": []}}, {"realign": {"method": "x"}}),
        {"model_overrides": {"a": 1}},
    ],
    "datasets": [
        *({}, {"format": "conll"}, CORPUS | {"format": "x"}, CORPUS | {"max_tokens": 0}),
        CORPUS | {"files": {"../x": {}}},
        CORPUS | {"files": {"a": {"sha256": "q"}}},
        CORPUS | {"files": {"a": {"url": ["ftp://x"]}}},
        CORPUS | {"splits": {"train": "", "dev": "b", "test": "c"}},
        CORPUS | {"splits": {"train": "a", "dev": "b"}},
        *(CORPUS | {"redistributable": "maybe"}, CORPUS | {"labels": [1]}),
        CORPUS | {"tag_column": None},
        DIVIDED | {"split": {"dev": 0, "test": 0.2}},
        DIVIDED | {"splits": {"all": "a", "train": "b", "dev": "c", "test": "d"}},
    ],
    "models": [
        *({}, {"family": "encoder"}, {"family": "control"}, {"family": "x"}, ENCODER | {"x": 1}),
        {"family": "ensemble", "members": ["a"]},
        {"family": "ensemble", "members": ["a", "a"]},
        CONTROL | {"members": ["x"]},
        CONTROL | {"search_space": {"epochs": [1]}},
        *(ENCODER | {"control": "oracle"}, ENCODER | {"verbalizer": "letters"}),
        *(ENCODER | {"lora": {}}, ENCODER | {"quantization": "nf4"}),
        ENCODER | {"attention": "bidirectional"},
        *(ENCODER | {"repeat": 2}, HEAD | {"repeat": 3}),
        *(ENCODER | {"train": {"loss": "tags"}}, ENCODER | {"train": {"monitor_sentences": 3}}),
        *(ENCODER | {"train": {"epochs": value}} for value in (0, 1e9, True, "many")),
        *(LLM | {"label_subwords": "last"}, LLM | {"attention": "bidirectional"}),
        LLM | {"train": {"head_learning_rate": 1e-3}},
        {"family": "control", "control": "oracle", "predict": {"weights": "as-trained"}},
        {"family": "ensemble", "members": ["a", "b"], "predict": {"weights": "as-trained"}},
        *(ENCODER | {"search_space": {"learning_rate": values}} for values in ([], [1, 1], [0])),
        ENCODER | {"search_space": {"batch_size": [1.5]}},
        ENCODER | {"search_space": {"warmup_ratio": [1]}},
        ENCODER | {"search_space": {"optimizer": ["x"]}},
        *(ENCODER | {"max_length": 1}, ENCODER | {"resources": {"gpus": -1}}),
        *(ENCODER | {"resources": None}, ENCODER | {"predict": {"draft_length": 0}}),
        ENCODER | {"source": {"scratch": {}}},
        ENCODER | {"source": {"scratch": {"architecture": "gpt"}}},
        ENCODER | {"cost_estimates": {"prediction": {"free_paper": 3}}},
        ENCODER | {"cost_estimates": {"device": ""}},
    ],
}


def verdicts(kind, tree):
    """What the schema says, and what the settings say."""
    whole = tree if kind == "config" else {"mine": tree}
    try:
        SETTINGS[kind].model_validate(tree)
        accepted = True
    except ValidationError:
        accepted = False
    return jsonschema.Draft202012Validator(SCHEMAS[kind]).is_valid(whole), accepted


@pytest.mark.parametrize(("kind", "tree"), [(kind, tree) for kind in GOOD for tree in GOOD[kind]])
def test_both_accept_what_makes_sense(kind, tree):
    assert verdicts(kind, tree) == (True, True)


@pytest.mark.parametrize(("kind", "tree"), [(kind, tree) for kind in BAD for tree in BAD[kind]])
def test_both_refuse_what_makes_none(kind, tree):
    assert verdicts(kind, tree) == (False, False)


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.name)
def test_both_accept_every_configuration_of_the_repository(path):
    assert verdicts("config", merged(read_yaml(DEFAULT_CONFIG), read_yaml(path))) == (True, True)


@pytest.mark.parametrize("name", ["datasets", "models", "models-2026"])
def test_both_accept_every_entry_of_the_catalogues_once_completed(name):
    kind = name.partition("-")[0]
    for entry in read_yaml(REPOSITORY / "config" / f"{name}.yaml").values():
        completed = SETTINGS[kind].model_validate(entry).canonical()
        assert verdicts(kind, completed) == (True, True)

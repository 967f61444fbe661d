"""Catalogues: overlays, faults by file and line, schemas, what is shipped."""

import datetime
import re

import pytest
import yaml

from bioner.errors import InputError
from bioner.settings.catalogue import find, load_datasets, load_models, parse_entry
from bioner.settings.config import load_config, merged
from bioner.settings.dataset_entry import DatasetEntry
from bioner.settings.matrix import Matrix, load_matrix
from bioner.settings.model_entry import ModelEntry
from bioner.settings.repository import DEFAULT_CONFIG, REPOSITORY
from bioner.settings.yaml_files import read_yaml

OVERLAYS = sorted((REPOSITORY / "config").glob("*.yaml"))
CONFIGURATIONS = [path for path in OVERLAYS if not path.stem.startswith(("datasets", "models"))]


def test_settings_change_the_named_keys_of_a_model_and_no_other():
    shipped = load_models(load_config({}))
    changed = load_models(load_config({"model_overrides": {"bert-mini": {"train": {"epochs": 3}}}}))
    expected = shipped["bert-mini"].train.model_copy(update={"epochs": 3})
    assert changed["bert-mini"].train == expected
    assert changed["llama-mini"] == shipped["llama-mini"]


def test_costs_are_no_part_of_what_training_and_prediction_depend_on():
    """Otherwise a better estimate would retrain everything."""
    shipped = load_models(load_config({}))
    costs = {"device": "A100", "model_gb": 9.0, "training": {"seconds": 7}}
    for name in ("deberta-v3-large", "mistral-7b"):
        before = shipped[name]
        after = load_models(load_config({"model_overrides": {name: {"cost_estimates": costs}}}))[
            name
        ]
        none = load_models(load_config({"model_overrides": {name: {"cost_estimates": None}}}))[name]
        expected = merged(before.cost_estimates.canonical(), costs)
        assert after.cost_estimates.canonical() == expected
        assert none.cost_estimates is None
        for entry in (after, none):
            assert entry.training_settings() == before.training_settings()
            assert entry.prediction_settings() == before.prediction_settings()
            for trial, trained in entry.trials().items():
                assert trained.training_settings() == before.trials()[trial].training_settings()


@pytest.mark.parametrize(
    ("model", "changes", "again"),
    [
        ("llama-8b", {"train": {"epochs": 7}}, ["training"]),
        ("llama-8b", {"train": {"precision": "fp32"}}, ["training", "prediction"]),
        ("llama-8b", {"max_length": 99}, ["training", "prediction"]),
        ("llama-8b", {"predict": {"batch_size": 3}}, ["prediction"]),
        ("bert-mini", {"predict": {"batch_size": 3}}, ["prediction"]),
        ("llama-8b", {"predict": {"legal_transitions": True}}, ["training", "prediction"]),
        ("llama-8b", {"predict": {"weights": "as-trained"}}, ["prediction"]),
        ("bert-mini", {"predict": {"weights": "as-trained"}}, []),
        ("llama-8b", {"resources": {"gpus": 5}}, ["training"]),
        ("llama-8b", {"resources": {"predict_gpus": 5}}, ["prediction"]),
        ("llama-8b", {"resources": {"threads": 5}}, ["training", "prediction"]),
        ("llama-8b", {"resources": {"runtime": 5, "mem_mb": 5}}, []),
        ("llama-8b", {"search_space": {"learning_rate": [0.5]}}, []),
        ("llama-8b", {"training_cutoff": "2024-01"}, []),
    ],
)
def test_what_a_changed_setting_runs_again(model, changes, again):
    shipped = load_models(load_config({}))[model]
    changed = load_models(load_config({"model_overrides": {model: changes}}))[model]
    assert changed != shipped
    depends = {
        "training": ModelEntry.training_settings,
        "prediction": ModelEntry.prediction_settings,
    }
    assert [
        name for name, settings in depends.items() if settings(changed) != settings(shipped)
    ] == again


def test_predictions_as_trained_are_made_again_only_if_merging_changes_the_model():
    """The settings of versions that did not merge lack `weights`."""
    models = load_models(load_config({}))
    again = {
        (name, decoding)
        for name in ("oracle", "bert-mini", "biomedbert-large", "llama-8b")
        for decoding in ("direct", "constrained", "free-paper")
        if "weights" in models[name].prediction_settings(decoding)["predict"]
    }
    assert again == {
        (name, decoding)
        for name in ("biomedbert-large", "llama-8b")
        for decoding in ("direct", "constrained")
    }
    assert not any("weights" in entry.canonical()["predict"] for entry in models.values())


def test_a_folder_of_the_user_s_is_not_fetched_from_the_hub_though_its_name_might_be_a_model_s(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    entry = parse_entry(ModelEntry, "mine", {"family": "encoder", "source": {"hub": "models/mine"}})
    assert entry.is_from_hub
    (tmp_path / "models/mine").mkdir(parents=True)
    assert not entry.is_from_hub


def test_a_model_from_elsewhere_is_not_sought_at_the_commit_of_the_one_it_replaces():
    shipped = load_models(load_config({}))["llama-8b"].source
    source = {
        "other": {"hub": "a/b"},
        "same": {"hub": shipped.hub},
        "pinned": {"hub": "a/b", "revision": "v2"},
    }
    settings = {name: {"like": "llama-8b", "source": changes} for name, changes in source.items()}
    models = load_models(load_config({"model_overrides": settings}))
    found = {name: models[name].source.revision for name in source}
    assert found == {"other": "main", "same": shipped.revision, "pinned": "v2"}
    assert shipped.revision != "main"


def test_a_model_from_elsewhere_does_not_have_the_training_cutoff_of_the_one_it_replaces():
    shipped = load_models(load_config({}))["llama-8b"]
    settings = {
        "other": {"like": "llama-8b", "source": {"hub": "a/b"}},
        "same": {"like": "llama-8b", "train": {"epochs": 1}},
        "known": {"like": "llama-8b", "source": {"hub": "a/b"}, "training_cutoff": "2025-01"},
    }
    models = load_models(load_config({"model_overrides": settings}))
    found = {name: models[name].training_cutoff for name in settings}
    assert found == {"other": None, "same": shipped.training_cutoff, "known": "2025-01"}
    assert shipped.training_cutoff == "2023-12"


def test_a_record_of_an_earlier_version_has_the_training_cutoff_in_its_card():
    card = {"architecture": "bert", "license": "mit", "gated": False, "parameters": 9}
    tree = {"family": "encoder", "source": {"hub": "a/b"}}
    old = ModelEntry.model_validate(tree | {"card": card | {"training_cutoff": "2024-08"}})
    assert old == ModelEntry.model_validate(tree | {"card": card, "training_cutoff": "2024-08"})


def test_nothing_is_read_or_counted_otherwise_because_a_year_is_known():
    shipped = load_datasets(load_config({}))["JNLPBA"]
    changes = {"dataset_overrides": {"JNLPBA": {"published": 1999}}}
    changed = load_datasets(load_config(changes))["JNLPBA"]
    assert (changed.published, changed.entities) == (1999, shipped.entities)


def test_every_corpus_that_ships_states_its_year():
    assert all(entry.published for entry in load_datasets(load_config({})).values())


def test_a_source_that_is_no_mapping_is_bad_input():
    settings = {"model_overrides": {"bert-mini": {"source": 1}}}
    with pytest.raises(InputError, match=r"bert-mini\.source = 1; expected a mapping of keys"):
        load_models(load_config(settings))


def test_settings_are_checked_like_a_catalogue_entry():
    with pytest.raises(
        InputError, match=r"model_overrides.*bert-mini\.train\.epoch'.*Did you mean 'epochs'"
    ):
        load_models(load_config({"model_overrides": {"bert-mini": {"train": {"epoch": 3}}}}))
    with pytest.raises(
        InputError, match=r"model_overrides.*unknown model 'bert-mni'.*Did you mean 'bert-mini'"
    ):
        load_models(load_config({"model_overrides": {"bert-mni": {"max_length": 64}}}))


MINE = """dataset_overrides:
  mine:
    format: conll
    splits: {train: /x/a.txt, dev: b, test: c}
"""


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("model_overrides:\n  bert-mini:\n    lora: {r: 8}\n", 3, "bert-mini.lora: found another"),
        ("model_overrides:\n  mistral-7b:\n    lora: null\n", 2, "quantization: found 4-bit"),
        ("model_overrides:\n  bert-mini:\n    max_length: 1\n", 3, "max_length = 1; expected"),
        ("model_overrides:\n  vote-of-six:\n    members: [all-o, orcle]\n", 3, "mean 'oracle'?"),
        ("model_overrides:\n  llama-mini:\n    predict: {draft: Table}\n", 3, "draft 'Table'"),
        ("model_overrides:\n  bert-mni: {}\n", 2, "bert-mni: found the unknown model"),
        ("model_overrides:\n  a b: {like: bert-mini}\n", 2, "the name 'a b'"),
        ("model_overrides:\n  a:\n    like: [bert-mini]\n", 3, "a.like: found ['bert-mini']"),
        ("model_overrides:\n  a:\n    like: bert-mni\n", 3, "Did you mean 'bert-mini'?"),
        ("model_overrides:\n  a: {like: b}\n  b: {like: a}\n", 2, "a circle: a like b like a"),
        ("model_overrides:\n  a: {like: a}\n", 2, "a circle: a like a"),
        ("out: x\ndatasets: JNLPBA,jnlpab\n", 2, "'jnlpab'"),
        ("dataset_overrides:\n  jnlpba: {max_tokens: 9}\n", 2, "Did you mean 'JNLPBA'?"),
        ("dataset_overrides:\n  mine: {format: conll}\n", 2, "mine without splits"),
        (f"{MINE}    files: {{b: {{}}, c: {{}}, d: {{}}}}\n", 5, "d, which no split names"),
        (f"{MINE}    files: {{b: {{}}, c: {{}}, train.txt: {{}}}}\n", 4, "another train.txt under"),
        ("dataset_overrides:\n  BC5CDR:\n    files: {x: {}}\n", 3, "x, which no split names"),
    ],
)
def test_a_mistake_in_an_overlay_is_named_by_file_and_line(tmp_path, text, line, said):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_matrix(load_config(read_yaml(path), [DEFAULT_CONFIG, path]), [DEFAULT_CONFIG, path])
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert said in str(caught.value)


def test_a_model_may_be_like_one_that_stands_below_it():
    overrides = {
        "a": {"like": "b", "max_length": 64},
        "b": {"like": "bert-mini", "label_subwords": "first"},
    }
    models = load_models(load_config({"model_overrides": overrides}))
    assert (models["a"].max_length, models["a"].label_subwords) == (64, "first")
    assert models["b"].max_length == models["bert-mini"].max_length


def test_a_catalogue_without_entries_is_named_as_that():
    with pytest.raises(InputError, match="expected a catalogue with entries"):
        load_matrix(load_config({"catalogues": {"models": []}}), [])


def catalogue_of(path, text):
    path.write_text(text, encoding="utf-8")
    return load_models(load_config({"catalogues": {"models": ["config/models.yaml", str(path)]}}))


def test_a_later_catalogue_adds_and_replaces_entries(tmp_path):
    models = catalogue_of(
        tmp_path / "mine.yaml",
        "mine: {family: encoder, source: {hub: a/b}}\noracle: {family: llm, source: {hub: a/b}}\n",
    )
    assert models["mine"].source.canonical() == {"hub": "a/b", "revision": "main", "scratch": None}
    assert models["oracle"].family == "llm"
    assert models["all-o"].control == "all-o"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("mine:\n  family: encoder\n  source: {hub: a/b}\n  max_length: long\n", 4),
        ("mine:\n  family: encoder\n  source: {hub: a/b}\n  train:\n    epoch: 3\n", 5),
        (
            (
                "first: &all\n  family: encoder\n  source: {hub: a/b}\n  max_length:"
                " long\nsecond:\n  <<: *all\n"
            ),
            4,
        ),
        ("first:\n  max_length: 64\n", 1),
    ],
    ids=["wrong type", "unknown key", "merged from an anchor", "family is required"],
)
def test_a_fault_in_a_catalogue_is_named_by_file_and_line(tmp_path, text, line):
    path = tmp_path / "mine.yaml"
    with pytest.raises(InputError) as caught:
        catalogue_of(path, text)
    assert str(caught.value).startswith(f"{path}:{line}: ")


@pytest.mark.parametrize(
    "source",
    [{"hub": None}, {"revision": "x"}, {"hub": "a/b", "scratch": {"architecture": "bert"}}],
)
def test_the_source_is_the_hub_or_scratch_and_not_both(source):
    with pytest.raises(InputError, match="one of `hub` and `scratch`"):
        parse_entry(ModelEntry, "mine", {"family": "encoder", "source": source})


@pytest.mark.parametrize("extra", [{"lora": {"r": 8}}, {"quantization": "nf4"}])
def test_an_encoder_takes_no_adapter_and_no_quantization(extra):
    with pytest.raises(InputError):
        parse_entry(ModelEntry, "mine", {"family": "encoder", "source": {"hub": "a/b"}, **extra})


def test_weights_in_4_bits_are_not_trained_without_adapters():
    llm = {"family": "llm", "source": {"hub": "a/b"}, "quantization": "nf4"}
    with pytest.raises(InputError, match="4-bit weights without lora"):
        parse_entry(ModelEntry, "mine", llm | {"lora": None})
    assert parse_entry(ModelEntry, "mine", llm | {"lora": {"r": 8}}).quantization == "nf4"


@pytest.mark.parametrize("name", ["../up", "a/b", "a b", "a;b", "-n"])
@pytest.mark.parametrize(
    ("model", "entry"),
    [
        (DatasetEntry, {"format": "conll", "splits": {"train": "a", "dev": "b", "test": "c"}}),
        (ModelEntry, {"family": "control", "control": "oracle"}),
    ],
)
def test_names_that_would_leave_their_folder_or_reach_the_shell_are_refused(model, entry, name):
    assert parse_entry(model, "good", entry)
    with pytest.raises(InputError):
        parse_entry(model, name, entry)


@pytest.mark.parametrize(
    ("files", "splits", "named"),
    [
        (
            {"a": {}},
            {"train": "a", "dev": "a", "test": "a"},
            "for two splits; expected three files",
        ),
        ({"a": {}, "b": {}}, {"train": "a", "dev": "b", "test": "c"}, "no file c"),
    ],
)
def test_every_split_has_a_file_of_its_own(tmp_path, files, splits, named):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"mine": {"format": "conll", "files": files, "splits": splits}}))
    with pytest.raises(InputError, match=named):
        load_datasets(load_config({"catalogues": {"datasets": [str(path)]}}))


@pytest.mark.parametrize("family", ["encoder", "llm"])
@pytest.mark.parametrize("source", [{}, {"source": {}}])
def test_a_trained_model_needs_a_source(family, source):
    with pytest.raises(InputError, match="source"):
        parse_entry(ModelEntry, "mine", {"family": family, **source})


@pytest.mark.parametrize(
    "entry",
    [{"family": "control"}, {"family": "encoder", "source": {"hub": "a/b"}, "control": "oracle"}],
)
def test_control_is_required_for_and_only_for_controls(entry):
    with pytest.raises(InputError, match="control"):
        parse_entry(ModelEntry, "mine", entry)


@pytest.mark.parametrize(
    ("members", "named"),
    [
        (["oracle"], "members"),
        (["oracle", "oracle"], "members"),
        (
            ["oracle", "bert-large-case"],
            "mine.members.*'bert-large-case'.*Did you mean 'bert-large-cased'",
        ),
        (
            ["oracle", "best-union"],
            "mine.members: found the ensemble 'best-union'; expected models",
        ),
    ],
)
def test_an_ensemble_has_two_different_members_that_are_models(tmp_path, members, named):
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump({"mine": {"family": "ensemble", "members": members}}))
    with pytest.raises(InputError, match=named):
        load_models(load_config({"catalogues": {"models": ["config/models.yaml", str(path)]}}))


@pytest.mark.parametrize(
    ("draft", "named"),
    [
        ("Table", "mine.predict.draft: found the unknown draft 'Table'"),
        (
            "oracle",
            (
                "the control 'oracle'; expected an encoder of the catalogue, or table, dictionary,"
                " all-o"
            ),
        ),
        ("llama-8b", "the llm 'llama-8b'"),
        ("vote-of-six", "the ensemble 'vote-of-six'"),
        ("mine", "the llm 'mine'"),
    ],
)
def test_drafts_come_from_an_encoder_or_the_training_set(tmp_path, draft, named):
    path = tmp_path / "mine.yaml"
    entry = {"family": "llm", "source": {"hub": "a/b"}, "predict": {"draft": draft}}
    path.write_text(yaml.safe_dump({"mine": entry}))
    config = load_config({"catalogues": {"models": ["config/models.yaml", str(path)]}})
    with pytest.raises(InputError, match=named):
        load_models(config)


def test_members_are_for_ensembles_alone():
    with pytest.raises(InputError, match="members"):
        parse_entry(
            ModelEntry, "mine", {"family": "control", "control": "oracle", "members": ["all-o"]}
        )


def test_the_best_of_a_family_needs_one_of_that_family_in_the_run():
    config = load_config({"models": ["bert-large-cased", "best-union"]})
    with pytest.raises(
        InputError, match=r"best-union\.members: found 'best-llm' and no llm among the models"
    ):
        load_matrix(config, [])


def test_the_best_of_a_family_and_one_of_it_may_be_the_same_and_are_not_both_members(tmp_path):
    path = tmp_path / "models.yaml"
    path.write_text(
        yaml.safe_dump(
            {"mine": {"family": "ensemble", "members": ["best-encoder", "bert-large-cased"]}}
        )
    )
    catalogues = {"models": ["config/models.yaml", str(path)]}
    config = load_config({"models": ["biomedbert-large", "mine"], "catalogues": catalogues})
    with pytest.raises(
        InputError, match="'best-encoder' and 'bert-large-cased'; expected one or the other"
    ):
        load_matrix(config, [])


@pytest.mark.parametrize(
    ("kind", "name", "near"),
    [
        ("model", "bert-large-uncase", "bert-large-uncased"),
        ("model", "Mistral-7B", "mistral-7b"),
        ("dataset", "BC5-CDR", "BC5CDR"),
        ("dataset", "jnlpba", "JNLPBA"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(kind, name, near):
    load = {"model": load_models, "dataset": load_datasets}[kind]
    with pytest.raises(InputError, match=rf"unknown {kind} '{name}'.*Did you mean '{near}'\?"):
        find(load(load_config({})), name, kind)


def test_controls_run_once_and_only_llms_decode_in_several_ways():
    models = load_models(load_config({}))
    matrix = Matrix(
        load_config({"seeds": [3, 4], "decodings": ["free", "constrained"]}), {}, models
    )
    assert (matrix.seeds("oracle"), matrix.seeds("bert-mini")) == ([3], [3, 4])
    assert (matrix.decodings("llama-mini"), matrix.decodings("bert-mini")) == (
        ["free", "constrained"],
        ["direct"],
    )
    assert (matrix.headline("llama-mini"), matrix.headline("bert-mini")) == (
        "constrained",
        "direct",
    )


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.name)
def test_every_shipped_configuration_loads_and_names_known_datasets_and_models(path):
    config = load_config(merged(read_yaml(DEFAULT_CONFIG), read_yaml(path)), [DEFAULT_CONFIG, path])
    assert set(config.datasets) <= set(load_datasets(config))
    assert set(config.models) <= set(load_models(config))


def _keys(schema, where=""):
    for key, sub in schema.get("properties", {}).items():
        yield f"{where}{key}", sub
        yield from _keys(sub, f"{where}{key}.")
    for nested in ("additionalProperties", "items"):
        if isinstance(schema.get(nested), dict):
            yield from _keys(schema[nested], f"{where}*.")


SCHEMAS = sorted((REPOSITORY / "workflow" / "schemas").glob("*.yaml"))


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_every_key_of_a_schema_has_a_description(path):
    schema = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert schema["description"]
    assert [name for name, sub in _keys(schema) if not sub.get("description")] == []


SHORT = {
    "format": "conll",
    "splits": {split: f"/data/{split}.tsv" for split in ("train", "dev", "test")},
}


def test_splits_alone_may_name_paths_addresses_or_files_of_the_mirror():
    splits = {
        "train": "mine/train.v2.tsv",
        "dev": "https://example.org/dev.tsv?raw=1",
        "test": "test.tsv",
    }
    entry = parse_entry(DatasetEntry, "mine", {"format": "conll", "splits": splits})
    assert entry.splits.canonical() == {"train": "train.tsv", "dev": "dev.tsv", "test": "test.tsv"}
    sources = {name: (file.path, file.url) for name, file in entry.files.items()}
    assert sources == {
        "train.tsv": ("mine/train.v2.tsv", ()),
        "dev.tsv": (None, ("https://example.org/dev.tsv?raw=1",)),
        "test.tsv": (None, ()),
    }
    assert parse_entry(DatasetEntry, "mine", entry.canonical()) == entry, (
        "the long form of a short entry stays as it is"
    )


def test_a_comma_in_an_address_divides_nothing():
    files = {
        f"{split}.tsv": {"url": f"https://example.org/{split},v2.tsv"}
        for split in ("train", "dev", "test")
    }
    splits = {split: f"{split}.tsv" for split in ("train", "dev", "test")}
    entry = parse_entry(DatasetEntry, "mine", {"format": "conll", "splits": splits, "files": files})
    assert entry.files["dev.tsv"].url == ("https://example.org/dev,v2.tsv",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"splits": SHORT["splits"] | {"dev": "/data/../data/test.tsv"}},
            "/data/test.tsv for two splits",
        ),
        (
            {"splits": SHORT["splits"] | {"dev": "ftp://example.org/dev.tsv"}},
            "expected a path, or an address https",
        ),
        ({"documents": "mine.csv"}, "mine.documents: found a file without one; expected a sha256"),
        (
            {"type_key": "entity"},
            "mine.type_key: found an infon for conll; expected bioc-xml or bioc-json",
        ),
    ],
)
def test_a_wrong_corpus_entry_is_told(changes, said):
    with pytest.raises(InputError, match=said):
        parse_entry(DatasetEntry, "mine", SHORT | changes)


def corpora(**entries):
    return load_datasets(load_config({"dataset_overrides": entries}))


def test_an_overlay_adds_corpora_and_changes_keys_of_others():
    found = corpora(mine=SHORT, BioRED={"token_alignment": "widen"})
    assert found["mine"].files["train.tsv"].path == "/data/train.tsv"
    assert found["BioRED"].token_alignment == "widen"
    assert found["BioRED"].files == load_datasets(load_config({}))["BioRED"].files


def test_an_overlay_with_other_splits_forgets_the_files_and_documents_of_the_old_ones():
    found = corpora(BC5CDR=SHORT)["BC5CDR"]
    assert sorted(found.files) == ["dev.tsv", "test.tsv", "train.tsv"]
    assert found.documents is None


@pytest.mark.parametrize(
    ("changes", "stated"),
    [
        ({"license": "mine", "notice": "Mind.", "mirror_folder": "b"}, (13212, 3526, 3512)),
        ({"token_alignment": "split"}, (13212, 3526, 3512)),  # what it is already
        ({"files": {"Test.PubTator": {"url": ["https://example.org/t"]}}}, (13212, 3526, 3512)),
        ({"entities": {"test": 1}}, (13212, 3526, 1)),
        ({"token_alignment": "widen", "entities": {"test": 3523}}, (None, None, 3523)),
        ({"token_alignment": "widen"}, None),
        ({"splits": {"test": "/x/test.PubTator"}}, None),
        ({"files": {"Test.PubTator": {"sha256": "0" * 64}}}, None),
        ({"entities": None}, None),
    ],
    ids=str,
)
def test_the_number_of_entities_holds_for_the_catalogue_s_files_read_as_it_says(changes, stated):
    found = corpora(BioRED=changes)["BioRED"].entities
    assert (found and (found.train, found.dev, found.test)) == stated


@pytest.mark.parametrize(("said", "closed"), [({}, False), ({"redistributable": False}, True)])
def test_the_text_of_a_corpus_is_shown_unless_its_entry_forbids_it(said, closed):
    assert parse_entry(DatasetEntry, "mine", SHORT | said).redistributable is not closed


def test_text_can_only_be_shown_of_corpora_that_there_are():
    config = load_config({"show_restricted_text": ["Redit-Impacts"]})
    with pytest.raises(InputError, match="Did you mean 'Reddit-Impacts'"):
        load_matrix(config, [])


def test_an_overlay_with_one_other_split_keeps_what_is_known_of_the_rest():
    found = corpora(BC5CDR={"splits": {"test": "/x/test.tsv"}})["BC5CDR"]
    known = load_datasets(load_config({}))["BC5CDR"]
    assert found.files["test.tsv"].path == "/x/test.tsv"
    assert found.files["train.tsv"] == known.files["train.tsv"]
    assert found.splits == known.splits
    assert found.documents is None, "the table is of the known files"

    new = {"splits": {"test": "mine.tsv"}, "files": {"mine.tsv": {"path": "/x/test.tsv"}}}
    assert sorted(corpora(BC5CDR=new)["BC5CDR"].files) == ["devel.tsv", "mine.tsv", "train.tsv"]

    standin = corpora(ChemProt={"splits": {"train": "train.standin.json"}})["ChemProt"].files
    assert standin["train.standin.json"].url == (), "a bare name is a file of the mirror"
    assert sorted(standin) == ["dev.json", "test.json", "train.standin.json"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"family": "llm", "search_space": {"head_learning_rate": [1e-3]}},
            "mine.search_space.head_learning_rate: found values to try; expected none",
        ),
        (
            {"family": "encoder", "search_space": {"epochs": [20_000]}},
            "mine.search_space.epochs: found 20000; expected what train.epochs allows",
        ),
        ({"family": "encoder", "lora": {"r": 8}}, "mine.lora: found another value; expected null"),
        (
            {"family": "encoder", "members": ["a"]},
            r"mine.members: found another value; expected \[\]",
        ),
    ],
)
def test_what_does_not_go_together_is_told_in_the_file_s_words(entry, said):
    with pytest.raises(InputError, match=said):
        parse_entry(ModelEntry, "mine", entry | {"source": {"hub": "a/b"}})


def test_what_json_cannot_hold_is_no_value_of_a_configuration():
    scratch = {"architecture": "bert", "config": {"hidden_size": datetime.date(2024, 1, 1)}}
    with pytest.raises(InputError, match=r"mine\.source\.scratch\.config\.hidden_size"):
        parse_entry(ModelEntry, "mine", {"family": "encoder", "source": {"scratch": scratch}})


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"split": None}, "mine.split: found no `split`; expected `splits: {all: …}` with `split`"),
        ({"splits": SHORT["splits"]}, "mine.split: found `split` for three files"),
        ({"splits": {"train": "a", "dev": "b"}}, "mine.splits: found train, dev; expected train"),
        ({"splits": SHORT["splits"] | {"all": "a/b"}}, "mine.splits: found train, dev, test, all;"),
        ({"split": {"dev": 0.5, "test": 0.5}}, "mine.split: found nothing left for train"),
        ({"split": {"dev": 0.5}}, "mine.split"),
        ({"documents": "x.csv"}, "mine.documents: found a table of documents and `split`"),
    ],
)
def test_one_source_is_divided_and_three_are_not(changed, found):
    described = {"format": "brat", "splits": {"all": "mine/brat"}}
    divided = described | {"split": {"seed": 1, "dev": 0.1, "test": 0.2}}
    entry = parse_entry(DatasetEntry, "mine", divided)
    assert {entry.raw_name(split) for split in ("train", "dev", "test")} == {"all"}
    assert entry.canonical() == parse_entry(DatasetEntry, "mine", entry.canonical()).canonical()
    with pytest.raises(InputError, match=re.escape(found)):
        parse_entry(DatasetEntry, "mine", divided | changed)


@pytest.mark.parametrize("source", ["https://[x/y.txt", "~nobody-of-that-name/x.txt"])
def test_a_split_that_cannot_be_had_names_the_split_or_its_file(source):
    splits = SHORT["splits"] | {"test": source}
    with pytest.raises(InputError, match=r"mine\.(splits|files)\.test"):
        parse_entry(DatasetEntry, "mine", SHORT | {"splits": splits})

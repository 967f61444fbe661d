"""The configuration: defaults, overlays, and faults named by file, line and the nearest key."""

import json
from pathlib import Path
from typing import get_args

import pytest
import yaml

from bioner.comparison.counts import CONVENTIONS, Unit
from bioner.comparison.measures import measures_of
from bioner.errors import InputError
from bioner.settings.catalogue import parse_entry
from bioner.settings.config import MARGINS, Measures, load_config, merged
from bioner.settings.matrix import load_matrix
from bioner.settings.model_entry import ModelEntry
from bioner.settings.repository import DEFAULT_CONFIG
from bioner.settings.yaml_files import read_yaml


@pytest.fixture
def overlay(tmp_path):
    """Return the path of an overlay, and a function that writes and loads it over the default."""
    path = tmp_path / "overlay.yaml"

    def load(text):
        path.write_text(text, encoding="utf-8")
        return load_config(
            merged(read_yaml(DEFAULT_CONFIG), read_yaml(path)), [DEFAULT_CONFIG, path]
        )

    return path, load


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "1e999"])
def test_a_number_that_is_not_finite_is_refused(value):
    train = {"epochs": value}
    with pytest.raises(InputError, match=r"train.epochs"):
        parse_entry(
            ModelEntry, "m", {"family": "encoder", "source": {"hub": "a/b"}, "train": train}
        )


def test_an_empty_configuration_is_the_defaults_at_every_depth():
    config = load_config({})
    assert config.seeds == (42, 43, 44)
    assert config.mirror is None
    assert config.realign.canonical() == {"method": "robust"}
    assert config.scoring.canonical() == {
        "length_cuts": [1, 2],
        "per_type": True,
        "bootstrap": 10_000,
        "bootstrap_seed": 0,
    }
    assert config.timing.canonical() == {
        "sentences": 100,
        "batch_sizes": [1, 16, 64],
        "repeats": 3,
        "seeds": 1,
        "protocols": ["fair"],
    }
    assert config.catalogues.canonical() == {
        "datasets": ["config/datasets.yaml"],
        "models": ["config/models.yaml"],
    }


def test_defaults_are_not_shared_between_configurations():
    load_config({}).canonical()["scoring"]["length_cuts"].append(5)
    assert load_config({}).scoring.length_cuts == (1, 2)
    load_config({}).model_overrides["bert-mini"] = {}
    assert load_config({}).model_overrides == {}


def test_loading_leaves_its_input_as_it_was():
    tree = {"seeds": ["1"], "scoring": {}}
    load_config(tree)
    assert tree == {"seeds": ["1"], "scoring": {}}


def test_overlays_merge_mappings_and_replace_lists():
    base = {"datasets": ["a", "b"], "scoring": {"per_type": True, "length_cuts": [1]}}
    laid = merged(base, {"datasets": ["c"], "scoring": {"length_cuts": [3]}})
    assert laid == {"datasets": ["c"], "scoring": {"per_type": True, "length_cuts": [3]}}
    assert base["datasets"] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "line", "key", "near"),
    [
        ("datasets: [demo]\nmodles: [oracle]\n", 2, "modles", "models"),
        ("datasets: [demo]\nmodles:\n  - oracle\n", 2, "modles", "models"),
        ("scoring:\n  # a comment\n  lenght_cuts: [1]\n", 3, "scoring.lenght_cuts", "length_cuts"),
        ("timings:\n  repeats: 3\n", 1, "timings", "timing"),
    ],
    ids=["one line", "block list", "nested", "block mapping"],
)
def test_an_unknown_key_is_named_by_file_and_line_with_the_nearest_key(
    overlay, text, line, key, near
):
    path, load = overlay
    with pytest.raises(InputError) as caught:
        load(text)
    assert str(caught.value).startswith(f"{path}:{line}: found the unknown key {key!r}")
    assert f"Did you mean {near!r}?" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "found", "expected"),
    [
        ("out: x\ntiming:\n  repeats: three\n", 3, "timing.repeats = 'three'", "integer"),
        ("timing: {repeats: 0}\n", 1, "timing.repeats = 0", "at least 1"),
        ("realign: {method: exact}\n", 1, "'exact'", "one of 'robust' or 'paper'"),
        ("out: x\nmodels:\n", 2, "models = None", "a list"),
        ("seeds: [1,\n  two]\n", 2, "'two'", "integer"),
        ("out: x\nseeds: [1e0]\n", 2, "seeds.0 = '1e0'", "integer"),
        ("out: x\nseeds: 1,-2\n", 2, "seeds.1 = '1,-2'", "at least 0"),
        ("out: x\ndecodings: Free\n", 2, "'Free'", "one of 'free'"),
        ("model_overrides:\n  1: {}\n", 2, "the key 1", "text"),
        ("scoring: true\n", 1, "scoring = True", "a mapping of keys"),
    ],
)
def test_a_wrong_value_is_named_by_file_and_line_with_what_was_expected(
    overlay, text, line, found, expected
):
    path, load = overlay
    with pytest.raises(InputError) as caught:
        load(text)
    place, _, rest = str(caught.value).partition(": found ")
    assert place == f"{path}:{line}"
    assert found in rest.split("; expected ")[0]
    assert expected in rest.split("; expected ")[1]


@pytest.mark.parametrize(
    "text", ["datasets: [demo\nout: x\n", "out: 'x\n", "a: b: c\n", "\tout: x\n", "[out]: x\n"]
)
def test_broken_yaml_is_named_by_file_and_line(overlay, text):
    path, load = overlay
    with pytest.raises(InputError, match=r":\d+: found broken YAML") as caught:
        load(text)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {b: *a}\n",
        "a: &a\n  <<: *a\n",
        "seeds: &a [*a]\n",
        f"seeds: [{'1' * 5001}]\n",
        f"seeds: [0x{'1' * 5001}]\n",
        f"out: {'[' * 3000}{']' * 3000}\n",
        "out: 2024-13-01\n",
    ],
    ids=["self", "merged self", "list", "long integer", "hexadecimal", "deep", "no date"],
)
def test_yaml_that_makes_no_usable_value_is_bad_input(overlay, text):
    path, load = overlay
    with pytest.raises(InputError) as caught:
        load(text)
    assert str(caught.value).startswith(f"{path}: found broken YAML (")


def test_a_key_that_stands_twice_is_named_also_where_it_is_nested(tmp_path):
    """YAML silently takes the last one."""
    path = tmp_path / "twice.yaml"
    path.write_text("settings:\n  bert-mini:\n    train: {epochs: 3}\n    train: {patience: 3}\n")
    with pytest.raises(InputError, match=r"twice\.yaml:4: found the key 'train' again"):
        read_yaml(path)


def test_a_file_that_is_no_mapping_is_refused_and_an_empty_one_is_no_change(overlay):
    _, load = overlay
    with pytest.raises(InputError, match="a mapping of keys"):
        load("- demo\n")
    assert load("# nothing\n") == load_config(read_yaml(DEFAULT_CONFIG))


def test_a_missing_file_is_named():
    with pytest.raises(InputError, match=r"^nowhere\.yaml: found no such file"):
        read_yaml(Path("nowhere.yaml"))


@pytest.mark.parametrize("seeds", [["1", "2"], [1, "2"], [1, 2]])
def test_seeds_given_as_strings_are_numbers(seeds):
    assert load_config({"seeds": seeds}).seeds == (1, 2)


@pytest.mark.parametrize("rate", ["2e-5", "2E-05", "0.00002", 2e-5])
def test_a_small_number_is_a_number_however_it_is_written(rate):
    """YAML reads 2e-5 as text."""
    train = {"learning_rate": rate}
    entry = parse_entry(
        ModelEntry, "m", {"family": "encoder", "source": {"hub": "a/b"}, "train": train}
    )
    assert entry.train.learning_rate == 2e-5


def test_a_slash_behind_the_output_folder_makes_no_other_paths():
    assert load_config({"out": "results/mine/"}).out == "results/mine"


@pytest.mark.parametrize(
    "out",
    [
        *("runs/r&d", "runs/it's", "runs/v(1)", "runs/v$HOME", "runs/{x}"),
        *("a b", "~x", "-x", "a;b", "a|b", "a>b", "a\nb", "a\n", "a #b"),
    ],
)
def test_an_output_folder_that_a_shell_would_read_otherwise_is_refused(out):
    with pytest.raises(InputError, match="found out = "):
        load_config({"out": out})


@pytest.mark.parametrize("out", [".", "runs/mine", "/scratch/user.name/run-1_b", "runs/ä"])
def test_an_output_folder_with_a_plain_path_is_kept_as_it_is(out):
    assert load_config({"out": out}).out == out


def test_numbers_stay_as_they_were_written():
    """Settings are compared as JSON text, in which 20 and 20.0 differ."""
    text = """
family: encoder
source: {hub: a/b}
train: {epochs: 20, learning_rate: 2.0e-5}
search_space: {epochs: [20, 2.5], learning_rate: [2.0e-5, 1], weight_decay: 0}
"""
    tree = parse_entry(ModelEntry, "m", yaml.safe_load(text)).canonical()
    searched = {key: values for key, values in tree["search_space"].items() if values}
    train = {key: tree["train"][key] for key in ("epochs", "learning_rate")}
    assert json.dumps(train) == '{"epochs": 20, "learning_rate": 2e-05}'
    assert json.dumps(searched, sort_keys=True) == (
        '{"epochs": [20, 2.5], "learning_rate": [2e-05, 1], "weight_decay": [0]}'
    )
    trials = parse_entry(ModelEntry, "m", yaml.safe_load(text)).trials().values()
    tried = {json.dumps(trial.canonical()["train"]["epochs"]) for trial in trials}
    assert tried == {"20", "2.5"}
    default = parse_entry(ModelEntry, "m", {"family": "encoder", "source": {"hub": "a/b"}})
    assert json.dumps(default.canonical()["train"]["epochs"]) == "20"


@pytest.mark.parametrize("seed", [7, "7"])
def test_one_seed_stands_for_a_list_of_one(seed):
    assert load_config({"seeds": seed}).seeds == (7,)


def test_one_name_stands_for_a_list_of_one():
    config = load_config({"datasets": "demo", "models": "oracle", "decodings": "free"})
    assert (config.datasets, config.models, config.decodings) == (
        ("demo",),
        ("oracle",),
        ("free",),
    )


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"seeds": "1,1"}, "no value twice"),
        ({"seeds": [1, "1"]}, "no value twice"),
        ({"decodings": "Free"}, "one of 'free', 'free-paper' or 'constrained'"),
        ({"offline": ""}, "a boolean"),
        ({"prices": {"gpu_hour": ""}}, "a number"),
        ({"timing": {"repeats": "0x10"}}, "an integer"),
        ({"timing": {"repeats": "010"}}, "an integer"),
        ({"timing": {"repeats": "1:30"}}, "an integer"),
        ({"timing": {"repeats": "8 # x"}}, "an integer"),
        ({"run_search": "yes"}, "a boolean"),
        ({"timing": {1: 2}}, "found the key 1; expected text"),
        ({"mirror": "~nobody-of-that-name/x"}, "a path that there may be"),
    ],
)
def test_a_mistake_is_told_as_what_it_is(tree, said):
    with pytest.raises(InputError) as caught:
        load_config(tree)
    assert said in str(caught.value)


@pytest.mark.parametrize("written", ["true", "True", "false", "null", "none"])
def test_words_for_yes_no_and_nothing_are_those_of_json_and_python(written):
    known = {"true": True, "True": True, "false": False, "null": None}
    if written in known:
        assert load_config({"offline": written}).offline is known[written]
    else:
        with pytest.raises(InputError):
            load_config({"offline": written})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("out: x\nsearch_seed: 42\n", "2: search_seed: found 42 in both `seeds` and"),
        ("out: x\nseeds: [7, 41]\n", "2: seeds: found 41 in both `seeds` and `search_seed`"),
    ],
)
def test_the_seed_of_a_search_is_not_reported(overlay, text, said):
    path, load = overlay
    with pytest.raises(InputError) as caught:
        load(text)
    assert str(caught.value).startswith(f"{path}:{said}")


def test_without_a_search_any_seed_may_be_reported():
    assert load_config({"seeds": [41], "run_search": False}).search_seed == 41


ONE_PAIR = "cross: {train: BC5CDR, test: BioRED, types: {Disease: [DPF]}}\n"


def test_one_pair_of_corpora_is_written_without_lists(overlay):
    _, load = overlay
    (cross,) = load(ONE_PAIR).cross
    assert (cross.train, cross.test, cross.types) == ("BC5CDR", ("BioRED",), {"Disease": ("DPF",)})
    listed = load("cross: [{train: BC5CDR, test: [BioRED], types: {Disease: DPF}}]\n")
    assert listed.cross == (cross,)


def test_a_configuration_without_pairs_is_as_it_was(overlay):
    _, load = overlay
    assert "cross" not in load("datasets: [demo]\n").canonical()
    assert "cross" in load(ONE_PAIR).canonical()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("cross:\n  train: BC5CDR\n", 1, "found cross.0 without test"),
        ("cross:\n  - {train: BC5CDR, test: X}\n", 2, "found cross.0 without types"),
        (ONE_PAIR.replace("BioRED", "[BC5CDR]"), 1, "found the training corpus 'BC5CDR'"),
        (ONE_PAIR.replace("[DPF]", "[DPF],\n  Pain: DPF"), 2, "found 'DPF', which 'Disease' has"),
        (ONE_PAIR.replace("[DPF]", "[Pain],\n  Pain: [Ache]"), 2, "'Pain', which 'Disease' has"),
        (ONE_PAIR.replace("{Disease", "\n  {all"), 2, "found the common name 'all'"),
        (ONE_PAIR.replace("{Disease", "\n  {macro"), 2, "found the common name 'macro'"),
        (ONE_PAIR.replace("{Disease", "\n  {A disease"), 2, "expected a name without white space"),
        (ONE_PAIR.replace("{Disease: [DPF]}", "{}"), 1, "expected at least 1"),
        (ONE_PAIR.replace("BioRED", "[\n  BioRAD]"), 2, "Did you mean 'BioRED'?"),
        (ONE_PAIR.replace("BC5CDR", "BC5CRD"), 1, "Did you mean 'BC5CDR'?"),
        ("datasets: [JNLPBA]\n" + ONE_PAIR, 2, "'BC5CDR'; expected one of `datasets`"),
        (
            "cross:\n"
            "- {train: BC5CDR, test: [BioRED], types: {A: B}}\n"
            "- {train: BC5CDR, test: [JNLPBA, BioRED], types: {C: D}}\n",
            3,
            "found BC5CDR on BioRED twice",
        ),
    ],
)
def test_a_mistake_in_a_pair_is_named_by_file_and_line(overlay, text, line, said):
    path, load = overlay
    with pytest.raises(InputError) as caught:
        load_matrix(load(text), [DEFAULT_CONFIG, path])
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert said in str(caught.value)


def test_pairs_are_predicted_by_what_is_compared_but_ensembles(overlay):
    path, load = overlay
    models = "models: [oracle, dictionary, bert-mini, vote-of-six]\n"
    found = load_matrix(load(models + ONE_PAIR), [path])
    assert found.cross_models == ["dictionary", "bert-mini"]
    assert [(pair.train, pair.test) for pair in found.cross_pairs] == [("BC5CDR", "BioRED")]
    demo = load_matrix(load(models + ONE_PAIR.replace("BioRED", "demo")), [path])
    assert demo.corpora == [*demo.settings.datasets, "demo"]
    alone = load_matrix(load("models: [oracle]\n" + ONE_PAIR), [path])
    assert (alone.cross_pairs, alone.corpora) == ([], list(alone.settings.datasets))


def test_margins_are_named_by_the_families_of_measures_that_systems_are_compared_in():
    schemes = [Unit(scheme) for scheme in ("relaxed", *CONVENTIONS.values())]
    units = [Unit(), Unit(stratum="1"), Unit(stratum="2+"), Unit(label="Gene"), *schemes]
    assert {measure.family for measure in measures_of(units)} == set(get_args(Measures))


def test_other_margins_leave_the_default_one_unless_it_is_null():
    def margins(given):
        return load_config({"compare": {"margins": given}}).compare.margins

    assert margins({"recall": 2.0}) == {**MARGINS, "recall": 2.0}
    assert margins({"f1": None}) == {"f1": None}
    for wrong, named in (({"f1": 0}, "margins"), ({"recal": 1.0}, "'recal'")):
        with pytest.raises(InputError, match=named):
            margins(wrong)

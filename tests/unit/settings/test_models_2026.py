"""The catalogue of 2026: what each entry states, and what its estimates are made from."""

import pytest

from bioner.settings.catalogue import load_models
from bioner.settings.config import load_config
from bioner.settings.repository import REPOSITORY
from bioner.settings.yaml_files import read_yaml
from tests.families import FAMILIES

FILE = "config/models-2026.yaml"
NAMES = sorted(read_yaml(REPOSITORY / FILE))
MODELS = load_models(load_config({"catalogues": {"models": ["config/models.yaml", FILE]}}))
BASES = {  # of the estimates: the entry, and its parameters in 10^9
    "encoder": ("bert-large-uncased", 0.335),
    "llm": ("mistral-7b", 7.25),
}


def test_no_entry_is_in_the_default_matrix_or_replaces_one():
    default = load_config({})
    assert not set(NAMES) & {*default.models, *load_models(default)}
    assert len(NAMES) <= 10


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_states_its_card_and_an_architecture_that_a_tiny_model_has(name):
    entry = MODELS[name]
    assert entry.card is not None
    kinds = {(family.architecture, family.is_llm) for family in FAMILIES.values()}
    assert (entry.card.architecture, entry.family != "encoder") in kinds
    assert entry.card.license in {"apache-2.0", "mit", "gemma"}
    assert entry.card.gated == (entry.card.license == "gemma")
    assert (entry.source.hub or "").count("/") == 1
    assert entry.source.revision == "main"


@pytest.mark.parametrize("name", NAMES)
def test_costs_are_those_of_the_paper_s_models_by_the_parameters(name):
    entry = MODELS[name]
    base, parameters = BASES["llm" if entry.family == "llm" else "encoder"]
    ratio = entry.card.parameters / 1e9 / parameters
    costs, of_base = entry.cost_estimates, MODELS[base].cost_estimates
    assert costs.device == of_base.device
    assert costs.training.seconds == pytest.approx(ratio * of_base.training.seconds, rel=0.06)
    for decoding in ("direct", "free", "free-paper", "constrained"):
        there = of_base.prediction.seconds(decoding)
        expected = None if there is None else pytest.approx(ratio * there, rel=0.06)
        assert costs.prediction.seconds(decoding) == expected
    in_bytes = 2 if entry.family == "llm" and entry.lora else 4
    assert costs.download_gb == pytest.approx(entry.card.parameters * in_bytes / 1e9, rel=0.02)


def test_nothing_is_trained_or_predicted_again_for_a_card_or_a_cutoff():
    changes = {"gemma-3-1b": {"training_cutoff": "2024-09"}, "qwen3-8b": {"card": None}}
    tree = {"catalogues": {"models": ["config/models.yaml", FILE]}, "model_overrides": changes}
    for name, entry in load_models(load_config(tree)).items():
        assert (entry != MODELS[name]) == (name in changes)
        assert entry.training_settings() == MODELS[name].training_settings()
        assert entry.prediction_settings() == MODELS[name].prediction_settings()

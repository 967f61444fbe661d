"""Confidences of predicted entities from raw outputs, and the temperature fitted on them."""

import numpy as np
import pytest

from bioner.data.instances import Prediction
from bioner.data.raw_outputs import Generated, Tagged
from bioner.scoring.confidences import EntityConfidences, entity_confidences, fit_temperature
from bioner.scoring.resampling import Clusters
from tests.conftest import instance

GOLD = [
    instance("s1", "renal/B-D failure/I-D after/O aspirin/B-C"),
    instance("s2", "no/O gout/B-D"),
]
LABELS = [[["O"], ["B-D"], ["I-D"], ["B-C"]]]


def logs(*probabilities: float) -> list[float]:
    return np.log(probabilities).tolist()


def tagged(tags: list[str], rows: list[list[float]], words: list[int] | None = None) -> Tagged:
    log_probs = [[(0, logs(*row))] for row in rows]
    return Tagged("s1", words or list(range(len(tags))), tags, LABELS, log_probs)


ENCODER = tagged(
    ["B-D", "I-D", "O", "B-D"],
    [[0.1, 0.8, 0.05, 0.05], [0.2, 0.1, 0.6, 0.1], [0.9, 0.05, 0.03, 0.02], [0.1, 0.7, 0.1, 0.1]],
)
PREDICTED = Prediction("s1", ["B-D", "I-D", "O", "B-D"])


def test_an_entity_is_as_sure_as_its_least_sure_word():
    found = entity_confidences(GOLD[:1], [ENCODER], [PREDICTED])
    assert found.confidence() == pytest.approx([0.6, 0.7])
    assert found.right.tolist() == [True, False]  # the other type is wrong


def test_temperature_divides_the_logits_of_every_decision():
    found = entity_confidences(GOLD[:1], [ENCODER], [PREDICTED])
    root = np.sqrt([0.2, 0.1, 0.6, 0.1])
    assert found.confidence(2.0)[0] == pytest.approx(root[2] / root.sum())
    assert found.confidence(1e6) == pytest.approx([1 / 4, 1 / 4], abs=1e-5)


def test_the_probability_is_that_of_the_tag_that_the_pieces_voted_for():
    rows = [[0.5, 0.4, 0.05, 0.05], [1.0, 1e-9, 1e-9, 1e-9]]
    # Two of three pieces say B-D, though their mean likes O more.
    output = tagged(["O", "B-D", "B-D", "O"], rows, [0, 0, 0, 1])
    gold = [instance("s1", "gout/B-D ./O")]
    found = entity_confidences(gold, [output], [Prediction("s1", ["B-D", "O"])])
    assert found.confidence() == pytest.approx([0.4])


def test_a_repaired_tag_has_the_probability_of_the_one_that_was_chosen():
    rows = [[0.2, 0.1, 0.6, 0.1], [0.9, 0.05, 0.03, 0.02]]
    gold = [instance("s1", "gout/B-D ./O")]
    output = tagged(["I-D", "O"], rows)
    found = entity_confidences(gold, [output], [Prediction("s1", ["B-D", "O"])])
    assert found.confidence() == pytest.approx([0.6])


def generated(**more) -> Generated:
    return Generated("s2", "no:O\ngout:B-D\n", 6, True, **more)


BRANCHES = [[["O"], ["B-C", "B-D"]], [["B-C"], ["B-D"]]]
DECIDED = [[(0, logs(0.9, 0.1))], [(0, logs(0.2, 0.8)), (1, logs(0.25, 0.75))]]
ANSWER = Prediction("s2", ["O", "B-D"])


def test_a_word_of_constrained_decoding_is_as_sure_as_all_its_branches_together():
    output = generated(confidence=[0.9, 0.6], alternatives=BRANCHES, log_probs=DECIDED)
    found = entity_confidences(GOLD[1:], [output], [ANSWER])
    assert found.confidence() == pytest.approx([0.8 * 0.75])
    first, second = np.sqrt([0.2, 0.8]), np.sqrt([0.25, 0.75])
    scaled = first[1] / first.sum() * second[1] / second.sum()
    assert found.confidence(2.0) == pytest.approx([scaled])


def test_a_word_without_a_choice_is_certain():
    output = generated(alternatives=[], log_probs=[[], []])
    assert entity_confidences(GOLD[1:], [output], [ANSWER]).confidence().tolist() == [1.0]


def test_earlier_versions_kept_confidences_that_no_temperature_can_scale():
    found = entity_confidences(GOLD[1:], [generated(confidence=[0.9, 0.6])], [ANSWER])
    assert found.confidence() == pytest.approx([0.6])
    assert not found.scalable


@pytest.mark.parametrize("output", [generated(), Tagged("s2", [0, 1], ["O", "B-D"])])
def test_outputs_without_any_confidence_give_none(output):
    assert entity_confidences(GOLD[1:], [output], [ANSWER]) is None


def test_without_predicted_entities_nothing_is_confident():
    found = entity_confidences(GOLD[1:], [generated()], [Prediction("s2", ["O", "O"])])
    assert found.confidence(1.7).tolist() == []


def test_entities_know_their_documents():
    outputs = [ENCODER, generated(alternatives=BRANCHES, log_probs=DECIDED)]
    found = entity_confidences(GOLD, outputs, [PREDICTED, ANSWER])
    assert found.cluster.tolist() == [0, 0, 1]
    assert found.clusters.kind == "sentence"


def single_words(temperature: float, count: int = 20_000, seed: int = 0) -> EntityConfidences:
    """Entities of one word, right as often as logits over `temperature` say."""
    draw = np.random.default_rng(seed)
    logits = np.stack([draw.normal(2, 2, count), np.zeros(count), draw.normal(0, 1, count)], 1)
    truth = np.exp(logits / temperature)
    chosen = logits.argmax(axis=1)
    right = draw.random(count) < (truth / truth.sum(axis=1, keepdims=True))[range(count), chosen]
    log_probs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    each, ones = np.arange(count), np.ones(count, dtype=int)
    clusters = Clusters(each, count, "sentence")
    return EntityConfidences(right, each, clusters, ones, each, chosen, log_probs, True)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_data_is_found(temperature):
    assert fit_temperature(single_words(temperature)) == pytest.approx(temperature, rel=0.08)


def test_a_temperature_needs_entities_both_right_and_wrong():
    few = single_words(1.0, count=29)
    assert fit_temperature(few) is None
    many = single_words(1.0, count=200)
    for outcome in (True, False):
        same = EntityConfidences(
            np.full(200, outcome),
            *(getattr(many, name) for name in EntityConfidences.__slots__[1:]),
        )
        assert fit_temperature(same) is None

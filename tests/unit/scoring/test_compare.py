"""Paired tests between two systems: worked cases, and what must hold for any."""

import pytest

from bioner.instances import Instance, Prediction
from bioner.scoring.compare import compare, holm


def corpus(sentences: int, per_document: int) -> list[Instance]:
    return [
        Instance(f"s{number}", f"d{number // per_document}", ["gout", "and", "gout"], ["B-D", "O", "B-D"])
        for number in range(sentences)
    ]


def predicted(gold: list[Instance], right: int) -> list[Prediction]:
    """Both entities right in the first `right` sentences, none predicted in the rest."""
    return [
        Prediction(instance.id, instance.tags if number < right else ["O"] * 3) for number, instance in enumerate(gold)
    ]


def test_f1_of_both_sides_and_their_difference():
    gold = corpus(10, 1)
    row = next(compare(gold, [predicted(gold, 10)], [predicted(gold, 5)], resamples=100))
    # 10 of 20 found, none wrong: P 100, R 50, F1 66.7.
    assert (row["f1"], row["versus_f1"], row["difference"]) == (100, pytest.approx(200 / 3), pytest.approx(100 / 3))
    assert (row["gold_entities"], row["cluster"], row["clusters"]) == (20, "sentence", 10)


def test_documents_are_the_clusters_where_they_are_known():
    gold = corpus(10, 5)
    row = next(compare(gold, [predicted(gold, 10)], [predicted(gold, 5)], resamples=100))
    assert (row["cluster"], row["clusters"]) == ("document", 2)


def test_equal_systems_do_not_differ():
    gold = corpus(20, 2)
    for row in compare(gold, [predicted(gold, 9)], [predicted(gold, 9)], resamples=200):
        assert (row["difference"], row["low"], row["high"], row["p"]) == (0, 0, 0, 1)


def test_a_difference_in_every_sentence_is_seen_and_one_in_a_single_sentence_is_not():
    gold = corpus(40, 1)
    everywhere = next(compare(gold, [predicted(gold, 40)], [predicted(gold, 10)], resamples=1000))
    once = next(compare(gold, [predicted(gold, 40)], [predicted(gold, 39)], resamples=1000))
    assert everywhere["p"] < 0.01
    assert everywhere["low"] > 0
    # One sentence swapped or not: half of all swaps are as extreme in either direction, so p is 1.
    assert once["p"] == 1


def test_the_sides_are_symmetric():
    gold = corpus(30, 3)
    one = list(compare(gold, [predicted(gold, 25)], [predicted(gold, 12)], resamples=300))
    two = list(compare(gold, [predicted(gold, 12)], [predicted(gold, 25)], resamples=300))
    for forth, back in zip(one, two, strict=True):
        assert forth["p"] == back["p"]
        assert (forth["low"], forth["high"]) == (pytest.approx(-back["high"]), pytest.approx(-back["low"]))


def test_the_number_of_seeds_a_side_does_not_change_the_test():
    gold = corpus(30, 3)
    ours, theirs = predicted(gold, 20), predicted(gold, 17)
    once, thrice = (next(compare(gold, [ours], [theirs] * seeds, resamples=500)) for seeds in (1, 3))
    assert once["p"] == thrice["p"]
    assert once["difference"] == pytest.approx(thrice["difference"])


def test_several_seeds_a_side_are_averaged():
    gold = corpus(10, 1)
    row = next(compare(gold, [predicted(gold, 10), predicted(gold, 5)], [predicted(gold, 5)], resamples=50))
    # 30 right of 40 gold, all predicted right: 2 x 30 / (40 + 30).
    assert row["f1"] == pytest.approx(600 / 7)
    assert row["gold_entities"] == 20


def test_the_same_seed_gives_the_same_row():
    gold = corpus(20, 2)
    rows = [list(compare(gold, [predicted(gold, 15)], [predicted(gold, 9)], resamples=700, seed=3)) for _ in range(2)]
    assert rows[0] == rows[1]


def test_holm_by_hand():
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1 and never falling.
    assert holm([0.04, 0.01, 0.03]) == [pytest.approx(0.06), pytest.approx(0.03), pytest.approx(0.06)]
    assert holm([]) == []

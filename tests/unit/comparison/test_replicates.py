"""Replicates of "no two systems differ"."""

import numpy as np
import pytest

from bioner.comparison.components import difference_of, scores_of
from bioner.comparison.measures import Scores, measures_of
from bioner.comparison.replicates import NullReplicates, document_replicates
from bioner.scoring.resampling import bootstrap_weights
from tests.unit.comparison.made_up import UNITS, row_of, system

RESAMPLES = 20_000
GOLD = np.full(60, 10)


def null(shifts: tuple[list[int], list[int]], members=frozenset()) -> tuple[np.ndarray, tuple]:
    """|t| of recall in the replicates of two systems; variance of documents, and of each side's
    seeds.
    """
    draw = np.random.default_rng(0)
    found = [
        np.clip(np.array(shift)[:, None] + draw.binomial(GOLD, 0.5), 0, GOLD) for shift in shifts
    ]
    systems = system("a", found[0], GOLD), system("b", found[1], GOLD, members=members)
    scores = Scores(UNITS, measures_of(UNITS)[1:])
    sides = tuple(scores_of(each, scores) for each in systems)
    difference = difference_of(systems, sides, np.ones((60, 1), dtype=bool))
    drawn = document_replicates(systems, scores, RESAMPLES, 0)
    replicates = NullReplicates(systems, RESAMPLES, 0)
    t = replicates.of((0, 1), difference, sides, drawn[0] - drawn[1], [0])[0]
    seeds = [side.by_run[:, 0].var(ddof=1) / len(side.by_run) for side in sides]
    return t, (float(difference.documents[0]), seeds)


def test_scores_of_drawn_documents_are_exact_so_that_no_number_of_threads_changes_them():
    draw = np.random.default_rng(0)
    one = system("a", draw.binomial(np.full((3, 400), 10), 0.5), np.full(400, 10))
    scores = Scores(UNITS, measures_of(UNITS))
    drawn = document_replicates([one], scores, 50, 0)[0]
    weights = np.concatenate([part for _, part in bootstrap_weights(400, 50, 0)])
    totals = np.tensordot(weights.astype(int), one.runs.sum(0).astype(int), 1)
    assert np.array_equal(drawn, scores.of(totals.astype(float)))


@pytest.mark.parametrize(
    "shifts",
    [
        ([0, 0, 0], [0, 0, 0]),  # documents matter most
        ([-2, 0, 2], [-2, 0, 2]),  # seeds matter most
        ([-1, 0, 1], [0, 0, 0]),
        ([0, 1], [-1, 1]),
    ],
)
def test_of_one_pair_they_are_a_difference_over_its_redrawn_standard_error(shifts):
    t, (documents, seeds) = null(shifts)
    draw = np.random.default_rng(1)
    spread = documents + sum(
        side * draw.chisquare(len(shift) - 1, RESAMPLES) / (len(shift) - 1)
        for side, shift in zip(seeds, shifts, strict=True)
    )
    expected = np.abs(draw.standard_normal(RESAMPLES)) * np.sqrt((documents + sum(seeds)) / spread)
    for share in (0.5, 0.9, 0.95):
        assert np.quantile(t, share) == pytest.approx(np.quantile(expected, share), rel=0.07)


def test_systems_that_share_weights_share_their_seeds():
    """Seeds on which both do equally well or badly do not scatter their difference."""
    alone, _ = null(([-3, 0, 3], [-3, 0, 3]))
    shared, _ = null(([-3, 0, 3], [-3, 0, 3]), members=frozenset({"a"}))
    assert np.quantile(shared, 0.95) < 2.2 < 2.5 < np.quantile(alone, 0.95)


def test_the_variance_of_paired_seeds_is_drawn_anew():
    shared, _ = null(([-3, 0, 3], [0, 0, 0]), members=frozenset({"a"}))
    alone, _ = null(([-3, 0, 3], [0, 0, 0]))  # the other side's seeds hardly scatter
    for share in (0.5, 0.9, 0.95):
        assert np.quantile(shared, share) == pytest.approx(np.quantile(alone, share), rel=0.1)


def test_the_seeds_of_a_system_deviate_alike_in_all_its_pairs():
    """What they add to a - b and to b - c adds up to what they add to a - c."""
    draw = np.random.default_rng(2)
    systems = [system(name, draw.binomial(GOLD, 0.5, (3, 60)), GOLD) for name in "abc"]
    scores = Scores(UNITS, measures_of(UNITS)[1:])
    found = [scores_of(each, scores) for each in systems]
    null = NullReplicates(systems, 100, 0)

    def added(one: int, other: int) -> np.ndarray:
        pair, sides = (systems[one], systems[other]), (found[one], found[other])
        difference = difference_of(pair, sides, np.ones((60, 1), dtype=bool))
        return null.seeds((one, other), difference, sides, [0])[0]

    assert np.std(added(0, 2)) > 0
    assert added(0, 1) + added(1, 2) == pytest.approx(added(0, 2))


def test_replicates_of_few_documents_are_as_wide_as_the_jackknife_says():
    """Drawing 6 of 6 documents has 5/6 of the variance."""
    gold = np.full(6, 10)
    systems = system("a", [3, 5, 7, 4, 6, 8], gold), system("b", [5] * 6, gold)
    scores = Scores(UNITS, measures_of(UNITS)[1:])
    sides = tuple(scores_of(each, scores) for each in systems)
    difference = difference_of(systems, sides, np.ones((6, 1), dtype=bool))
    drawn = document_replicates(systems, scores, RESAMPLES, 0)
    null = NullReplicates(systems, RESAMPLES, 0)
    t = null.of((0, 1), difference, sides, drawn[0] - drawn[1], [0])[0]
    draw = np.random.default_rng(1)
    expected = np.abs(draw.standard_t(5, RESAMPLES))
    for share in (0.5, 0.8):
        assert np.quantile(t, share) == pytest.approx(np.quantile(expected, share), rel=0.04)


def test_resampled_documents_have_the_variance_of_the_jackknife():
    draw = np.random.default_rng(1)
    found = system("a", draw.binomial(GOLD, 0.5), GOLD)
    scores = Scores(UNITS, measures_of(UNITS))
    drawn = document_replicates([found], scores, RESAMPLES, 0)[0]
    without = scores_of(found, scores).without
    jackknife = 59 / 60 * ((without - without.mean(0)) ** 2).sum(0)
    assert drawn.var(0) * 60 / 59 == pytest.approx(jackknife, rel=0.05)


@pytest.mark.parametrize(("documents", "smallest"), [(12, 2 / 2**12), (60, 1 / 4_001)])
def test_the_smallest_p_is_that_of_all_documents_swapped_or_of_the_resamples(documents, smallest):
    gold, draw = np.full(documents, 10), np.random.default_rng(0)
    pair = [system(name, draw.binomial(gold, 0.5), gold) for name in "ab"]
    assert row_of(*pair)["smallest_p"] == pytest.approx(smallest)

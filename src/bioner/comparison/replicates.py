"""Replicates under resampling: documents and seeds drawn anew, documents swapped."""

from collections.abc import Iterator, Sequence
from zlib import crc32

import numpy as np

from bioner.comparison.components import NOISE, Covers, Difference, SystemScores
from bioner.comparison.counts import SystemCounts
from bioner.comparison.measures import Scores
from bioner.scoring.resampling import bootstrap_weights, swaps
from bioner.scoring.tally import Array


def document_replicates(
    systems: Sequence[SystemCounts], scores: Scores, resamples: int, seed: int
) -> Array:
    """Score every system on resampled documents; all systems see the same ones.

    Returns:
        Systems x resamples x measures, of the counts of all runs together.
    """
    # Of whole and half credits sums are exact, in whatever order threads add; means are not.
    counts = np.stack([system.runs.sum(0) for system in systems])
    count, documents, units, _ = counts.shape
    flat = counts.swapaxes(0, 1).reshape(documents, -1)
    parts = []
    for _, weights in bootstrap_weights(documents, resamples, seed):
        totals = (weights @ flat).reshape(len(weights), count, units, 4)
        parts.append(scores.of(totals))
    return np.concatenate(parts).swapaxes(0, 1)


def randomisation_p(
    pair: tuple[SystemCounts, SystemCounts], scores: Scores, resamples: int, seed: int
) -> Array:
    """Test two single runs by approximate randomisation that swaps whole documents (Noreen 1989).

    Returns:
        Two-sided p-values (r + 1) / (N + 1), measures.
    """
    mine, theirs = (system.runs[0] for system in pair)
    ours, others = mine.sum(0), theirs.sum(0)
    observed = np.abs(scores.of(ours) - scores.of(others))
    extreme = np.zeros_like(observed)
    change = (theirs - mine).reshape(len(mine), -1)
    for swapped in swaps(len(mine), resamples, seed):
        moved = (swapped @ change).reshape(len(swapped), *ours.shape)
        difference = scores.of(ours + moved) - scores.of(others - moved)
        extreme += (np.abs(difference) >= observed - NOISE).sum(0)
    return np.where(np.isnan(observed), np.nan, (extreme + 1) / (resamples + 1))


class NullReplicates:
    """Draws |t| of differences as if no two systems differed, jointly for all pairs and measures.

    A replicate draws documents, and for each system a deviation of its seeds, with the variance
    between seeds drawn anew: resampled documents alone are not the null distribution where seeds
    scatter. The statistic is divided by its standard error in the replicate.
    """

    def __init__(self, systems: Sequence[SystemCounts], resamples: int, seed: int) -> None:
        self._deviation = np.empty((len(systems), resamples))
        self._scale = np.ones((len(systems), resamples))
        self._keys = list(_keys(systems))
        for number, (system, key) in enumerate(zip(systems, self._keys, strict=True)):
            draw = np.random.default_rng([seed, 3, *key])
            self._deviation[number] = draw.standard_normal(resamples)
            if (df := len(system.runs) - 1) > 0:
                self._scale[number] = draw.chisquare(df, resamples) / df
        self._documents = np.random.default_rng([seed, 4]).standard_normal(resamples)

    def of(
        self,
        places: tuple[int, int],
        found: Difference,
        sides: tuple[SystemScores, SystemScores],
        drawn: Array,
        measures: Sequence[int],
    ) -> Array:
        """Draw |t| of one pair of systems, measures x replicates.

        Args:
            places: Of the two among the systems.
            found: Their difference.
            sides: Their scores.
            drawn: Their difference on resampled documents, resamples x measures.
            measures: The measures to return.
        """
        change = drawn.T[measures] - found.value[measures, None]
        count = len(sides[0].without)
        change *= np.sqrt(count / (count - 1))  # drawing n of n makes the variance too small
        documents, df = found.documents[measures, None], found.df_documents[measures, None]
        deviation, seeds = self.seeds(places, found, sides, measures)
        change += deviation
        spread = documents * chi_square(self._documents, df) + seeds
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(change == 0, 0.0, np.abs(change) / np.sqrt(spread))
        # A measure may be undefined on the drawn documents.
        drawn_t: Array = np.where(np.isnan(t), np.inf, t)
        return drawn_t

    def seeds(
        self,
        places: tuple[int, int],
        found: Difference,
        sides: tuple[SystemScores, SystemScores],
        measures: Sequence[int],
    ) -> tuple[Array, Array]:
        """Draw what the seeds add to a difference, and to its variance; arguments as for `of`.

        Returns:
            Two arrays, measures x replicates; two zeros if the seeds have no variance.
        """
        one, other = places
        if found.covers == Covers.PAIRED:
            variance = found.seeds[measures, None]
            # Whichever of the two is first, it is the same one's deviation.
            _, place, sign = min((self._keys[one], one, 1), (self._keys[other], other, -1))
            deviation = sign * np.sqrt(variance) * self._deviation[place]
            return deviation, variance * self._scale[place]
        deviation, spread = np.zeros((2, 1, 1))
        if found.covers == Covers.SEPARATE:
            for place, sign, side in ((one, 1, sides[0]), (other, -1, sides[1])):
                variance = side.by_run[:, measures].var(0, ddof=1)[:, None] / len(side.by_run)
                deviation = deviation + sign * np.sqrt(variance) * self._deviation[place]
                spread = spread + variance * self._scale[place]
        return deviation, spread


def chi_square(normal: Array, df: Array) -> Array:
    """Turn standard normal numbers into chi-square numbers over df (Wilson and Hilferty 1931)."""
    ratio: Array = np.maximum(1 - 2 / (9 * df) + normal * np.sqrt(2 / (9 * df)), 0.0) ** 3
    return ratio


def _keys(systems: Sequence[SystemCounts]) -> Iterator[list[int]]:
    """Yield the key by which each system draws its seeds: its name, so that no other one matters.

    Systems of the same name are numbered.
    """
    names = [f"{system.model}:{system.decoding}" for system in systems]
    for place, name in enumerate(names):
        yield [crc32(name.encode()), names[:place].count(name)]

"""Made-up test sets as counts per document: systems of known F1, seeds of known scatter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bioner.comparison.counts import SystemCounts, Unit
from bioner.scoring.tally import Array

UNITS = [Unit()]
ENTITIES = 21  # per document on average: 8.5 thousand in 404, as in JNLPBA's test set
EASY = 0.6  # share of entities that every system finds
SETTLED = 0.5  # share of the others on which all runs of a system agree
WRONG = 0.5  # share of those not found that are predicted with wrong boundaries
SPURIOUS = 0.1  # predictions per entity without any overlap
BY_DOCUMENT = 0.08  # deviation between documents of the share of harder ones a system finds
BY_RUN = 0.05  # and between runs on one document
BROKEN = 0.04  # share of a run's harder hits that another decoding of its weights loses


@dataclass(frozen=True, slots=True)
class Player:
    """A system of a world.

    Attributes:
        f1: Its F1 in percent, in the population of documents and seeds.
        seeds: Its runs.
        deviation: Standard deviation of F1 between seeds, in points.
        deterministic: Whether it has no seeds.
        skewed: Whether some seeds are much worse, and most a little better, than the mean.
    """

    f1: float
    seeds: int
    deviation: float = 0.0
    deterministic: bool = False
    skewed: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """Systems on a test set.

    Attributes:
        players: The systems.
        documents: How many the test set has.
        shared: Whether the second system is another decoding of the first one's weights.
    """

    players: Sequence[Player]
    documents: int = 404
    shared: bool = False

    def draw(self, draw: np.random.Generator) -> tuple[list[SystemCounts], Array]:
        """Draw documents, seeds and predictions.

        Returns:
            The systems' counts, and the F1 that each one's drawn weights have in the population of
            documents.
        """
        gold = 1 + draw.negative_binomial(2, 2 / (2 + ENTITIES - 1), self.documents)
        easy = draw.binomial(gold, draw.beta(6, 4, self.documents))
        hard = gold - easy
        spurious = draw.poisson(SPURIOUS * gold)
        systems, drawn = [], []
        for number, player in enumerate(self.players):
            if self.shared and number == 1:
                found, predicted = self._decoded_again(draw, systems[0].runs, easy, player.f1)
                f1 = drawn[0] + player.f1 - self.players[0].f1
            else:
                deviations = player.deviation * _deviations(draw, player)
                found, predicted = self._predicted(draw, hard, player.f1, deviations)
                found, predicted = found + easy, predicted + easy + spurious
                f1 = player.f1 + deviations.mean()
            counts = [found, np.broadcast_to(gold, found.shape), found, predicted]
            runs = np.stack(counts, axis=-1)[:, :, None].astype(float)
            members = frozenset({"m0"} if self.shared else {})
            systems.append(SystemCounts(f"m{number}", "", runs, player.deterministic, members))
            drawn.append(f1)
        return systems, np.array(drawn)

    def _predicted(
        self, draw: np.random.Generator, hard: Array, f1: float, deviations: Array
    ) -> tuple[Array, Array]:
        """Draw what runs find and predict of the harder entities, both runs x documents."""
        settled = draw.binomial(hard, SETTLED)
        shape = (len(deviations), len(hard))
        by_document = draw.normal(0, BY_DOCUMENT, len(hard))
        by_run = draw.normal(0, BY_RUN, shape)
        by_run += (_share_found(f1 + deviations) - _share_found(f1))[:, None] / (1 - SETTLED)
        mean = _share_found(f1) + by_document
        found = draw.binomial(settled, np.clip(mean, 0, 1))
        wrong = draw.binomial(settled - found, WRONG)
        more = draw.binomial(np.broadcast_to(hard - settled, shape), np.clip(mean + by_run, 0, 1))
        more_wrong = draw.binomial(hard - settled - more, WRONG)
        return found + more, found + more + wrong + more_wrong

    def _decoded_again(
        self, draw: np.random.Generator, runs: Array, easy: Array, f1: float
    ) -> tuple[Array, Array]:
        """Draw another decoding of the same runs: some hits are lost, some errors corrected."""
        gold, found, predicted = (runs[:, :, 0, place].astype(int) for place in (1, 2, 3))
        was, share = self.players[0].f1, _share_found(self.players[0].f1)
        gained = (f1 - was) / 200 * (1 + _predicted_share(share)) / (1 - EASY)
        corrected = (BROKEN * share + gained) / (1 - share)
        lost = draw.binomial(found - easy, BROKEN)
        return found - lost + draw.binomial(gold - found, corrected), predicted


def _share_found(f1: Array | float) -> Array | float:
    """Return the share of the harder entities that a system of this F1 finds."""
    missing = 1 + EASY + SPURIOUS + (1 - EASY) * WRONG
    return (f1 * missing - 200 * EASY) / ((1 - EASY) * (200 - f1 * (1 - WRONG)))


def _predicted_share(found: Array | float) -> Array | float:
    """Return predictions per gold entity of a system that finds this share of the harder ones."""
    return EASY + SPURIOUS + (1 - EASY) * (found + (1 - found) * WRONG)


def _deviations(draw: np.random.Generator, player: Player) -> Array:
    if player.skewed:
        return 1 - draw.exponential(size=player.seeds)
    return draw.standard_normal(player.seeds)

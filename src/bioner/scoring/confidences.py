"""Confidences of predicted entities, and the temperature that makes them fit.

One event for all systems: a predicted entity is right, that is, strictly correct. Its confidence is
the smallest probability that the model gave the tag of one of its words: the entity is wrong as
soon as one of them is. (The product would take the words for independent, which tags of one entity
are not.) The tag is the one that the model chose, before a repair of I- to B-.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bioner.data.instances import Instance, Prediction
from bioner.data.raw_outputs import RawOutput, Tagged
from bioner.data.tags import spans
from bioner.realignment.realign import vote
from bioner.scoring.limits import FEWEST_ENTITIES
from bioner.scoring.resampling import Clusters, clusters_of
from bioner.scoring.tally import Array

GRID = np.geomspace(0.05, 20, 41)  # temperatures tried before the best is refined
CERTAIN = 1e-9  # the least probability of an event in the likelihood


@dataclass(frozen=True, slots=True)
class EntityConfidences:
    """The predicted entities of a set, and the decisions that their confidences come from.

    Attributes:
        right: Whether each entity is strictly correct.
        cluster: The document of each, as in `clusters`.
        words: Words of each entity, which are numbered through.
        decided: The word of each decision.
        chosen: The alternative that was chosen in each decision.
        log_probs: Decisions x alternatives; -inf where a decision has fewer.
        scalable: Whether all alternatives are known, which a temperature needs. Constrained
            decoding of earlier versions kept the probability of its choice only.
    """

    right: Array
    cluster: Array
    clusters: Clusters
    words: Array
    decided: Array
    chosen: Array
    log_probs: Array
    scalable: bool

    def confidence(self, temperature: float = 1.0) -> Array:
        """Compute the confidence of each entity, 0 to 1, after temperature scaling (Guo et al.
        2017): the logits of every decision are divided by `temperature`.
        """
        if not len(self.right):
            return np.zeros(0)
        scaled = self.log_probs / temperature
        total = np.logaddexp.reduce(scaled, axis=1)
        chosen = scaled[np.arange(len(scaled)), self.chosen] - total
        of_words = np.bincount(self.decided, chosen, self.words.sum())
        return np.exp(np.minimum.reduceat(of_words, np.cumsum(self.words) - self.words))


def entity_confidences(
    gold: Sequence[Instance],
    outputs: Iterable[RawOutput],
    predictions: Sequence[Prediction],
) -> EntityConfidences | None:
    """Return the predicted entities with their confidences; None if the raw outputs keep none.

    Args:
        gold: The instances that were predicted.
        outputs: Their raw outputs, in the gold's order.
        predictions: The tags made from them.
    """
    clusters = clusters_of(gold)
    right, cluster, lengths, decided, decisions, chosen = [], [], [], [], [], []
    words, scalable = 0, True
    for place, (instance, output, predicted) in enumerate(
        zip(gold, outputs, predictions, strict=True)
    ):
        found = spans(predicted.tags)
        if not found:
            continue
        made = _decisions(output)
        if made is None:
            return None
        scalable &= output.log_probs is not None
        known = set(spans(instance.tags))
        for span in found:
            right.append(span in known)
            cluster.append(clusters.index[place])
            lengths.append(span.length)
            for word in range(span.start, span.end):
                for choice, log_probs in made[word]:
                    decided.append(words)
                    chosen.append(choice)
                    decisions.append(log_probs)
                words += 1
    widest = max(map(len, decisions), default=1)
    padded = np.full((len(decisions), widest), -np.inf)
    for row, log_probs in zip(padded, decisions, strict=True):
        row[: len(log_probs)] = log_probs
    numbers = [np.array(each, dtype=int) for each in (cluster, lengths, decided, chosen)]
    of_entity, words_of, word_of, choices = numbers
    return EntityConfidences(
        np.array(right, dtype=bool),
        of_entity,
        clusters,
        words_of,
        word_of,
        choices,
        padded,
        scalable,
    )


def _decisions(output: RawOutput) -> list[list[tuple[int, list[float]]]] | None:
    """Return chosen alternative and log-probabilities of each decision, for each word."""
    words = output.log_probs
    if isinstance(output, Tagged):
        if words is None or output.alternatives is None:
            return None
        column = {
            tag: place
            for alternatives in output.alternatives
            for place, tags in enumerate(alternatives)
            for tag in tags
        }
        pieces: list[list[str]] = [[] for _ in words]
        for tag, word in zip(output.tags, output.words, strict=True):
            pieces[word].append(tag)
        return [
            [(column[vote(tags)], log_probs) for _, log_probs in decisions]
            for tags, decisions in zip(pieces, words, strict=True)
        ]
    if words is not None:  # greedy: the likeliest alternative was chosen
        return [
            [(int(np.argmax(log_probs)), log_probs) for _, log_probs in decisions]
            for decisions in words
        ]
    if output.confidence is None:
        return None
    sure = np.clip(np.array(output.confidence, dtype=float), CERTAIN, 1 - CERTAIN)
    return [[(0, [float(np.log(each)), float(np.log1p(-each))])] for each in sure]


def fit_temperature(dev: EntityConfidences) -> float | None:
    """Fit the temperature of temperature scaling (Guo et al. 2017) on predictions of dev.

    It minimises the negative log-likelihood of the event that is calibrated, a predicted entity is
    right (Kuleshov and Liang 2015), not that of the words' tags: nine words in ten are O, and of a
    branch that constrained decoding did not take, only the first step is known.

    Returns:
        The temperature; None with fewer than FEWEST_ENTITIES predicted entities, or if all or none
        of them are right.
    """
    from scipy.optimize import minimize_scalar

    if len(dev.right) < FEWEST_ENTITIES or dev.right.all() or not dev.right.any():
        return None

    def loss(temperature: float) -> float:
        sure = np.clip(dev.confidence(temperature), CERTAIN, 1 - CERTAIN)
        return float(-np.log(np.where(dev.right, sure, 1 - sure)).mean())

    best = int(np.argmin([loss(temperature) for temperature in GRID]))
    bounds = GRID[max(best - 1, 0)], GRID[min(best + 1, len(GRID) - 1)]
    return float(minimize_scalar(loss, bounds=bounds, method="bounded").x)

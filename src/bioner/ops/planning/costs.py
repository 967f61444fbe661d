"""Estimate seconds of training and decoding by the costs in a model's entry."""

from math import ceil, nan

from bioner.ops.planning.sizes import Size
from bioner.settings.model_entry import CostEstimates, ModelEntry, PredictionCost, TrainingCost

# Forward passes per sentence of 26 tokens. Free decoding has one per id of the answer: 143 with
# Mistral's tokenizer (JNLPBA). Constrained: with drafts by the tag table (docs/performance.md).
PASSES = {"direct": 1.0, "constrained": 2.66, "free": 143.0, "free-paper": 143.0}
# If an entry states no costs, measured seconds are scaled in proportion to these.
UNSTATED = CostEstimates(
    training=TrainingCost(seconds=1.0),
    prediction=PredictionCost(direct=0.3, free=1.0, constrained=0.3, **{"free-paper": 1.0}),
)


def stated_costs(entry: ModelEntry, gpus: int) -> CostEstimates | None:
    """Return the costs of an entry if they are for the kind of device that its job uses."""
    costs = entry.cost_estimates
    return costs if costs and (costs.device == "CPU") == (gpus == 0) else None


def training_seconds(entry: ModelEntry, costs: CostEstimates, size: Size, epochs: float) -> float:
    """Return the seconds of a training from its first step on, summed over its GPUs.

    Dev is scored after every epoch as trained and, if merged weights predict, once more with these.
    NaN if the entry does not state the costs.
    """
    training, train = costs.training, entry.train
    decoding = "constrained" if entry.family == "llm" else "direct"
    dev, batch = size.sentences["dev"], entry.predict.batch_size
    each = decoding_seconds(entry, costs, decoding, dev, size, batch, merged=False)
    merged = decoding_seconds(entry, costs, decoding, dev, size, batch, merged=True)
    count = min(train.sentences or size.sentences["train"], size.sentences["train"])
    epoch = ceil(count / train.batch_size) * training.step_seconds
    epoch += count / 1000 * _or_nan(training.seconds) * size.length
    return epochs * epoch + ceil(epochs) * each + merged * entry.merges()


def decoding_seconds(
    entry: ModelEntry,
    costs: CostEstimates,
    decoding: str,
    count: int,
    size: Size,
    batch: int,
    merged: bool | None = None,
) -> float:
    """Return the seconds of decoding so many sentences; NaN if the entry does not state them.

    Args:
        batch: Sentences per batch, which share its forward passes.
        merged: Whether weights are merged; None: as `predict.weights` says.
    """
    prediction = costs.prediction
    passes = 1000 * PASSES[decoding] / batch * prediction.pass_seconds
    is_merged = entry.merges(decoding) if merged is None else merged
    slower = 1.0 if is_merged else prediction.as_trained
    seconds = (_or_nan(prediction.seconds(decoding)) + passes) * slower
    return count / 1000 * seconds * size.length


def _or_nan(seconds: float | None) -> float:
    return nan if seconds is None else seconds

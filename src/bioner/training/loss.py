"""The loss of LLMs, with the output layer applied only at labels, and of classifiers."""

from collections.abc import Mapping

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_outputs import TokenClassifierOutput

from bioner.errors import InputError
from bioner.models import IGNORED
from bioner.models.output_layer import Layer, output_layer

# Rows of one number per vocabulary entry: with Llama's 128,256, a row takes half a megabyte.
LOGITS_AT_ONCE = 1024
LARGE = 1e4  # no cap leaves logits of that size alone
TOLERANCE = 0.02  # of the loss, in half precision


@torch.no_grad()
def check_loss(model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> bool:
    """Return whether the model's logits are what its output layer gives.

    Granite and Cohere scale them behind the layer, Gemma 2 caps them. Logits so large that no cap
    leaves them alone are put in the layer's place, to see if they come out as they are.

    Args:
        model: The model before training.
        batch: One short example, on the model's device.

    Raises:
        InputError: If `summed_loss` would not be the model's loss.
    """
    made: list[torch.Tensor] = []

    def instead(hidden: torch.Tensor, layer: Layer, _: torch.nn.Linear | None) -> torch.Tensor:
        made.append(LARGE * layer(hidden[:, :2]))
        return made[0]

    training = model.training
    model.eval()
    with output_layer(model, instead):
        found = model(**_unlabelled(batch)).logits
    plain = torch.equal(found.float(), made[0].float())
    total, count = summed_loss(model, model, batch, plain=plain)
    logits = model(**_unlabelled(batch)).logits[:, :-1].flatten(0, 1).float()
    expected = cross_entropy(
        logits, batch["labels"][:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
    )
    model.train(training)
    if not torch.isclose(total, expected, rtol=TOLERANCE, atol=TOLERANCE * float(count)):
        raise InputError(
            model.config.name_or_path,
            f"logits that {type(model).__name__} does not make in its output layer alone",
            "a causal language model of transformers",
            "Take another model.",
        )
    return plain


def summed_loss(
    model: torch.nn.Module,
    inner: PreTrainedModel,
    inputs: Mapping[str, torch.Tensor],
    *,
    plain: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the summed cross-entropy of a batch and its number of labels.

    Logits of many labels are made in parts, and again in the backward pass: all at once they would
    take more memory than the model (the paper's loss on 8,192 ids: 4 GB, times four). If the model
    changes its logits behind the output layer, they are made all at once and only their loss in
    parts. A batch without labels has a loss of 0 and gradients of zero.

    Args:
        model: The model, possibly wrapped for several processes.
        inner: The same model without wrappers.
        inputs: A batch, with `labels`.
        plain: Whether the model's logits are what its output layer gives.
    """
    targets = inputs["labels"][:, 1:]
    labelled = targets != IGNORED
    rows, places = labelled.nonzero(as_tuple=True)
    wanted = targets[rows, places]

    def instead(hidden: torch.Tensor, layer: Layer, _: torch.nn.Linear | None) -> torch.Tensor:
        chosen = hidden[rows, places]
        return _in_parts(layer, chosen, wanted) if plain else layer(chosen)[None]

    with output_layer(inner, instead):
        made: torch.Tensor = model(**_unlabelled(inputs)).logits
    return made if plain else _in_parts(torch.nn.Identity(), made[0], wanted), labelled.sum()


def _unlabelled(batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor | bool]:
    """Return what the model is called with: it takes no loss, and keeps no cache."""
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    return {**inputs, "use_cache": False}


def _in_parts(layer: Layer, chosen: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the summed cross-entropy of what a layer makes of hidden states."""

    def of(part: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return cross_entropy(layer(part).float(), labels, ignore_index=IGNORED, reduction="sum")

    pairs = list(zip(chosen.split(LOGITS_AT_ONCE), wanted.split(LOGITS_AT_ONCE), strict=True))
    if len(pairs) == 1 or not torch.is_grad_enabled():
        return torch.stack([of(*pair) for pair in pairs]).sum()
    return torch.stack([checkpoint(of, *pair, use_reentrant=False) for pair in pairs]).sum()


def token_loss(
    outputs: TokenClassifierOutput,
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """Return the cross-entropy per labelled subword of an optimiser step, however it is split.

    transformers assumes that encoders divide by `num_items_in_batch` themselves, which they do not:
    their own loss would be multiplied by the accumulation steps and by the processes.
    """
    logits = outputs.logits.flatten(0, 1).float()
    total = cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="sum")
    count = (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
    return total / torch.as_tensor(count, device=total.device).clamp(min=1)

"""The loss of an LLM, with the output layer applied only where there is a label."""

from collections.abc import Mapping

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from bioner.errors import InputError
from bioner.models import IGNORED
from bioner.models.output_layer import Layer, output_layer

# Rows of one number per vocabulary entry: with Llama's 128,256, a row takes half a megabyte.
LOGITS_AT_ONCE = 1024
TOLERANCE = 0.02  # of the loss, in half precision


@torch.no_grad()
def check_loss(model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> None:
    """Check that a model does not scale or cap logits after its output layer.

    Gemma 2, Granite and Cohere do, and `summed_loss` would leave that out.

    Args:
        model: The model before training.
        batch: One short example, on the model's device.

    Raises:
        InputError: If the losses with and without the rest of the model differ.
    """
    training = model.training
    total, count = summed_loss(model.eval(), model, batch)
    whole = {name: value for name, value in batch.items() if name != "labels"}
    logits = model(**whole, use_cache=False).logits[:, :-1].flatten(0, 1).float()
    expected = cross_entropy(
        logits, batch["labels"][:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
    )
    model.train(training)
    if not torch.isclose(total, expected, rtol=TOLERANCE, atol=TOLERANCE * float(count)):
        raise InputError(
            model.config.name_or_path,
            f"logits that {type(model).__name__} changes behind its output layer",
            "the layer's own, as most have them",
            "Take another model.",
        )


def summed_loss(
    model: torch.nn.Module, inner: PreTrainedModel, inputs: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the summed cross-entropy of a batch and its number of labels.

    Logits of many labels are made in parts, and again in the backward pass: all at once they would
    take more memory than the model (the paper's loss on 8,192 ids: 4 GB, times four). A batch
    without labels has a loss of 0 and gradients of zero.

    Args:
        model: The model, possibly wrapped for several processes.
        inner: The same model without wrappers.
        inputs: A batch, with `labels`.
    """
    targets = inputs["labels"][:, 1:]
    labelled = targets != IGNORED
    rows, places = labelled.nonzero(as_tuple=True)
    wanted = targets[rows, places]

    def instead(hidden: torch.Tensor, layer: Layer, plain: torch.nn.Linear | None) -> torch.Tensor:
        def of(part: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return cross_entropy(layer(part).float(), labels, ignore_index=IGNORED, reduction="sum")

        pairs = list(
            zip(
                hidden[rows, places].split(LOGITS_AT_ONCE),
                wanted.split(LOGITS_AT_ONCE),
                strict=True,
            )
        )
        if len(pairs) == 1 or not torch.is_grad_enabled():
            return torch.stack([of(*pair) for pair in pairs]).sum()
        return torch.stack([checkpoint(of, *pair, use_reentrant=False) for pair in pairs]).sum()

    whole = {name: value for name, value in inputs.items() if name != "labels"}
    with output_layer(inner, instead):
        total: torch.Tensor = model(**whole, use_cache=False).logits
    return total, labelled.sum()

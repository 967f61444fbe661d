"""The loss of an LLM at the ids that carry one, and the output layer nowhere else."""

from collections.abc import Mapping

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from bioner.errors import InputError
from bioner.models import IGNORED
from bioner.models.output_layer import Layer, output_layer

# rows of [vocabulary] numbers; Llama's has 128,256 of them, so that a row takes half a megabyte
LOGITS_AT_ONCE = 1024


TOLERANCE = 0.02  # of the loss, in half precision


@torch.no_grad()
def check_loss(model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> None:
    """InputError for an architecture that scales or caps logits behind its output layer (Gemma 2,
    Granite, Cohere).

    `summed_loss` would leave that out. Shown by a batch: one short example.
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
        found = f"logits that {type(model).__name__} changes behind its output layer"
        raise InputError(
            model.config.name_or_path,
            found,
            "the layer's own, as most have them",
            "Take another model.",
        )


def summed_loss(
    model: torch.nn.Module, inner: PreTrainedModel, inputs: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy summed over the labels of a batch, and how many these are.

    `inner` is the model without what processes wrap around it. Logits of many labels are made part
    by part, and again in the backward pass: all at once they would take more memory than the model
    (the paper's loss on 8,192 ids: 4 GB, times four). A batch without a label has a loss of 0 and
    gradients of zeros.
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

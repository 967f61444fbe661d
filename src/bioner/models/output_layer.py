"""Computing the output layer of an LLM, a large part of a small one, only where needed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

Layer = Callable[[torch.Tensor], torch.Tensor]


@contextmanager
def output_layer(
    model: PreTrainedModel,
    instead: Callable[[torch.Tensor, Layer, torch.nn.Linear | None], torch.Tensor],
) -> Iterator[None]:
    """Within the block, the model's logits are what `instead` makes of the hidden states.

    For any architecture: `logits_to_keep` of transformers knows columns of a batch, not places in
    its rows.

    Args:
        instead: takes the hidden states, the layer as a function, and the layer itself if it has
            neither adapters nor 4-bit weights.
    """
    head = model.get_output_embeddings()
    whole, before = head.forward, head.__dict__.get("forward")
    plain = head if type(head) is torch.nn.Linear and before is None else None
    head.forward = lambda hidden: instead(hidden, whole, plain)
    try:
        yield
    finally:
        if before is None:
            del head.forward
        else:
            head.forward = before

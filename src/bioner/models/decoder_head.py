"""A token-classification head on a decoder: transformers has one for some architectures only."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel
from transformers.modeling_outputs import TokenClassifierOutput

from bioner.errors import InputError, reason_of

HEAD = "head.safetensors"  # next to the decoder's weights or adapter


class DecoderWithHead(torch.nn.Module):
    """A decoder's last hidden states, dropout, and a linear layer in fp32.

    Dropout and initial weights are those of transformers' own classes. The tags are those of the
    decoder's configuration.

    Attributes:
        decoder: The model without its output layer, with or without adapters.
        head: The linear layer, with an output for each tag.
    """

    base_model_prefix = "decoder"  # of parameters that are not the head's, as in transformers

    def __init__(self, decoder: PreTrainedModel) -> None:
        super().__init__()
        self.decoder, config = decoder, decoder.config
        rates = (getattr(config, f"{name}_dropout", None) for name in ("classifier", "hidden"))
        self.dropout = torch.nn.Dropout(next((rate for rate in rates if rate is not None), 0.1))
        self.head = torch.nn.utils.skip_init(
            torch.nn.Linear,
            decoder.get_input_embeddings().embedding_dim,
            config.num_labels,
            device=decoder.device,
            dtype=decoder.dtype,
        )
        torch.nn.init.normal_(self.head.weight, std=getattr(config, "initializer_range", 0.02))
        torch.nn.init.zeros_(self.head.bias)
        self.head.float()
        # A checkpoint needs no copy of a frozen decoder.
        torch.nn.Module.register_state_dict_post_hook(self, _leave_out_frozen)
        torch.nn.Module.register_load_state_dict_post_hook(self, _miss_no_frozen)

    @property
    def config(self) -> Any:
        """The decoder's configuration."""
        return self.decoder.config

    @property
    def device(self) -> torch.device:
        """The device of the whole model."""
        return torch.device(self.decoder.device)

    def get_input_embeddings(self) -> torch.nn.Module:
        """Return the decoder's input embeddings."""
        embeddings: torch.nn.Module = self.decoder.get_input_embeddings()
        return embeddings

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> TokenClassifierOutput:
        """Return a logit per tag for each place (batch, length, tags)."""
        hidden = self.decoder(
            input_ids=input_ids, attention_mask=attention_mask, use_cache=False
        ).last_hidden_state
        return TokenClassifierOutput(
            logits=self.head(self.dropout(hidden).to(self.head.weight.dtype))
        )

    def activation_checkpointing_enable(self, **kwargs: Any) -> None:
        """Recompute the decoder's activations in the backward pass; called by the Trainer."""
        self.decoder.activation_checkpointing_enable(**kwargs)

    def save_head(self, folder: Path) -> None:
        """Write the head to a folder."""
        save_file(self.head.state_dict(), folder / HEAD)

    def load_head(self, folder: Path) -> None:
        """Read the head from a folder.

        Raises:
            InputError: There is none, or one of another size.
        """
        try:
            self.head.load_state_dict(load_file(folder / HEAD))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise InputError(
                folder,
                f"no {HEAD} that can be used ({reason_of(error)})",
                f"a head of {self.head.out_features} tags",
                "Copy the whole folder again; if it was trained by a version that kept the head"
                " among the other weights, train again.",
            ) from None


def _leave_out_frozen(model: torch.nn.Module, state: dict[str, Any], *_: object) -> None:
    for name in state.keys() - _trained(model):
        del state[name]


def _miss_no_frozen(model: torch.nn.Module, keys: Any) -> None:
    keys.missing_keys[:] = sorted(_trained(model).intersection(keys.missing_keys))


def _trained(model: torch.nn.Module) -> set[str]:
    return {name for name, values in model.named_parameters() if values.requires_grad}

"""How many subwords a model can read at once."""

import sys

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from bioner.errors import InputError
from bioner.settings.model_entry import ModelEntry

# Their positions begin behind the padding token's id.
OFFSET_BY_PADDING = frozenset(
    {
        "camembert",
        "data2vec-text",
        "ibert",
        "longformer",
        "luke",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)


def positions_of(config: PreTrainedConfig) -> int | None:
    """Return the subwords that a model has positions for, special tokens included.

    With learned positions, longer input is an error; with rotary ones, the model has seen none.

    Returns:
        None for relative positions, which have no limit (XLNet, T5, most DeBERTa models).
    """
    config = config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None)
    if not positions or positions < 0 or not getattr(config, "position_biased_input", True):
        return None
    if config.model_type in OFFSET_BY_PADDING:
        positions -= config.pad_token_id + 1
    return int(positions)


def readable_ids(model: PreTrainedModel) -> int:
    """Return how many ids a model can read at once, sys.maxsize if no table of positions ends.

    A table may have two rows that text does not use (OPT, RoBERTa).
    """
    positions = positions_of(model.config)
    words = model.get_input_embeddings()
    tables = [
        *(table.weight for table in model.modules() if isinstance(table, torch.nn.Embedding)),
        *(table for table in model.buffers() if table.dim() == 2),
    ]
    ends = positions and any(
        positions <= len(table) <= positions + 2 and table is not words.weight for table in tables
    )
    return positions if positions and ends else sys.maxsize


def check_window(name: str, entry: ModelEntry, model: PreTrainedModel) -> None:
    """Raise InputError if the entry's `max_length` exceeds the model's positions."""
    positions = positions_of(model.config)
    if positions and entry.max_length > positions:
        raise InputError(
            name,
            f"max_length {entry.max_length}",
            f"at most {positions}, the model's positions",
            "Lower max_length.",
        )

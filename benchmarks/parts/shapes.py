"""Shapes of the paper's models, for random weights, and peak FLOP/s of cards."""

from typing import Any, NamedTuple

PEAK = {
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
}  # dense bf16 FLOP per second, by the data sheets

LLM: dict[str, Any] = {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
}
TINY_LLM = LLM | {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "intermediate_size": 128,
}
ENCODER: dict[str, Any] = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "max_position_embeddings": 512,
}
TINY_ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 512,
}
# DeBERTa-v3's attention to relative positions.
RELATIVE = {
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}


class Shape(NamedTuple):
    """An architecture of transformers, its sizes, and sizes for a rehearsal."""

    architecture: str
    vocabulary: int
    sizes: dict[str, Any]
    tiny: dict[str, Any]


SHAPES = {
    "mistral-7b": Shape(
        "mistral", 32768, LLM | {"sliding_window": None}, TINY_LLM | {"sliding_window": None}
    ),
    "llama-8b": Shape("llama", 128256, LLM, TINY_LLM),
    "bert-large-uncased": Shape("bert", 30522, ENCODER, TINY_ENCODER),
    "deberta-v3-large": Shape("deberta-v2", 128100, ENCODER | RELATIVE, TINY_ENCODER | RELATIVE),
}


def peak_flops(card: str) -> float | None:
    """Return the dense bf16 FLOP per second of a card by its name, None if it is not known."""
    return next((flops for name, flops in PEAK.items() if name in card), None)

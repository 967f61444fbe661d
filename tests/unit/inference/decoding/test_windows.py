"""Constrained decoding of models with sliding windows: exact, and nothing is read twice."""

from collections.abc import Sequence

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedModel

from bioner.data.instances import Instance
from bioner.inference.decoding.constrained import ConstrainedDecoder
from bioner.inference.decoding.drafts import tag_table
from bioner.inference.decoding.kv_cache import RecomputedBatch
from bioner.settings.model_entry import Predict
from tests.unit.inference.decoding.conftest import TYPES
from tests.unit.inference.decoding.reference import assert_same, slowly, tags_of

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "initializer_range": 0.4,
    "pad_token_id": 0,
}
MIXED = {"layer_types": ["sliding_attention", "full_attention"]}
SHORT, LONG = 24, 4096  # the sentences have 80 to 200 ids with their prompts


def windowed(name: str, vocabulary: int, window: int | None) -> PreTrainedModel:
    """A random model with a sliding window of this size in some or all of its layers."""
    own = {
        "Gemma3TextConfig": MIXED | {"query_pre_attn_scalar": 8},
        "Gemma4TextConfig": MIXED
        | {"num_kv_shared_layers": 1, "vocab_size_per_layer_input": vocabulary}
        | {"hidden_size_per_layer_input": 8, "num_hidden_layers": 3}
        | {"layer_types": ["sliding_attention", "full_attention", "full_attention"]},
        "GptOssConfig": MIXED | {"num_local_experts": 2, "num_experts_per_tok": 1},
        "Llama4TextConfig": {"attention_chunk_size": window, "intermediate_size_mlp": 48}
        | {"num_local_experts": 2, "num_experts_per_tok": 1},
        "ModernBertDecoderConfig": MIXED | {"local_attention": 2 * (window or 0)},
        "Olmo3Config": MIXED,
    }
    torch.manual_seed(1)
    described = SIZES | {"sliding_window": window, "vocab_size": vocabulary} | own.get(name, {})
    config = getattr(transformers, name)(**described)
    return AutoModelForCausalLM.from_config(config).eval()


def ids_read(model: PreTrainedModel, decoder: ConstrainedDecoder, texts: Sequence[Instance]) -> int:
    """Count the ids read in all passes, including padding."""
    widths: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda _, args, kwargs: widths.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    decoder(texts, 3)
    hook.remove()
    return sum(widths)


@pytest.mark.parametrize("window", [SHORT, LONG])
@pytest.mark.parametrize(
    "name",
    [
        "Gemma2Config",
        "Gemma3TextConfig",
        "Gemma4TextConfig",
        "GptOssConfig",
        "Llama4TextConfig",
        "MistralConfig",
        "ModernBertDecoderConfig",
        "Olmo3Config",
    ],
)
def test_windows_shorter_and_longer_than_the_sentences_change_no_tag(
    name, window, tokenizer, texts
):
    model = windowed(name, len(tokenizer), window)
    decoder = ConstrainedDecoder(model, tokenizer, TYPES, tag_table(texts), Predict(draft_length=3))
    assert decoder.settings["cached"]
    slow = [slowly(model, tokenizer, text, TYPES) for text in texts]
    for batch_size in (1, 3):
        for output, reference in zip(decoder(texts, batch_size), slow, strict=True):
            assert_same(tags_of(output.text), reference)


def test_a_window_that_is_not_exceeded_costs_nothing(tokenizer, texts):
    read = []
    for window in (LONG, None):
        model = windowed("MistralConfig", len(tokenizer), window)
        decoder = ConstrainedDecoder(model, tokenizer, TYPES, tag_table(texts))
        read.append(ids_read(model, decoder, texts))
    assert read[0] == read[1]


def test_beyond_the_window_nothing_is_read_twice_either(tokenizer, texts):
    model = windowed("MistralConfig", len(tokenizer), SHORT)
    read = {}
    for rows in (None, RecomputedBatch):
        decoder = ConstrainedDecoder(
            model, tokenizer, TYPES, tag_table(texts), Predict(draft_length=3), rows=rows
        )
        read[rows] = ids_read(model, decoder, texts)
    assert read[None] < read[RecomputedBatch] / 4

"""Fused norms change no bit, and norms of other formulas are left alone."""

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from bioner.models.fused_norms import fuse_norms

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 60,
    "pad_token_id": 0,
}


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("name", "fused"),
    [("Llama", 5), ("Mistral", 5), ("Qwen2", 5), ("Qwen3", 9), ("Gemma2", 0), ("Olmo2", None)],
)
def test_logits_keep_their_bits(name, fused, dtype):
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**SIZES)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            torch.nn.init.normal_(module.weight)
    ids = torch.arange(40).view(2, 20)
    before = model(input_ids=ids).logits
    fuse_norms(model)
    assert torch.equal(model(input_ids=ids).logits, before)
    count = sum("forward" in vars(module) for module in model.modules())
    # Olmo2 multiplies by the weights before it rounds.
    assert count == (fused if fused is not None else 9 * (dtype == torch.float32))

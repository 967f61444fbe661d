"""Kernel launches per pass of constrained decoding, counted on the CPU.

Each operation that PyTorch dispatches counts as one launch. Views, allocations and reads of scalars
do not count. Three of them are counted as a data-centre GPU runs them: attention as one kernel plus
the conversion of a mask that is not additive; a fused norm as one; a 4-bit product of more than a
few rows as the dequantisation of scales (two), of weights (one) and the product (one). Copies to
the GPU do not show on the CPU: there is one per pass.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, MistralConfig, PreTrainedModel

from bioner.inference.decoding.kv_cache import batch_class
from bioner.models.fused_norms import fuse_norms

LAYERS = 32  # of Mistral-7B and Llama-3.1-8B
FREE = {"empty", "empty_like", "empty_strided", "new_empty", "lift_fresh", "detach", "alias"} | {
    "_unsafe_view",
    "_local_scalar_dense",
}
WHOLE = {"_fused_rms_norm"}  # made of others on the CPU alone
FOUR_BIT = 4  # launches of a product with doubly quantised weights
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class LaunchCounter(TorchDispatchMode):
    """Count the operations dispatched within the block that would be launches on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name not in WHOLE:
            with self:  # operations made of others count as these
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        if not (func.is_view or name in FREE):
            self.counts[name] += FOUR_BIT if name == "gemm_4bit" else 1
        return func(*args, **kwargs)


def merged(layers: int) -> PreTrainedModel:
    """Return a small model of Mistral-7B's architecture in bf16, as it is loaded to predict."""
    model = _mistral(layers)
    fuse_norms(model)
    return model


def _mistral(layers: int) -> PreTrainedModel:
    torch.manual_seed(0)
    config = MistralConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=2,
        vocab_size=64,
        sliding_window=None,
    )
    return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()


def as_trained(layers: int) -> PreTrainedModel:
    """Return the same model in 4 bits with fp32 adapters on every linear layer."""
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    with TemporaryDirectory() as folder:
        _mistral(layers).save_pretrained(Path(folder))
        base = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.bfloat16,
            device_map={"": "cpu"},
            quantization_config=quantization,
        )
    for module in base.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return get_peft_model(base, LoraConfig(r=4, target_modules=LINEAR)).eval()


def launches(model: PreTrainedModel) -> Counter[str]:
    """Count the launches of a pass over drafts in two rows, after one in which some were wrong."""
    block = list(range(4, 24))
    with torch.inference_mode():
        rows = batch_class(model)(model, 0, 2, [1, 2, 3])
        rows.read([block, block[1:]], [(0, 19), (1, 18)], [8, 9])
        rows.keep(0, 17)
        rows.keep(1, 19)
        with LaunchCounter() as counter:
            rows.read([block[:5], block[:3]], [(0, 4), (1, 2)], [8, 9])
    return counter.counts


def per_pass(make: Callable[[int], PreTrainedModel]) -> tuple[Counter[str], Counter[str]]:
    """Return the launches per layer and the others, each by operation."""
    one, two = launches(make(1)), launches(make(2))
    return two - one, one - (two - one)


def kernels_per_pass(layers: int = LAYERS) -> dict[str, int]:
    """Count the kernel launches of one pass through so many layers, for both kinds of weights."""
    figures = {}
    for make in (merged, as_trained):
        each, fixed = per_pass(make)
        figures[f"kernels_per_pass_{make.__name__}"] = layers * each.total() + fixed.total()
    return figures


if __name__ == "__main__":
    for make in (merged, as_trained):
        for where, counts in zip(("layer", "fixed"), per_pass(make), strict=True):
            print(make.__name__, where, counts.total(), dict(counts.most_common()))
    print(kernels_per_pass())

"""The cache of constrained decoding: exactly transformers', without its copies and conversions."""

import random

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, MistralConfig
from transformers.cache_utils import DynamicLayer

from benchmarks.parts import kernels
from bioner.inference.decoding.kv_cache import (
    ALIGNED,
    AdditiveMaskBatch,
    CachedBatch,
    GrowingLayer,
    batch_class,
)

IDS = 60


def mistral(dtype=torch.float32, **changes):
    torch.manual_seed(0)
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": IDS,
        "sliding_window": None,
        "initializer_range": 0.4,
    }
    return AutoModelForCausalLM.from_config(MistralConfig(**(sizes | changes)), dtype=dtype).eval()


@torch.inference_mode()
def read_at_random(model, kind, seed):
    """Return the logits of 30 passes with wrong drafts, new sentences and rows that end."""
    draw, count, logits = random.Random(seed), 5, []
    rows = kind(model, 0, count, range(1, 7))
    for step in range(30):
        blocks = [[draw.randrange(9, IDS) for _ in range(draw.randrange(20))] for _ in range(count)]
        blocks[0] = [*blocks[0], 9, 10]
        wanted = [(row, len(block) - 1) for row, block in enumerate(blocks) if block]
        logits.append(rows.read(blocks, wanted, range(IDS)))
        for row, block in enumerate(blocks):
            rows.keep(row, draw.randrange(len(block) + 1))
        if step % 9 == 5:
            for row in range(0, count, 2):
                rows.start(row, range(1, 9))
        if step in (12, 20):
            count -= 2
            rows.select(sorted(draw.sample(range(count + 2), count)))
    return torch.cat(logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("heads", [2, 4])
def test_a_mask_made_once_per_pass_gives_the_same_bits(dtype, heads):
    model = mistral(dtype, num_key_value_heads=heads)
    assert batch_class(model) is AdditiveMaskBatch
    for seed in range(2):
        plain, additive = (
            read_at_random(model, kind, seed) for kind in (CachedBatch, AdditiveMaskBatch)
        )
        assert plain.isfinite().all()
        assert torch.equal(plain, additive)


def test_rows_of_a_mask_begin_where_attention_kernels_need_not_copy_them():
    rows = AdditiveMaskBatch(mistral(), 0, 2, range(1, 7))
    rows._width, rows._mask = 3, torch.ones(2, 9).bool().numpy()
    mask = rows._attention_mask(torch.from_numpy(rows._seen()))
    assert (mask.shape, mask.stride(-2)) == ((2, 1, 3, 9), ALIGNED)


def test_models_with_sliding_windows_keep_the_masks_of_transformers():
    assert batch_class(mistral(sliding_window=4096)) is CachedBatch


def test_a_growing_layer_holds_what_a_dynamic_layer_holds():
    torch.manual_seed(0)
    draw = random.Random(0)
    mine, other = GrowingLayer(), DynamicLayer()
    for step in range(60):
        rows = other.keys.shape[0] if step else 2
        length = draw.randrange(1, 9)
        new = [torch.randn(rows, 2, length, 4) for _ in range(2)]
        for given, expected in zip(mine.update(*new), other.update(*new), strict=True):
            assert torch.equal(given, expected)
        columns = other.get_seq_length()
        assert mine.get_seq_length() == columns
        for layer in (mine, other):
            layer.crop(-(step % 4))
        columns -= step % 4
        if step == 0:
            for layer in (mine, other):
                layer.batch_repeat_interleave(3)
        if step in (20, 40):
            for layer in (mine, other):
                layer.batch_select_indices(torch.tensor([0, 2, 3]) if step == 20 else [1])
        if step in (10, 30) and columns:
            rows = other.keys.shape[0]
            drawn = [torch.randperm(columns)[columns // 4 :] for _ in range(rows)]
            order = torch.stack(drawn).sort(1)[0]
            mine.pack(order)
            for name in ("keys", "values"):
                kept = torch.take_along_dim(getattr(other, name), order[:, None, :, None], 2)
                setattr(other, name, kept)


def test_an_empty_layer_is_skipped():
    layer = GrowingLayer()
    layer.batch_repeat_interleave(3)
    layer.batch_select_indices(torch.tensor([0]))
    layer.pack(torch.tensor([[0]]))
    layer.crop(-2)
    assert layer.get_seq_length() == 0


def test_a_layer_with_room_does_not_copy_its_contents():
    layer = GrowingLayer()
    layer.update(*[torch.randn(3, 2, 10, 4)] * 2)
    layer.update(*[torch.randn(3, 2, 90, 4)] * 2)
    where = layer.keys.data_ptr(), layer.values.data_ptr()
    for _ in range(10):
        layer.update(*[torch.randn(3, 2, 5, 4)] * 2)
        layer.crop(-2)
        assert (layer.keys.data_ptr(), layer.values.data_ptr()) == where


class Transfers(TorchDispatchMode):
    """Count what goes from the CPU to another device."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        here = any(isinstance(each, torch.Tensor) and each.device.type == "cpu" for each in args)
        self.count += here and isinstance(result, torch.Tensor) and result.device.type != "cpu"
        return result


@torch.inference_mode()
def test_a_pass_copies_its_inputs_to_the_device_in_one_copy():
    """With `meta` for the device, which computes shapes only."""
    rows = AdditiveMaskBatch(mistral().to("meta"), 0, 2, range(1, 7))
    for block in (range(10, 30), range(10, 15)):
        with Transfers() as transfers:
            logits = rows.read([block, block[2:]], [(0, 3), (1, 2)], [8, 9])
        assert (transfers.count, logits.shape, logits.device.type) == (1, (2, 2), "meta")
        rows.keep(0, 3)
        rows.keep(1, 2)


def test_views_and_allocations_are_not_counted_as_launches():
    with kernels.LaunchCounter() as counter:
        square = torch.ones(4, 4)
        torch.empty(3).view(3, 1).expand(3, 3).t()
        torch.nn.functional.linear(square, square)  # a composite of a view and a product
    assert counter.counts == {"ones": 1, "mm": 1}


def test_launches_per_pass_are_those_of_the_layers_and_few_others():
    """With masks converted and norms computed step by step, a layer would have 45."""
    each, fixed = kernels.per_pass(kernels.merged)
    assert each["mm"] == 7
    assert each.total() <= 30
    assert fixed.total() <= 19
    with_adapter, _ = kernels.per_pass(kernels.as_trained)
    assert with_adapter["gemm_4bit"] == 7 * kernels.FOUR_BIT
    assert with_adapter["mm"] == 2 * 7

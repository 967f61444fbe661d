"""Sentences side by side in a model: what it has read of each is kept, and taken back where a draft
was wrong.
"""

import logging
from collections.abc import Sequence
from typing import Protocol

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from bioner.models.output_layer import Layer, output_layer

log = logging.getLogger(__name__)

Wanted = Sequence[tuple[int, int]]  # row, and after which id of its block

HOLES = 0.25  # share of the cache that may be of no use before it is packed
PROBE = 48  # ids that a model is tried with


class Batch(Protocol):
    """What constrained decoding needs of a model."""

    def __init__(
        self, model: PreTrainedModel, pad: int, rows: int, prefix: Sequence[int] = ()
    ) -> None: ...

    def start(self, row: int, ids: Sequence[int]) -> list[int]:
        """Begin a sentence in a row; returns what of its prompt is still to be read."""

    def read(
        self, blocks: Sequence[Sequence[int]], wanted: Wanted, of: Sequence[int]
    ) -> torch.Tensor:
        """Read a block of ids in each row; logits of the ids `of` at wanted places, [len(wanted),
        len(of)], fp32.
        """

    def keep(self, row: int, count: int) -> None:
        """Of the block just read in this row, the first `count` ids stand."""

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone."""


class CachedBatch:
    """Keys and values are kept. What is wrong is masked out, later cut off or packed; a common
    prefix is read once.

    Rows differ in length: a new block stands in the same columns for all of them, positions and
    mask say where it belongs. That is all a model has to understand, so any does that takes padded
    batches.
    """

    def __init__(
        self, model: PreTrainedModel, pad: int, rows: int, prefix: Sequence[int] = ()
    ) -> None:
        self._model, self._pad, self._prefix = model, pad, len(prefix)
        self._cache = DynamicCache()
        self._mask = torch.ones(rows, len(prefix), dtype=torch.bool)
        self._length = [len(prefix)] * rows
        self._block: list[int] = []
        if prefix:
            ids = torch.tensor([list(prefix)], device=model.device)
            _logits(
                model,
                ids,
                torch.ones_like(ids),
                [(0, 0)],
                [pad],
                past_key_values=self._cache,
                use_cache=True,
            )
            self._cache.batch_repeat_interleave(rows)

    def start(self, row: int, ids: Sequence[int]) -> list[int]:
        """See Rows. The ids begin with the prefix."""
        self._mask[row, self._prefix :] = False
        self._length[row] = self._prefix
        return list(ids[self._prefix :])

    def read(
        self, blocks: Sequence[Sequence[int]], wanted: Wanted, of: Sequence[int]
    ) -> torch.Tensor:
        """See Rows."""
        self._tidy()
        self._block = [len(block) for block in blocks]
        ids = torch.full((len(blocks), max(self._block)), self._pad)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        positions = torch.zeros_like(ids)
        for row, block in enumerate(blocks):
            ids[row, : len(block)] = torch.tensor(block)
            # Padding stands behind the block and so sees it: no place sees nothing, which would be
            # no number.
            mask[row, : max(len(block), 1)] = True
            positions[row] = self._length[row] + torch.arange(ids.shape[1]).clamp(
                max=max(len(block) - 1, 0)
            )
        self._mask = torch.cat([self._mask, mask], 1)
        device = self._model.device
        return _logits(
            self._model,
            ids.to(device),
            self._mask.to(device).long(),
            wanted,
            of,
            position_ids=positions.to(device),
            past_key_values=self._cache,
            use_cache=True,
        )

    def keep(self, row: int, count: int) -> None:
        """See Rows."""
        width = max(self._block)
        self._mask[row, self._mask.shape[1] - width + count :] = False
        self._length[row] += count

    def select(self, rows: Sequence[int]) -> None:
        """See Rows."""
        chosen = torch.tensor(rows)
        self._mask = self._mask[chosen]
        self._length = [self._length[row] for row in rows]
        self._cache.batch_select_indices(chosen.to(self._model.device))

    def _tidy(self) -> None:
        """Cut off columns at the end that no row uses, and pack the rows where too many are
        holes.
        """
        width = self._mask.shape[1]
        if not self._cache.get_seq_length() or not width:
            return
        used = int(self._mask.any(0).nonzero().max()) + 1 if self._mask.any() else 0
        counts = self._mask.sum(1)
        fullest = int(counts.max())
        if used < width:
            self._cache.crop(used - width)
            self._mask = self._mask[:, :used]
        if used - fullest <= HOLES * used:
            return
        order = torch.argsort(~self._mask, dim=1, stable=True)[:, :fullest]
        for layer in self._cache.layers:
            if not layer.is_initialized:
                continue  # it has another layer's keys and values
            index = order.to(layer.keys.device)[:, None, :, None]
            layer.keys = layer.keys.gather(
                2, index.expand(-1, layer.keys.shape[1], -1, layer.keys.shape[3])
            )
            layer.values = layer.values.gather(
                2, index.expand(-1, layer.values.shape[1], -1, layer.values.shape[3])
            )
        self._mask = torch.arange(fullest)[None] < counts[:, None]


class RecomputedBatch:
    """Nothing is kept, every pass reads its rows from the start: for models whose memory cannot be
    taken back.
    """

    def __init__(
        self, model: PreTrainedModel, pad: int, rows: int, prefix: Sequence[int] = ()
    ) -> None:
        self._model, self._pad = model, pad
        self._ids: list[list[int]] = [[] for _ in range(rows)]
        self._block: list[list[int]] = []

    def start(self, row: int, ids: Sequence[int]) -> list[int]:
        """See Rows."""
        self._ids[row] = []
        return list(ids)

    def read(
        self, blocks: Sequence[Sequence[int]], wanted: Wanted, of: Sequence[int]
    ) -> torch.Tensor:
        """See Rows."""
        self._block = [list(block) for block in blocks]
        texts = [before + block for before, block in zip(self._ids, self._block, strict=True)]
        ids = torch.full((len(texts), max(map(len, texts))), self._pad)
        mask = torch.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = torch.tensor(text)
            mask[row, : max(len(text), 1)] = 1
        places = [(row, len(self._ids[row]) + place) for row, place in wanted]
        device = self._model.device
        return _logits(self._model, ids.to(device), mask.to(device), places, of, use_cache=False)

    def keep(self, row: int, count: int) -> None:
        """See Rows."""
        self._ids[row] += self._block[row][:count]

    def select(self, rows: Sequence[int]) -> None:
        """See Rows."""
        self._ids = [self._ids[row] for row in rows]


def _logits(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    wanted: Wanted,
    of: Sequence[int],
    **kwargs: object,
) -> torch.Tensor:
    """A forward pass; the output layer, a third of a small model, at the wanted places and for the
    wanted ids alone.
    """
    device = model.device
    rows, places = (torch.tensor(indices, device=device) for indices in zip(*wanted, strict=True))
    columns = torch.tensor(of, device=device)

    def narrow(hidden: torch.Tensor, layer: Layer, plain: torch.nn.Linear | None) -> torch.Tensor:
        chosen = hidden[rows, places][None]
        if plain is None:
            return layer(chosen)[..., columns]
        return torch.nn.functional.linear(
            chosen, plain.weight[columns], None if plain.bias is None else plain.bias[columns]
        )

    with output_layer(model, narrow):
        logits = model(input_ids=ids, attention_mask=mask, **kwargs).logits
    wide: torch.Tensor = logits[0].float()
    return wide


def batch_class(model: PreTrainedModel) -> type[CachedBatch] | type[RecomputedBatch]:
    """How this model's rows are kept: cached where it can be, by a trial, else read again in every
    pass.
    """
    config = model.config.get_text_config()
    window = any(
        getattr(config, name, None)
        for name in ("window_size", "attention_window", "attention_types")
    )
    # States that cannot be taken back, and windows, which holes would move.
    plain = not window and all(
        type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers
    )
    try:
        if plain and _supports_rollback(model):
            return CachedBatch
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError, RuntimeError, AttributeError, NotImplementedError):
        pass  # it takes no positions, or has a memory of its own kind
    log.info(
        "predict: what this model has read cannot be taken back; every pass reads from the start,"
        " which is slow"
    )
    return RecomputedBatch


@torch.inference_mode()
def _supports_rollback(model: PreTrainedModel) -> bool:
    """Whether what was read wrong, masked out and read again leaves no trace in the logits."""
    ids = [5 + place % 7 for place in range(PROBE)]
    of = range(min(64, model.config.get_text_config().vocab_size))
    half = PROBE // 2
    places = [(0, place) for place in range(half)]

    def logits(kind: type[CachedBatch] | type[RecomputedBatch], wrong: int) -> torch.Tensor:
        """Of a row's second half, when it has read `wrong` false ids before that and taken them
        back.

        The other row goes on meanwhile, or there would be no hole: what no row needs is cut off.
        """
        rows = kind(model, 0, 2, ids[:8])
        mine, other = (rows.start(row, ids[:half]) for row in range(2))
        rows.read([[*mine, *[6] * wrong], [*other, *ids[half : half + wrong]]], [(0, 0)], [0])
        rows.keep(0, len(mine))
        rows.keep(1, len(other) + wrong)
        return rows.read([ids[half:], ids[half + wrong :]], places, of)

    again, straight, holed = (
        logits(RecomputedBatch, 0),
        logits(CachedBatch, 0),
        logits(CachedBatch, 20),
    )
    scale = (again - again.mean(1, keepdim=True)).norm().clamp(min=1e-6)
    rounding, error = (
        float((straight - again).norm() / scale),
        float((holed - again).norm() / scale),
    )
    # In half precision the cache alone rounds otherwise; holes must not add to that.
    return rounding < 0.2 and error < max(2 * rounding, 1e-3)

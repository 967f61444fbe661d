"""Sentences decoded side by side: what the model has read, kept until a draft proves wrong."""

import logging
import math
from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import (
    CacheLayerMixin,
    DummyLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)

from bioner.models.output_layer import Layer, output_layer

log = logging.getLogger(__name__)

Wanted = Sequence[tuple[int, int]]  # row, and after which id of its block

HOLES = 0.25  # share of unused columns at which the cache is packed
PROBE = 48  # ids of the trial run
# All that was read, the end of it, or what another layer has.
KEPT = (DynamicLayer, DynamicSlidingWindowLayer, DummyLayer)


class CachedBatch:
    """Rows whose keys and values are cached; a prefix that all rows share is read once.

    Ids that turn out wrong are masked, later cut off or packed away. Rows differ in length: a new
    block stands in the same columns for all of them, and positions and mask say where it belongs.
    Any model that takes padded batches understands this. Sliding windows are masks over columns:
    before the columns outgrow one, holes are packed away, which makes columns as far apart as
    positions.
    """

    def __init__(
        self, model: PreTrainedModel, pad: int, rows: int, prefix: Sequence[int] = ()
    ) -> None:
        self._model, self._pad, self._prefix = model, pad, len(prefix)
        windows = (getattr(layer, "sliding_window", math.inf) for layer in _layers(model))
        self._window = min(windows, default=math.inf)
        self._cache = DynamicCache()  # without the configuration: whole, also of sliding windows
        self._mask = torch.ones(rows, len(prefix), dtype=torch.bool)
        self._length = torch.full((rows,), len(prefix))
        self._width = 0
        if prefix:
            ids = torch.tensor([list(prefix)])
            options = {"past_key_values": self._cache, "use_cache": True}
            _logits(model, ids, torch.ones_like(ids), [(0, 0)], [pad], **options)
            self._cache.batch_repeat_interleave(rows)

    def start(self, row: int, ids: Sequence[int]) -> list[int]:
        """Begin a sentence in a row; return the ids after the prefix, which have yet to be read."""
        self._mask[row] &= self._mask[row].cumsum(0) <= self._prefix
        self._length[row] = self._prefix
        return list(ids[self._prefix :])

    def read(
        self, blocks: Sequence[Sequence[int]], wanted: Wanted, of: Sequence[int]
    ) -> torch.Tensor:
        """Read a block of ids in each row.

        Returns:
            fp32 logits of the ids `of` at the wanted places, [len(wanted), len(of)].
        """
        ids, mask = _padded(blocks, self._pad)
        self._width = ids.shape[1]
        self._tidy()
        # What follows a row's ids may see itself, and no id sees it: attention to nothing is NaN.
        self._mask = torch.cat([self._mask, torch.ones_like(mask)], 1)
        positions = self._length[:, None] + mask.cumsum(1) - 1
        # A row that reads nothing may have no position left.
        positions[[not block for block in blocks]] = 0
        return _logits(
            self._model,
            ids,
            self._mask,
            wanted,
            of,
            position_ids=positions.to(self._model.device),
            past_key_values=self._cache,
            use_cache=True,
        )

    def keep(self, row: int, count: int) -> None:
        """Keep the first `count` ids of the block that was just read in this row."""
        self._mask[row, self._mask.shape[1] - self._width + count :] = False
        self._length[row] += count

    def select(self, rows: Sequence[int]) -> None:
        """Drop all rows but these."""
        chosen = torch.tensor(rows)
        self._mask, self._length = self._mask[chosen], self._length[chosen]
        self._cache.batch_select_indices(chosen.to(self._model.device))

    def _tidy(self) -> None:
        """Cut off trailing columns that no row uses; pack the rows if too many columns are holes.

        Packing changes a sentence's columns but not their order or positions.
        """
        width = self._mask.shape[1]
        if not width:
            return
        used = int(self._mask.any(0).nonzero().max()) + 1 if self._mask.any() else 0
        counts = self._mask.sum(1)
        fullest = int(counts.max())
        if used < width:
            self._cache.crop(used - width)
            self._mask = self._mask[:, :used]
        within = used + self._width <= self._window or bool(self._mask.all())
        if within and used - fullest <= HOLES * used:
            return
        # To the right, so that each row ends where its next block begins.
        order = torch.argsort(self._mask, dim=1, stable=True)[:, used - fullest :]
        for layer in self._cache.layers:
            if not layer.is_initialized:
                continue  # it shares another layer's keys and values
            index = order.to(layer.keys.device)[:, None, :, None]
            layer.keys = torch.take_along_dim(layer.keys, index, 2)
            layer.values = torch.take_along_dim(layer.values, index, 2)
        self._mask = torch.arange(fullest) >= fullest - counts[:, None]


class RecomputedBatch:
    """Rows that every pass reads from the start, for models whose cache cannot be rolled back.

    Its methods are those of CachedBatch.
    """

    def __init__(
        self, model: PreTrainedModel, pad: int, rows: int, prefix: Sequence[int] = ()
    ) -> None:
        self._model, self._pad = model, pad
        self._ids: list[list[int]] = [[] for _ in range(rows)]
        self._blocks: Sequence[Sequence[int]] = []

    def start(self, row: int, ids: Sequence[int]) -> list[int]:
        self._ids[row] = []
        return list(ids)

    def read(
        self, blocks: Sequence[Sequence[int]], wanted: Wanted, of: Sequence[int]
    ) -> torch.Tensor:
        self._blocks = blocks
        texts = [[*before, *block] for before, block in zip(self._ids, blocks, strict=True)]
        places = [(row, len(self._ids[row]) + place) for row, place in wanted]
        return _logits(self._model, *_padded(texts, self._pad), places, of, use_cache=False)

    def keep(self, row: int, count: int) -> None:
        self._ids[row] += self._blocks[row][:count]

    def select(self, rows: Sequence[int]) -> None:
        self._ids = [self._ids[row] for row in rows]


Batch = CachedBatch | RecomputedBatch


def _padded(blocks: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return blocks of ids as rows of one width, and the mask of the places that hold ids.

    The first place of an empty block is unmasked too: attention to nothing would be NaN.
    """
    rows = [torch.tensor(block, dtype=torch.long) for block in blocks]
    ids = pad_sequence(rows, batch_first=True, padding_value=pad)
    lengths = torch.tensor([max(len(block), 1) for block in blocks])
    return ids, torch.arange(ids.shape[1]) < lengths[:, None]


def _logits(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    wanted: Wanted,
    of: Sequence[int],
    **kwargs: object,
) -> torch.Tensor:
    """Run a forward pass with the output layer only at the wanted places, for the wanted ids.

    The output layer is a third of a small model.
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
        output = model(input_ids=ids.to(device), attention_mask=mask.to(device).long(), **kwargs)
    logits: torch.Tensor = output.logits[0].float()
    return logits


def _layers(model: PreTrainedModel) -> list[CacheLayerMixin]:
    """Return the layers of a cache as transformers would make it for this model."""
    layers: list[CacheLayerMixin] = DynamicCache(config=model.config).layers
    return layers


def batch_class(model: PreTrainedModel) -> type[Batch]:
    """Return CachedBatch if a trial shows that this model's cache can be rolled back."""
    config = model.config.get_text_config()
    window = any(
        getattr(config, name, None)
        for name in ("window_size", "attention_window", "attention_types")
    )
    # Neither states, which cannot be taken back, nor windows that are not of transformers' masks.
    plain = not window and all(type(layer) in KEPT for layer in _layers(model))
    try:
        if plain and _supports_rollback(model):
            return CachedBatch
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError, RuntimeError, AttributeError, NotImplementedError):
        pass  # it takes no positions, or has a cache of its own kind
    log.info(
        "predict: what this model has read cannot be taken back; every pass reads from the start,"
        " which is slow"
    )
    return RecomputedBatch


@torch.inference_mode()
def _supports_rollback(model: PreTrainedModel) -> bool:
    """Try whether ids that were read, masked and read again leave no trace in the logits."""
    ids = [5 + place % 7 for place in range(PROBE)]
    of = range(min(64, model.config.get_text_config().vocab_size))
    half = PROBE // 2
    places = [(0, place) for place in range(half)]

    def logits(kind: type[Batch], wrong: int) -> torch.Tensor:
        """Return those of a row's second half, read after `wrong` false ids were taken back.

        Another row keeps what it read meanwhile, else the false ids would be cut off.
        """
        rows = kind(model, 0, 2, ids[:8])
        mine, other = (rows.start(row, ids[:half]) for row in range(2))
        rows.read([[*mine, *[6] * wrong], [*other, *ids[half : half + wrong]]], [(0, 0)], [0])
        rows.keep(0, len(mine))
        rows.keep(1, len(other) + wrong)
        return rows.read([ids[half:], ids[half + wrong :]], places, of)

    again = logits(RecomputedBatch, 0)
    scale = (again - again.mean(1, keepdim=True)).norm().clamp(min=1e-6)
    rounding = float((logits(CachedBatch, 0) - again).norm() / scale)
    error = float((logits(CachedBatch, 20) - again).norm() / scale)
    # In half precision cache and holes change rounding; a trace of what was read is far larger.
    return rounding < 0.2 and error < max(2 * rounding, 1e-3, 2 * torch.finfo(model.dtype).eps)

"""Sentences decoded side by side: what the model has read, kept until a draft proves wrong."""

import logging
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import (
    CacheLayerMixin,
    DummyLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)

from bioner.models.output_layer import Layer, output_layer

log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]
Wanted = Sequence[tuple[int, int]] | Ints  # row, and after which id of its block

HOLES = 0.25  # share of unused columns at which the cache is packed
GROWTH = 1.5  # columns allocated per column needed, when the cache is full
ALIGNED = 16  # columns; attention kernels copy masks whose rows begin elsewhere
PROBE = 48  # ids of the trial run
# All that was read, the end of it, or what another layer has.
KEPT = (DynamicLayer, DynamicSlidingWindowLayer, DummyLayer)


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """A DynamicLayer with room: new keys and values are written behind the old ones.

    DynamicLayer copies the whole cache in every pass. Here `keys` and `values` are the first
    columns of buffers, which are replaced only when they are full. A layer that shares another
    layer's stays uninitialized.
    """

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self._buffers = [key_states[:, :, :0], value_states[:, :, :0]]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[2]
        if end > self._buffers[0].shape[2]:
            room = end if not start else int(GROWTH * end)  # a prefix is repeated before it grows
            self._buffers = [
                _enlarged(buffer, states, start, room)
                for buffer, states in zip(self._buffers, (key_states, value_states), strict=True)
            ]
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = states
        self._show(end)
        return self.keys, self.values

    def pack(self, order: torch.Tensor) -> None:
        """Keep these columns of each row, [rows, columns]."""
        if not self.is_initialized:
            return
        for buffer in self._buffers:
            # An expanded index, unlike torch.take_along_dim's, is not spread in memory.
            index = order[:, None, :, None].expand(-1, buffer.shape[1], -1, buffer.shape[3])
            buffer[:, :, : order.shape[1]] = buffer.gather(2, index)
        self._show(order.shape[1])

    def batch_repeat_interleave(self, repeats: int) -> None:
        if self.is_initialized:
            self._buffers = [buffer.repeat_interleave(repeats, 0) for buffer in self._buffers]
            self._show(self.get_seq_length())

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        if self.is_initialized:
            self._buffers = [buffer[indices] for buffer in self._buffers]
            self._show(self.get_seq_length())

    def _show(self, columns: int) -> None:
        self.keys, self.values = (buffer.narrow(2, 0, columns) for buffer in self._buffers)


def _enlarged(buffer: torch.Tensor, states: torch.Tensor, columns: int, room: int) -> torch.Tensor:
    """Return a buffer for `room` columns of such states, with the first `columns` of the old."""
    rows, heads, _, size = states.shape
    larger = states.new_empty((rows, heads, room, size))
    larger[:, :, :columns] = buffer[:, :, :columns]
    return larger


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
        self._model, self._device, self._pad = model, model.device, pad
        self._prefix = len(prefix)
        windows = (getattr(layer, "sliding_window", math.inf) for layer in _layers(model))
        self._window = min(windows, default=math.inf)
        self._cache = DynamicCache()  # without the configuration: whole, also of sliding windows
        self._cache.layer_class_to_replicate = GrowingLayer
        # On the CPU; each pass copies what it needs to the device.
        self._mask = np.ones((rows, len(prefix)), dtype=bool)
        self._length = np.full(rows, len(prefix))
        self._width = 0
        self._hidden = torch.full((), -math.inf, dtype=model.dtype, device=model.device)
        if prefix:
            options = {"past_key_values": self._cache, "use_cache": True}
            ids, *places = _on(self._device, np.array([prefix]), *_places([(0, 0)], [pad]))
            _logits(model, ids, None, *places, **options)
            self._cache.batch_repeat_interleave(rows)

    def start(self, row: int, ids: Sequence[int]) -> list[int]:
        """Begin a sentence in a row; return the ids after the prefix, which have yet to be read."""
        self._mask[row] &= self._mask[row].cumsum() <= self._prefix
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
        positions = self._length[:, None] + mask.cumsum(1) - 1
        # A row that reads nothing may have no position left.
        positions[[not block for block in blocks]] = 0
        # What follows a row's ids may see itself, and no id sees it: attention to nothing is NaN.
        self._mask = np.concatenate([self._mask, np.ones(ids.shape, dtype=bool)], 1)
        read, at, seen, *places = _on(
            self._device, ids, positions, self._seen(), *_places(wanted, of)
        )
        return _logits(
            self._model,
            read,
            self._attention_mask(seen),
            *places,
            position_ids=at,
            past_key_values=self._cache,
            use_cache=True,
        )

    def _seen(self) -> Ints:
        """Return the mask, [rows, columns], as it is copied to the device."""
        return self._mask.astype(np.int64)

    def _attention_mask(self, seen: torch.Tensor) -> torch.Tensor:
        """Return the mask as the model takes it."""
        return seen

    def keep(self, row: int, count: int) -> None:
        """Keep the first `count` ids of the block that was just read in this row."""
        self._mask[row, self._mask.shape[1] - self._width + count :] = False
        self._length[row] += count

    def select(self, rows: Sequence[int]) -> None:
        """Drop all rows but these."""
        chosen = np.array(rows)
        self._mask, self._length = self._mask[chosen], self._length[chosen]
        self._cache.batch_select_indices(*_on(self._device, chosen))

    def _tidy(self) -> None:
        """Cut off trailing columns that no row uses; pack the rows if too many columns are holes.

        Packing changes a sentence's columns but not their order or positions.
        """
        width = self._mask.shape[1]
        if not width:
            return
        used = int(np.flatnonzero(self._mask.any(0)).max(initial=-1)) + 1
        counts = self._mask.sum(1)
        fullest = int(counts.max())
        if used < width:
            self._cache.crop(used - width)
            self._mask = self._mask[:, :used]
        within = used + self._width <= self._window or bool(self._mask.all())
        if within and used - fullest <= HOLES * used:
            return
        # To the right, so that each row ends where its next block begins.
        order = np.argsort(self._mask, axis=1, kind="stable")[:, used - fullest :]
        (index,) = _on(self._device, order)
        for layer in self._cache.layers:
            layer.pack(index)
        self._mask = np.arange(fullest) >= fullest - counts[:, None]


class AdditiveMaskBatch(CachedBatch):
    """A CachedBatch that hands the model the additive mask its attention works with.

    From a mask over columns, transformers makes one over ids and columns, and PyTorch's attention
    an additive one, aligned for its kernels, in every layer anew. Here it is made once per pass.
    Not for sliding windows, which transformers' own masks are needed for.
    """

    def _seen(self) -> Ints:
        rows, columns = self._mask.shape
        seen = np.zeros((rows, -(-columns // ALIGNED) * ALIGNED), dtype=np.int64)
        seen[:, :columns] = self._mask
        return seen

    def _attention_mask(self, seen: torch.Tensor) -> torch.Tensor:
        (rows, room), columns = seen.shape, self._mask.shape[1]
        later = self._hidden.expand(self._width, room).triu(columns - self._width + 1)
        mask = later.new_empty((rows, 1, self._width, room))
        torch.add(seen.log()[:, None, None], later, out=mask)  # logarithms of 0 and 1
        return mask[..., :columns]


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
        arrays = (*_padded(texts, self._pad), *_places(places, of))
        return _logits(self._model, *_on(self._model.device, *arrays), use_cache=False)

    def keep(self, row: int, count: int) -> None:
        self._ids[row] += self._blocks[row][:count]

    def select(self, rows: Sequence[int]) -> None:
        self._ids = [self._ids[row] for row in rows]


Batch = CachedBatch | RecomputedBatch


def _padded(blocks: Sequence[Sequence[int]], pad: int) -> tuple[Ints, Ints]:
    """Return blocks of ids as rows of one width, and the mask of the places that hold ids.

    The first place of an empty block is unmasked too: attention to nothing would be NaN.
    """
    ids = np.full((len(blocks), max(map(len, blocks))), pad)
    mask = np.zeros_like(ids)
    for row, block in enumerate(blocks):
        ids[row, : len(block)] = block
        mask[row, : max(len(block), 1)] = 1
    return ids, mask


def _places(wanted: Wanted, of: Sequence[int]) -> tuple[Ints, Ints, Ints]:
    """Return the wanted rows, the places in them, and the wanted ids."""
    rows, places = np.array(wanted).T
    return rows, places, np.array(of)


def _on(device: torch.device, *arrays: Ints) -> list[torch.Tensor]:
    """Return the arrays as tensors on the device, copied there all at once."""
    flat = torch.from_numpy(np.concatenate([array.ravel() for array in arrays])).to(device)
    parts = flat.split([array.size for array in arrays])
    return [part.view(array.shape) for part, array in zip(parts, arrays, strict=True)]


def _logits(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor | None,
    rows: torch.Tensor,
    places: torch.Tensor,
    columns: torch.Tensor,
    **kwargs: object,
) -> torch.Tensor:
    """Run a forward pass with the output layer only at the places in the rows, for the columns.

    The output layer is a third of a small model.
    """

    def narrow(hidden: torch.Tensor, layer: Layer, plain: torch.nn.Linear | None) -> torch.Tensor:
        chosen = hidden[rows, places][None]
        if plain is None:
            return layer(chosen)[..., columns]
        return torch.nn.functional.linear(
            chosen, plain.weight[columns], None if plain.bias is None else plain.bias[columns]
        )

    with output_layer(model, narrow):
        output = model(input_ids=ids, attention_mask=mask, **kwargs)
    logits: torch.Tensor = output.logits[0].float()
    return logits


def _layers(model: PreTrainedModel) -> list[CacheLayerMixin]:
    """Return the layers of a cache as transformers would make it for this model."""
    layers: list[CacheLayerMixin] = DynamicCache(config=model.config).layers
    return layers


def batch_class(model: PreTrainedModel) -> type[Batch]:
    """Return how to keep what this model reads: the fastest way that a trial shows to be right."""
    config = model.config.get_text_config()
    window = any(
        getattr(config, name, None)
        for name in ("window_size", "attention_window", "attention_types")
    )
    kinds = {type(layer) for layer in _layers(model)}
    # Neither states, which cannot be taken back, nor windows that are not of transformers' masks.
    if not window and kinds <= set(KEPT) and _is_right(model, CachedBatch):
        whole = DynamicSlidingWindowLayer not in kinds
        return AdditiveMaskBatch if whole and _is_right(model, AdditiveMaskBatch) else CachedBatch
    log.info(
        "predict: what this model has read cannot be taken back; every pass reads from the start,"
        " which is slow"
    )
    return RecomputedBatch


@torch.inference_mode()
def _is_right(model: PreTrainedModel, kind: type[CachedBatch]) -> bool:
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

    try:
        again = logits(RecomputedBatch, 0)
        scale = (again - again.mean(1, keepdim=True)).norm().clamp(min=1e-6)
        rounding = float((logits(kind, 0) - again).norm() / scale)
        error = float((logits(kind, 20) - again).norm() / scale)
    except torch.OutOfMemoryError:
        raise
    except (TypeError, ValueError, RuntimeError, AttributeError, NotImplementedError):
        return False  # it takes no positions or no such mask, or has a cache of its own kind
    # In half precision cache and holes change rounding; a trace of what was read is far larger.
    return rounding < 0.2 and error < max(2 * rounding, 1e-3, 2 * torch.finfo(model.dtype).eps)

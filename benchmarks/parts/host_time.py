"""CPU time of constrained decoding outside the model, beside that of the former decoder.

Lines are new, the cache is the real one over a model of one layer, and the tag table drafts whole
sentences. Answers are the gold tags, so that drafts are right as often as for a good model.
"""

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.inference.decoding.constrained import ConstrainedDecoder
from bioner.inference.decoding.drafts import Draft, tag_table
from bioner.inference.decoding.kv_cache import CachedBatch, batch_class
from bioner.models.prompt import lines_ids, prompt_ids
from bioner.settings.model_entry import Predict

if __package__ == "parts":
    from parts import host_before
else:  # a test
    from benchmarks.parts import host_before

OVERHEAD = 460  # ids that take as long as launching a pass: a model of 7B on an H100, by estimate
WHOLE = 512  # words per pass: whole sentences
CERTAIN = 1000.0  # added to the logit of the gold tag's id


def one_layer(vocabulary: int) -> PreTrainedModel:
    """A model that costs next to nothing."""
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=16,
        vocab_size=vocabulary,
    )
    return LlamaForCausalLM(config).eval()


class Stopwatch:
    """CPU seconds since `start`, less those of what `excluded` was put around."""

    def __init__(self) -> None:
        self._start = self._excluded = 0.0

    def start(self) -> None:
        self._start, self._excluded = time.process_time(), 0.0

    def seconds(self) -> float:
        return time.process_time() - self._start - self._excluded

    def excluded(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            try:
                return work(*args, **kwargs)
            finally:
                self._excluded += time.process_time() - start

        return timed


def answering_gold(
    tokenizer: PreTrainedTokenizerBase,
    instances: Sequence[Instance],
    types: Sequence[str],
    cache: type[CachedBatch],
    watch: Stopwatch,
) -> type[CachedBatch]:
    """A cache of that class whose logits are those of a model that answers the gold tags."""
    pairs = [pair for item in instances for pair in zip(item.tokens, item.tags, strict=True)]
    lines = dict(zip(pairs, lines_ids(tokenizer, pairs), strict=True))
    end = lines_ids(tokenizer, [("x", "O")])[0][-1]
    gold = {
        tuple(prompt_ids(tokenizer, item.tokens, types)): [
            lines[pair] for pair in zip(item.tokens, item.tags, strict=True)
        ]
        for item in instances
    }

    class AnsweringGold(cache):  # type: ignore[misc, valid-type]
        def __init__(self, model: Any, pad: int, rows: int, prefix: Sequence[int] = ()) -> None:
            super().__init__(model, pad, rows, prefix)
            self.rows: list[tuple[list[list[int]], list[int], int]] = [([], [], 0)] * rows

        def start(self, row: int, ids: Sequence[int]) -> list[int]:
            rest = super().start(row, ids)
            self.rows[row] = gold[tuple(ids)], [], len(rest)
            return rest

        def read(self, blocks: Any, wanted: Any, of: Sequence[int]) -> torch.Tensor:
            logits = super().read(blocks, wanted, of)
            self.blocks = blocks
            self.answer(logits, wanted, of)
            return logits

        @watch.excluded
        def answer(self, logits: torch.Tensor, wanted: Any, of: Sequence[int]) -> None:
            for logit, (row, place) in zip(logits, wanted, strict=True):
                answers, read, prompt = self.rows[row]
                ids = [*read, *self.blocks[row][: place + 1]][prompt:]
                number = ids.count(end)
                begun = ids[len(ids) - ids[::-1].index(end) :] if number else ids
                if number < len(answers) and answers[number][: len(begun)] == begun:
                    logit[of.index(answers[number][len(begun)])] += CERTAIN

        def keep(self, row: int, count: int) -> None:
            self.rows[row][1].extend(self.blocks[row][:count])
            super().keep(row, count)

        def select(self, rows: Sequence[int]) -> None:
            self.rows = [self.rows[row] for row in rows]
            super().select(rows)

    return AnsweringGold


def host_time(
    tokenizer: PreTrainedTokenizerBase,
    train: Sequence[Instance],
    chosen: Sequence[Instance],
    types: Sequence[str],
    rows: int = 32,
    repeats: int = 3,
) -> dict[str, Any]:
    """Figures of both ways, `before` and `now`.

    CPU seconds are the least of the repeats, which take turns. The garbage collector is spared what
    was there before, such as the corpus.
    """
    model, watch = one_layer(len(tokenizer)), Stopwatch()
    cache = answering_gold(tokenizer, chosen, types, batch_class(model), watch)
    model.forward = watch.excluded(model.forward)
    ways: dict[str, tuple[Any, Callable[[Sequence[Instance]], Draft]]] = {
        "before": (host_before.DecoderBefore, host_before.tag_table),
        "now": (ConstrainedDecoder, tag_table),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    figures: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    for _ in range(repeats):
        for name, (decoder_class, draft_of) in ways.items():  # a table remembers guesses: anew
            options = Predict(draft_length=WHOLE)
            decoder = decoder_class(model, tokenizer, types, draft_of(train), options, rows=cache)
            decoder._overhead = OVERHEAD
            gc.collect()
            gc.freeze()
            watch.start()
            outputs = decoder(chosen, rows)
            seconds[name].append(watch.seconds())
            texts[name] = [output.text for output in outputs]
            gc.unfreeze()
            counts = decoder.counts
            read = counts.ids + counts.padding
            figures[f"host_passes_{name}"] = counts.passes
            figures[f"host_ids_{name}"] = read
            figures[f"host_cost_{name}"] = counts.passes * OVERHEAD + read
            figures[f"padding_share_{name}"] = round(counts.padding / read, 3)
    least = {name: min(values) for name, values in seconds.items()}
    return {
        "host_speedup": round(least["before"] / least["now"], 2),
        "host_ms_per_sentence": round(1000 * least["now"] / len(chosen), 2),
        "padding_share": figures["padding_share_now"],
        "host_tags_equal": texts["before"] == texts["now"],
        **figures,
    }

"""Steps that train LLMs of random weights as the catalogue does: QLoRA, 32 sentences per step."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from bitsandbytes.optim import PagedAdamW8bit
from transformers import AutoModelForCausalLM, DataCollatorForSeq2Seq, PreTrainedModel

from bioner.data.tags import tag_set
from bioner.io.run_record import forget_peak, peak_memory
from bioner.models import IGNORED
from bioner.models.adapters import with_adapter
from bioner.models.answer_trie import AnswerTrie
from bioner.models.llm_examples import Examples, Features
from bioner.models.pretrained import load_causal_lm, load_tokenizer
from bioner.training.loss import summed_loss
from parts.card.clock import clock, typical
from parts.card.sentences import TYPES, sentences
from parts.card.session import Session
from parts.card.weights import entry_of, trained_folder
from parts.shapes import peak_flops


def training(session: Session) -> None:
    """Measure Mistral's shape by micro-batch, with and without activation checkpointing."""
    made = Training(session, "mistral-7b")
    for checkpointing in (True, False):
        for micro_batch in (4, 8) if session.rehearse else (4, 8, 16, 32):
            if not made.measure(micro_batch, checkpointing):
                break


def llama_training(session: Session) -> None:
    """Measure Llama's shape at two micro-batches."""
    made = Training(session, "llama-8b")
    for micro_batch in (4,) if session.rehearse else (4, 16):
        made.measure(micro_batch, True)


class Training:
    """A model with an adapter, an optimiser, and sentences in optimiser steps."""

    def __init__(self, session: Session, name: str) -> None:
        self.session, self.name = session, name
        folder, entry = trained_folder(session, name), entry_of(session, name)
        tokenizer = load_tokenizer(folder)
        self.base = load_causal_lm(str(entry.source.hub), entry, session.gpus)
        self.model = with_adapter(self.base, entry).train()
        self.trained = [values for values in self.model.parameters() if values.requires_grad]
        self.optimizer = PagedAdamW8bit(self.trained, lr=entry.train.learning_rate)
        # Frozen weights have a product and the gradient of its input, adapters one gradient more.
        adapter = sum(values.numel() for values in self.trained)
        self.flops = 4 * _parameters(self.base) + 6 * adapter  # per id
        types = TYPES["JNLPBA"]
        lines = AnswerTrie(tokenizer, tag_set(types))
        make = Examples(tokenizer, types, lines, "response", entry.max_length)
        size, steps = (8, 2) if session.rehearse else (entry.train.batch_size, 3)
        examples = make(sentences("JNLPBA", steps * size))
        self.steps = [examples[start : start + size] for start in range(0, len(examples), size)]
        self.collate = DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=8)

    def measure(self, micro_batch: int, checkpointing: bool) -> bool:
        """Measure all steps, the first as a warm-up; return whether memory was enough."""
        if checkpointing:
            self.base.activation_checkpointing_enable({"use_reentrant": False})
        else:
            self.base.activation_checkpointing_disable()
        shown = {"model": self.name, "checkpointing": checkpointing, "micro_batch": micro_batch}
        forget_peak(self.session.gpus)
        try:
            found = self._measured(micro_batch)
        except torch.OutOfMemoryError:
            found = {"out_of_memory": True}
        self.session.say(**shown, **found, peak_gib=peak_memory(self.session.gpus)[1])
        self.optimizer.zero_grad()
        torch.cuda.empty_cache()
        return "out_of_memory" not in found

    def _measured(self, micro_batch: int) -> dict[str, Any]:
        passes, updates, finite, ids = [], [], True, 0
        for number, step in enumerate(self.steps):
            for part, labels in _passes(step, micro_batch):
                taken, _ = clock(self._pass, part, labels)
                if number:
                    passes.append(taken)
                    ids += sum(len(features["input_ids"]) for features in part)
                elif not passes and not updates:
                    first = taken
            taken, norm = clock(self._update)
            updates.append(taken)
            finite = finite and bool(norm.isfinite())
        updates = updates[1:]
        seconds = sum(taken.whole for taken in passes) / 1e3
        whole = seconds + sum(taken.whole for taken in updates) / 1e3
        name = None if self.session.rehearse else torch.cuda.get_device_name()
        peak = peak_flops(name) if name else None
        return {
            "first_ms": round(first.whole),
            "pass_ms": typical(passes).whole,
            "host_ms": typical(passes).host,
            "optimizer_ms": typical(updates).whole,
            "ids_per_second": round(ids / seconds),
            "seconds_per_1000_sentences": round(1000 * whole / sum(map(len, self.steps[1:])), 1),
            "flop_utilisation": round(self.flops * ids / seconds / peak, 3) if peak else None,
            "finite": finite,
        }

    def _pass(self, part: Sequence[Features], labels: int) -> None:
        batch = self.collate(list(part)).to(self.base.device)
        with torch.autocast(self.base.device.type, torch.bfloat16):
            total, _ = summed_loss(self.model, self.model, batch, plain=True)
        (total / labels).backward()

    def _update(self) -> torch.Tensor:
        norm = torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return norm


def _passes(step: Sequence[Features], micro: int) -> Iterator[tuple[Sequence[Features], int]]:
    """Yield the passes of an optimiser step, sorted by length, and the labels of the whole step."""
    ordered = sorted(step, key=lambda features: -len(features["input_ids"]))
    labels = sum(label != IGNORED for features in step for label in features["labels"])
    for start in range(0, len(ordered), micro):
        yield ordered[start : start + micro], labels


def _parameters(model: PreTrainedModel) -> int:
    """Count the weights that ids are multiplied with; in the model itself they are packed."""
    with torch.device("meta"):
        named = AutoModelForCausalLM.from_config(model.config).named_parameters()
    return sum(values.numel() for name, values in named if "embed" not in name)

"""The reference for constrained decoding: a forward pass per decision, without cache or drafts."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.data.tags import tag_set
from bioner.models.prompt import line_ids, prompt_ids

MARGIN = 1e-4


@dataclass
class Slow:
    """Tags of a sentence, their probabilities among the allowed tags, and their margins.

    `decisions` has, for each word, the log-probabilities at each branch by the tags they lead to.
    """

    tags: list[str] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    decisions: list[list[dict[tuple[str, ...], float]]] = field(default_factory=list)


@torch.inference_mode()
def slowly(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    instance: Instance,
    types: Sequence[str],
    legal: bool = False,
) -> Slow:
    """Decode one sentence greedily token by token, allowing only whole lines of its tokens."""
    ids, found = prompt_ids(tokenizer, instance.tokens, types), Slow()
    # Only the last place is looked at: 128,000 logits for every other one are most of what a pass
    # costs.
    last = (
        {"logits_to_keep": 1}
        if "logits_to_keep" in inspect.signature(model.forward).parameters
        else {}
    )
    for token in instance.tokens:
        before = found.tags[-1] if found.tags else "O"
        lines = {
            tag: line_ids(tokenizer, token, tag)
            for tag in tag_set(types)
            if not (legal and tag.startswith("I-") and tag[2:] != before[2:])
        }
        written: list[int] = []
        found.decisions.append([])
        probability, margin = 1.0, float("inf")
        while written not in lines.values():
            depth = len(written)
            allowed = sorted({line[depth] for line in lines.values() if line[:depth] == written})
            best = 0
            if len(allowed) > 1:
                logits = (
                    model(torch.tensor([ids + written]), **last).logits[0, -1, allowed].double()
                )
                best = int(logits.argmax())
                probability *= float(logits.softmax(0)[best])
                margin = min(margin, float(logits.topk(2).values.diff().abs()))
                open_tags = [
                    tuple(tag for tag in lines if lines[tag][: depth + 1] == [*written, id_])
                    for id_ in allowed
                ]
                log_probs = logits.log_softmax(0).tolist()
                found.decisions[-1].append(dict(zip(open_tags, log_probs, strict=True)))
            written.append(allowed[best])
        found.tags.append(next(tag for tag, line in lines.items() if line == written))
        found.probabilities.append(probability)
        found.margins.append(margin)
        ids = ids + written
    return found


def tags_of(text: str) -> list[str]:
    """The tags of an answer's lines."""
    return [line.rpartition(":")[2] for line in text.splitlines()]


def assert_same(tags: Sequence[str], slow: Slow) -> None:
    """Assert that tags equal the reference's, up to a decision that rounding may have taken."""
    for tag, other, margin in zip(tags, slow.tags, slow.margins, strict=True):
        if margin < MARGIN:
            return
        assert tag == other

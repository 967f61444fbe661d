"""Training examples of LLMs: prompt and answer as ids, and which of them carry the loss."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from transformers import PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.data.tags import OUTSIDE, repair
from bioner.models import IGNORED
from bioner.models.answer_trie import AnswerTrie
from bioner.models.prompt import prompt_ids

Loss = Literal["tags", "response", "all"]
Features = dict[str, list[int]]
SENTENCE_ENDS = (".", "!", "?")


@dataclass(slots=True)
class Counts:
    """What became of the sentences, for the run record."""

    examples: int = 0
    longest: int = 0  # ids
    over_length: int = 0  # sentences that were split
    words_left_out: int = 0  # words that fit in no example


class Examples:
    """Sentences as training examples of at most `max_length` ids.

    The loss is on `tags` (the ids that decide between tags, given those before them), on the
    `response`, or on `all` ids with the prompt, as in the paper's code. A longer sentence is split,
    after a full stop if possible, and each part has a prompt of its own.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        types: Sequence[str],
        lines: AnswerTrie,
        loss: Loss,
        max_length: int,
    ) -> None:
        self._tokenizer, self._types, self._lines = tokenizer, types, lines
        self._loss, self.max_length = loss, max_length
        self.counts = Counts()

    def __call__(self, instances: Sequence[Instance]) -> list[Features]:
        """Return examples in the order of the sentences; tags without a line become O."""
        self.counts = Counts()
        self._lines.learn(token for instance in instances for token in instance.tokens)
        found = [features for instance in instances for features in self._of(instance)]
        self.counts.examples = len(found)
        self.counts.longest = max((len(features["input_ids"]) for features in found), default=0)
        return found

    def _of(self, instance: Instance) -> Iterator[Features]:
        whole = self.example(instance)
        if len(whole["input_ids"]) <= self.max_length:
            yield whole
            return
        self.counts.over_length += 1
        rest = instance
        while rest.tokens:
            fitting = self._fitting(rest)
            end = _cut(rest, fitting) if fitting else 1
            if fitting:
                yield self.example(_part(rest, 0, end))
            else:  # a single word that is too long
                self.counts.words_left_out += 1
            rest = _part(rest, end, len(rest.tokens))

    def _fitting(self, instance: Instance) -> int:
        """Return how many of its first words make an example that is not too long."""

        def length(count: int) -> int:
            return len(self.example(_part(instance, 0, count))["input_ids"])

        counts = range(1, len(instance.tokens) + 1)
        return bisect_right(counts, self.max_length, key=length)

    def example(self, instance: Instance) -> Features:
        """Return prompt and answer of a sentence, however long."""
        ids = prompt_ids(self._tokenizer, instance.tokens, self._types)
        labels = [IGNORED] * len(ids)
        for word, tag in zip(self._lines.words(instance.tokens), instance.tags, strict=True):
            known = tag if tag in word.endings.ids else OUTSIDE
            line = word.line(known)
            route = word.endings.routes(self._lines.after(""))[known]
            deciding = {len(word.start) + branch.depth for branch in route.branches}
            ids += line
            labels += [
                id_ if self._loss != "tags" or depth in deciding else IGNORED
                for depth, id_ in enumerate(line)
            ]
        end = self._tokenizer.eos_token_id
        ids.append(end)
        labels.append(IGNORED if self._loss == "tags" else end)
        if self._loss == "all":
            labels = [IGNORED, *ids[1:]]  # nothing stands before the first
        return features_of(ids, labels)


def features_of(ids: list[int], labels: list[int]) -> Features:
    """Return a training example; labels that are IGNORED carry no loss."""
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}


def _part(instance: Instance, start: int, end: int) -> Instance:
    """Return some words of a sentence; an entity cut at the start begins with them."""
    tags = repair(instance.tags[start:end]).tags
    return replace(instance, tokens=instance.tokens[start:end], tags=tags)


def _cut(instance: Instance, most: int) -> int:
    """Choose how many words to take of the `most` that fit.

    Up to a full stop, else to the end of an entity, else all.
    """
    if most == len(instance.tokens):
        return most
    outside = [n for n in range(1, most + 1) if not instance.tags[n].startswith("I-")]
    stops = [n for n in outside if instance.tokens[n - 1] in SENTENCE_ENDS]
    return max(stops or outside or [most])

"""Raw outputs: what a model itself emitted, stored before any interpretation.

LLMs write text; encoders one tag per subword with the index of its word; controls one tag per word.

Encoders and constrained decoding also keep how likely the other tags were, which calibration and
temperature scaling need. Both choose a word's tag in a few decisions (an encoder in one):

- `alternatives`: the different sets of alternatives that were decided between, each alternative as
  the list of tags that it leaves open.
- `log_probs`: for each word, its decisions: the number of the set, and the natural logarithm of
  each alternative's probability, as in `[[0, [-0.002, -6.215]]]`. A word without a decision has
  none.

Outputs of earlier versions lack both.
"""

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path

from bioner.data.instances import Instance, pair_with_gold
from bioner.errors import InputError
from bioner.io.files import write_records

# A word's decisions: the number of the set of alternatives, and their log-probabilities.
WordLogProbs = list[tuple[int, list[float]]]
DECIMALS = 3  # of log-probabilities: a probability is off by at most 0.0003
REMAKE = "Raw outputs are made by `bioner predict` from the same gold file."


@dataclass(frozen=True, slots=True)
class Generated:
    """Text of an LLM; `stopped` means that it ended by itself, not at its token budget.

    Constrained decoding adds, per token, the probability of its tag among the legal ones, and the
    smallest margin (of logits) by which a decision on the way to it was won; None without a
    decision.
    """

    id: str
    text: str
    new_tokens: int
    stopped: bool
    confidence: list[float] | None = None
    margin: list[float | None] | None = None
    alternatives: list[list[list[str]]] | None = None
    log_probs: list[WordLogProbs] | None = None


@dataclass(frozen=True, slots=True)
class Tagged:
    """Tags of a tagger's pieces (subwords or words) and the index of each piece's word.

    A word's log-probabilities are those of the mean of its pieces' logits, so pieces that disagree
    make it less certain. Its tag is that of the pieces' majority (`realign`), which need not be the
    likeliest of these.
    """

    id: str
    words: list[int]
    tags: list[str]
    alternatives: list[list[list[str]]] | None = None
    log_probs: list[WordLogProbs] | None = None


RawOutput = Generated | Tagged


def write_raw(path: Path, outputs: Iterable[RawOutput]) -> None:
    """Write raw outputs, completely or not at all; gzipped if the name ends in `.gz`."""
    write_records(path, map(as_record, outputs))


def as_record(output: RawOutput) -> dict[str, object]:
    """Return an output as its file has it, without keys that it has no value for."""
    values = ((name, getattr(output, name)) for name in type(output).__slots__)
    return {name: value for name, value in values if value is not None}


def read_raw(path: Path, gold: Sequence[Instance]) -> Iterator[RawOutput]:
    """Yield raw outputs, one per gold instance in the gold's order.

    Raises:
        InputError: The first id or record that is wrong.
    """
    for where, record, instance in pair_with_gold(gold, path, frozenset({"id"}), REMAKE):
        yield check_output(record, where, len(instance.tokens))


def check_output(record: dict[str, object], where: str, length: int) -> RawOutput:
    """Return a record as the raw output of an instance with `length` tokens.

    Raises:
        InputError: The record is not a raw output.
    """
    for kind in (Generated, Tagged):
        required = {field.name for field in fields(kind) if field.default is MISSING}
        if required <= record.keys() <= set(kind.__slots__):
            output = kind(**record)  # type: ignore[arg-type]
            break
    else:
        raise InputError(
            where,
            f"the keys {', '.join(record)}",
            "a generator's (id, text, new_tokens, stopped) or a tagger's (id, words, tags)",
            REMAKE,
        )
    if isinstance(output, Generated):
        kinds = [type(value) for value in (output.text, output.new_tokens, output.stopped)]
        if kinds != [str, int, bool]:
            raise InputError(
                where, "values of another kind", "text, a number of tokens, true or false", REMAKE
            )
        if output.new_tokens < 0:
            raise InputError(where, f"new_tokens {output.new_tokens}", "0 or more", REMAKE)
        for values, most in ((output.confidence, 1.0), (output.margin, sys.float_info.max)):
            if values is not None and not _within(values, most, length):
                raise InputError(
                    where, "other confidence or margin", f"{length} numbers, one a token", REMAKE
                )
    else:
        if not _list_of(output.words, int) or not _list_of(output.tags, str):
            raise InputError(
                where, "words or tags of another kind", "lists of word indices and of tags", REMAKE
            )
        if len(output.words) != len(output.tags):
            raise InputError(
                where,
                f"{len(output.words)} word indices and {len(output.tags)} tags",
                "as many",
                REMAKE,
            )
        if bad := [word for word in output.words if not 0 <= word < length]:
            raise InputError(where, f"word index {bad[0]}", f"0 to {length - 1}", REMAKE)
    if not _are_log_probs(output, length):
        expected = f"log-probabilities of the alternatives of each of {length} words, at most 0"
        raise InputError(where, "other alternatives or log_probs", expected, REMAKE)
    if output.log_probs is None:
        return output
    pairs = [[(number, values) for number, values in word] for word in output.log_probs]
    return replace(output, log_probs=pairs)  # JSON has no tuples


def _are_log_probs(output: RawOutput, length: int) -> bool:
    """Return whether an output has log-probabilities that fit its alternatives, or neither."""
    sets, words = output.alternatives, output.log_probs
    if sets is None or words is None:
        return sets is None and words is None
    try:
        tags = (tag for each in sets for alternative in each for tag in alternative)
        return (
            len(words) == length
            and all(type(tag) is str for tag in tags)
            and all(
                type(number) is int
                and number >= 0
                and len(values) == len(sets[number])
                and all(type(value) in (int, float) and -math.inf < value <= 0 for value in values)
                for decisions in words
                for number, values in decisions
            )
        )
    except (TypeError, ValueError, IndexError):
        return False


def _within(values: object, most: float, length: int) -> bool:
    """Return whether these are `length` numbers from 0 to `most`, or None."""
    return (
        isinstance(values, list)
        and len(values) == length
        and all(
            value is None or (type(value) in (int, float) and 0 <= value <= most)
            for value in values
        )
    )


def _list_of(values: object, kind: type) -> bool:
    return isinstance(values, list) and set(map(type, values)) <= {kind}

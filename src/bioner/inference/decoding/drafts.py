"""Drafts: cheap guesses of the tags, of which the model confirms many per pass."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

from bioner.data.instances import Instance, Prediction, read_predictions
from bioner.data.tags import OUTSIDE
from bioner.errors import InputError
from bioner.io.files import atomic_text, parse_json, read_text
from bioner.models.controls import predict_control
from bioner.settings.catalogue import LEXICAL

TABLE_FILE = "draft.json.gz"  # next to an LLM's weights: the tag table of its training set
PAIR, WORD = "word and next", "word"


@dataclass(frozen=True, slots=True)
class Draft:
    """A named source of guesses.

    `guess` takes an instance, the position of a word and the tag before it ("" if there is none),
    and gives tags of that word, likeliest first; `follows` says that the tag before matters.
    """

    name: str
    guess: Callable[[Instance, int, str], Iterable[str]]
    follows: bool = False


def draft_of(
    source: str,
    train: Sequence[Instance],
    gold: Sequence[Instance] = (),
    predictions: Path | None = None,
) -> Draft:
    """Make a draft: one of LEXICAL from `train`, or another system's predictions on `gold`.

    Without training instances a table is empty and every word is drafted O.

    Raises:
        InputError: `source` is another system and there is no file of its predictions.
    """
    table = tag_table(train) if train else all_outside()
    if predictions:
        name = source if source not in LEXICAL else "predictions"
        return predicted(name, read_predictions(predictions, gold), table)
    if source not in LEXICAL:
        raise InputError(
            "predict.draft",
            f"{source!r} and no predictions of it",
            "a file",
            "Give --draft FILE, its predictions.jsonl on the same gold; or set predict.draft to"
            f" {LEXICAL[0]}.",
        )
    if source == "dictionary" and train:
        rows = zip(gold, predict_control("dictionary", train, gold), strict=True)
        return predicted(source, (Prediction(instance.id, tags) for instance, tags in rows), table)
    return table if source == "table" else all_outside()


def all_outside() -> Draft:
    """Draft O for every word."""
    return Draft("all-o", lambda instance, position, before: (OUTSIDE,))


def predicted(name: str, predictions: Iterable[Prediction], otherwise: Draft) -> Draft:
    """Draft another system's predictions; after a tag that differs from them, `otherwise` first."""
    tags = {prediction.id: prediction.tags for prediction in predictions}

    def guess(instance: Instance, position: int, before: str) -> Iterable[str]:
        theirs = tags[instance.id]
        agrees = before == (theirs[position - 1] if position else "")
        rest = otherwise.guess(instance, position, before)
        return chain([theirs[position]], rest) if agrees else chain(rest, [theirs[position]])

    return Draft(name, guess, otherwise.follows)


Ranked = Mapping[tuple[str, ...], Sequence[str]]
"""The tags seen with each of `_keys`, the most frequent first."""


def tag_table(train: Iterable[Instance]) -> Draft:
    """Draft the tags that training has for a word, its neighbours or words that look like it.

    Tags are ranked by the most specific of these keys, then by the less specific ones.
    """
    return _table_draft(_rank_tags(train))


def write_table(folder: Path, train: Iterable[Instance]) -> None:
    """Write the tag table of the training set into a model's folder.

    A word pair is left out if its first word alone gives the same first tag: three quarters of the
    table, rarely the better guess.
    """
    table = _rank_tags(train)
    entries = [
        (key, tags)
        for key, tags in sorted(table.items())
        if key[0] != PAIR or tags[0] != table[WORD, *key[1:3]][0]
    ]
    with atomic_text(folder / TABLE_FILE) as stream:
        json.dump(entries, stream, ensure_ascii=False)


def saved_table(folder: Path) -> Draft:
    """Return the tag table in a model's folder, as a draft; O for every word without one.

    Raises:
        InputError: The file is not such a table.
    """
    path = folder / TABLE_FILE
    if not path.is_file():
        return all_outside()
    try:
        content = parse_json(read_text(path), str(path), whole_file=True)
        return _table_draft({tuple(key): tuple(tags) for key, tags in content})
    except (TypeError, ValueError):
        raise InputError(
            path,
            "something else",
            "a tag table as `bioner train` wrote it",
            "Move it away: the tags are the same without it, and take longer.",
        ) from None


def _rank_tags(train: Iterable[Instance]) -> Ranked:
    counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for instance in train:
        for position, tag in enumerate(instance.tags):
            before = instance.tags[position - 1] if position else ""
            for key in _keys(instance.tokens, position, before):
                counts[key][tag] += 1
    return {
        key: tuple(sorted(counter, key=lambda tag: (-counter[tag], tag)))
        for key, counter in counts.items()
    }


def _table_draft(table: Ranked) -> Draft:
    def guess(instance: Instance, position: int, before: str) -> Iterator[str]:
        for key in _keys(instance.tokens, position, before):
            yield from table.get(key, ())
        yield OUTSIDE

    return Draft("table", guess, follows=True)


def _keys(tokens: Sequence[str], position: int, before: str) -> Iterator[tuple[str, ...]]:
    """Yield what is counted for a word that follows the tag `before`, most specific first."""
    token = tokens[position]
    word = token.lower()
    behind = tokens[position + 1].lower() if position + 1 < len(tokens) else ""
    yield PAIR, before, word, behind
    yield WORD, before, word
    yield "look", before, word[-3:], _kinds(token[:4])
    yield "next", before, behind
    yield "tag", before


@lru_cache(maxsize=2**16)
def _kinds(chars: str) -> str:
    """Return the shape of some characters: 0 for digits, A for capital letters, a for others."""
    return "".join("0" if char.isdigit() else "A" if char.isupper() else "a" for char in chars)

"""Drafts of the tags that a model is about to be asked for: cheap guesses, which it confirms many
at a time.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bioner.data.instances import Instance, Prediction, read_predictions
from bioner.data.tags import OUTSIDE
from bioner.errors import InputError
from bioner.models.controls import predict_control
from bioner.settings.catalogue import LEXICAL

Guess = Callable[[int, str], Sequence[str]]
"""Tags of a word, likeliest first, by its position and the tag before it ("": none)."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A source of guesses, by its name; `follows` says that it heeds the tag before."""

    name: str
    guess: Callable[[Instance], Guess]
    follows: bool = False


def draft_of(
    source: str,
    train: Sequence[Instance],
    gold: Sequence[Instance] = (),
    predictions: Path | None = None,
) -> Draft:
    """The draft of that name: one of LEXICAL, made of `train`, or another system's predictions on
    `gold`, from a file.

    Without training instances a table is empty, and everything drafted O. InputError where a
    system's file is missing.
    """
    table = tag_table(train) if train else all_outside()
    if predictions:
        name = source if source not in LEXICAL else "predictions"
        return predicted(name, read_predictions(predictions, gold), table)
    if source not in LEXICAL:
        remedy = (
            "Give --draft FILE, its predictions.jsonl on the same gold; or set predict.draft to"
            f" {LEXICAL[0]}."
        )
        raise InputError("predict.draft", f"{source!r} and no predictions of it", "a file", remedy)
    if source == "dictionary" and train:
        rows = zip(gold, predict_control("dictionary", train, gold), strict=True)
        return predicted(source, (Prediction(instance.id, tags) for instance, tags in rows), table)
    return table if source == "table" else all_outside()


def all_outside() -> Draft:
    """O for every word."""
    return Draft("all-o", lambda instance: lambda position, before: (OUTSIDE,))


def predicted(name: str, predictions: Iterable[Prediction], otherwise: Draft) -> Draft:
    """What another system has predicted; where the model has turned away from that, `otherwise`
    goes on.
    """
    tags = {prediction.id: prediction.tags for prediction in predictions}

    def guess(instance: Instance) -> Guess:
        theirs, other = tags[instance.id], otherwise.guess(instance)

        def of(position: int, before: str) -> Sequence[str]:
            as_they = before == (theirs[position - 1] if position else "")
            rest = other(position, before)
            return (theirs[position], *rest) if as_they else (*rest, theirs[position])

        return of

    return Draft(name, guess, otherwise.follows)


class TagTable:
    """How often each tag stood in training on a word, after a tag and before a word, or on words
    that look like it.

    The most specific count that there is decides; a table, no model.
    """

    def __init__(self, train: Iterable[Instance]) -> None:
        counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for instance in train:
            before = ""
            for position, tag in enumerate(instance.tags):
                for key in self._keys(instance.tokens, position, before):
                    counts[key][tag] += 1
                before = tag
        self._ranked = {
            key: tuple(
                tag for tag, _ in sorted(counter.items(), key=lambda item: (-item[1], item[0]))
            )
            for key, counter in counts.items()
        }

    def guess(self, instance: Instance) -> Guess:
        """Tags by the first key that training had, those of the others after them."""

        def of(position: int, before: str) -> Sequence[str]:
            found = (
                self._ranked.get(key, ()) for key in self._keys(instance.tokens, position, before)
            )
            return tuple(dict.fromkeys(tag for tags in found for tag in tags)) or (OUTSIDE,)

        return of

    @staticmethod
    def _keys(tokens: Sequence[str], position: int, before: str) -> list[tuple[str, ...]]:
        word = tokens[position].lower()
        behind = tokens[position + 1].lower() if position + 1 < len(tokens) else ""
        shape = "".join(
            "0" if char.isdigit() else "A" if char.isupper() else "a" for char in tokens[position]
        )[:4]
        return [
            ("word and next", before, word, behind),
            ("word", before, word),
            ("look", before, word[-3:], shape),
            ("tag", before),
        ]


def tag_table(train: Sequence[Instance]) -> Draft:
    """Guesses of a table of the training set's words and tags."""
    table = TagTable(train)
    return Draft("table", table.guess, follows=True)

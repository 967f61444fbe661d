"""Controls, between which scores lie: oracle (the gold itself), all-o, and a dictionary."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from bioner.data.instances import Instance
from bioner.data.tags import OUTSIDE, Span, spans, tags_from_spans

TokenSequence = tuple[str, ...]


def predict_control(
    control: str, train: Sequence[Instance], gold: Sequence[Instance]
) -> list[list[str]]:
    """Return a control's tags for every instance; only `oracle` looks at the gold tags."""
    match control:
        case "oracle":
            return [list(instance.tags) for instance in gold]
        case "all-o":
            return [[OUTSIDE] * len(instance.tokens) for instance in gold]
        case "dictionary":
            dictionary = entity_dictionary(train)
            return [tag_by_dictionary(instance.tokens, dictionary) for instance in gold]
        case _:
            raise ValueError(f"no control {control!r}")


def entity_dictionary(train: Sequence[Instance]) -> dict[TokenSequence, str]:
    """Collect lower-cased training entities with their most frequent type.

    An entity is kept if more than half of its occurrences in `train`, as whole tokens, are tagged
    as entities.
    """
    types: dict[TokenSequence, Counter[str]] = defaultdict(Counter)
    for instance in train:
        words = _lowered(instance.tokens)
        for span in spans(instance.tags):
            types[words[span.start : span.end]][span.type] += 1
    lengths = sorted({len(entity) for entity in types})
    occurrences: Counter[TokenSequence] = Counter()
    for instance in train:
        words = _lowered(instance.tokens)
        for length in lengths:
            occurrences.update(
                words[start : start + length]
                for start in range(len(words) - length + 1)
                if words[start : start + length] in types
            )
    return {
        entity: min(counts, key=lambda type_: (-counts[type_], type_))
        for entity, counts in types.items()
        if 2 * counts.total() > occurrences[entity]
    }


def tag_by_dictionary(tokens: Sequence[str], dictionary: Mapping[TokenSequence, str]) -> list[str]:
    """Tag the longest lower-cased matches from left to right."""
    words = _lowered(tokens)
    longest = max(map(len, dictionary), default=0)
    found: list[Span] = []
    start = 0
    while start < len(words):
        for end in range(min(start + longest, len(words)), start, -1):
            if type_ := dictionary.get(words[start:end]):
                found.append(Span(start, end, type_))
                start = end
                break
        else:
            start += 1
    return tags_from_spans(found, len(words))


def _lowered(tokens: Sequence[str]) -> TokenSequence:
    return tuple(token.lower() for token in tokens)

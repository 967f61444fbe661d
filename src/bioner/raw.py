"""Raw outputs: what a model itself emitted, kept before any interpretation.

Generators write text; encoders write one tag a subword with the index of its word; controls one tag a word.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bioner.errors import InputError
from bioner.files import read_records, write_records
from bioner.instances import Instance

REMAKE = "Raw outputs are made by `bioner predict` from the same gold file."


@dataclass(frozen=True, slots=True)
class Generated:
    """Text of a generator; `stopped` says that it ended by itself, not at its token budget."""

    id: str
    text: str
    new_tokens: int
    stopped: bool


@dataclass(frozen=True, slots=True)
class Tagged:
    """Tags of a tagger's pieces (subwords, or words) and the index of the word each belongs to."""

    id: str
    words: list[int]
    tags: list[str]


RawOutput = Generated | Tagged


def write_raw(path: Path, outputs: Iterable[RawOutput]) -> None:
    """Write raw outputs, whole or not at all, gzipped where the name ends in `.gz`."""
    write_records(path, (asdict(output) for output in outputs))


def read_raw(path: Path, gold: Sequence[Instance]) -> Iterator[RawOutput]:
    """Raw outputs, one for each gold instance in the gold's order; InputError names the first id that is amiss."""
    count = 0
    where = str(path)
    for where, record in read_records(path, frozenset({"id"})):
        if count >= len(gold):
            raise InputError(where, f"id {record['id']!r}", f"no more than the gold's {len(gold)} lines", REMAKE)
        if record["id"] != gold[count].id:
            raise InputError(where, f"id {record['id']!r}", f"the gold's next id {gold[count].id!r}", REMAKE)
        yield _output(record, where, len(gold[count].tokens))
        count += 1
    if count < len(gold):
        raise InputError(where, f"{count} lines", f"{len(gold)}: {gold[count].id!r} is missing", REMAKE)


def _output(record: dict[str, object], where: str, length: int) -> RawOutput:
    for kind in (Generated, Tagged):
        if record.keys() == set(kind.__slots__):
            output = kind(**record)  # type: ignore[arg-type]
            break
    else:
        expected = "a generator's (id, text, new_tokens, stopped) or a tagger's (id, words, tags)"
        raise InputError(where, f"the keys {', '.join(record)}", expected, REMAKE)
    if isinstance(output, Generated):
        kinds = ((output.text, str), (output.new_tokens, int), (output.stopped, bool))
        if not all(isinstance(value, kind) for value, kind in kinds):
            raise InputError(where, "values of another kind", "text, a number of tokens, true or false", REMAKE)
    else:
        if not _list_of(output.words, int) or not _list_of(output.tags, str):
            raise InputError(where, "words or tags of another kind", "lists of word indices and of tags", REMAKE)
        if len(output.words) != len(output.tags):
            raise InputError(where, f"{len(output.words)} word indices and {len(output.tags)} tags", "as many", REMAKE)
        if bad := [word for word in output.words if not 0 <= word < length]:
            raise InputError(where, f"word index {bad[0]}", f"0 to {length - 1}", REMAKE)
    return output


def _list_of(values: object, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)

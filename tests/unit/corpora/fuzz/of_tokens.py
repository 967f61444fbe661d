"""Damage to tags, tokens and columns."""

from collections.abc import Callable

from tests.unit.corpora.fuzz.case import Case, Damage, Damaged, Damages, readable
from tests.unit.corpora.fuzz.made import Entity, Sentence, gold_of

Tags = list[str]


def bioes(tags: Tags) -> Tags:
    letters = {("B", True): "S", ("I", True): "E"}
    ends = [not after.startswith("I-") for after in [*tags[1:], "O"]]
    return [letters.get((t[0], end), t[0]) + t[1:] for t, end in zip(tags, ends, strict=True)]


def iob1(tags: Tags) -> Tags:
    pairs = zip(tags, ["O", *tags], strict=False)
    return ["I" + t[1:] if t[0] == "B" and before[1:] != t[1:] else t for t, before in pairs]


def entities(change: Callable[[str], str]) -> Callable[[Tags], Tags]:
    return lambda tags: [tag if tag == "O" else change(tag) for tag in tags]


SCHEMES: dict[str, Callable[[Tags], Tags]] = {
    "BIOES": bioes,
    "BILOU": lambda tags: [tag.translate({69: "L", 83: "U"})[:1] + tag[1:] for tag in bioes(tags)],
    "IOB1": iob1,
    "lower-case prefixes": entities(lambda tag: tag[0].lower() + tag[1:]),
    "lower case": entities(str.lower),
    "underscores": entities(lambda tag: tag.replace("-", "_", 1)),
    "suffixes": entities(lambda tag: f"{tag[2:]}-{tag[0]}"),
    "no prefixes": entities(lambda tag: tag[2:]),
    "empty O": lambda tags: [tag if tag != "O" else "" for tag in tags],
}


def scheme(change: Callable[[Tags], Tags]) -> Damage:
    def damage(case: Case) -> Damaged:
        for document in case.corpus:
            for sentence in document.sentences:
                if sentence.tokens[0].startswith("#"):  # a comment in CoNLL, unless it has a tag
                    sentence.tokens[0] = "the"
        return Damaged(case.files(tags=change), [case.gold()])

    return damage


def io(case: Case) -> Damaged:
    """IO says that adjacent entities of one type are one."""

    def joined(sentence: Sentence) -> Sentence:
        found: list[Entity] = []
        for entity in sentence.entities:
            if found and (found[-1].end, found[-1].type) == (entity.start, entity.type):
                entity = entity._replace(start=found.pop().start)
            found.append(entity)
        return Sentence(sentence.tokens, found)

    gold = gold_of([joined(s) for document in case.corpus for s in document.sentences])
    return Damaged(case.files(tags=entities(lambda tag: "I" + tag[1:])), [gold])


def word(change: Callable[[str], str], *allowed: Callable[[str], str]) -> Damage:
    """Change a word wherever it occurs; `allowed` are other ways to read it."""

    def damage(case: Case) -> Damaged:
        sentences = [s for document in case.corpus for s in document.sentences]
        chosen = case.pick(*(token for sentence in sentences for token in sentence.tokens))

        def of(way: Callable[[str], str]) -> Callable[[str], str]:
            return lambda token: way(token) if token == chosen else token

        files = case.files(tokens=lambda tokens: [*map(of(change), tokens)])
        return Damaged(files, [case.gold(of(way)) for way in (change, *allowed)])

    return damage


def conll(change: Callable[[Case, str], Callable[[Tags], Tags]], start: str = "") -> Damage:
    """Change the rows of every sentence; `change` is given what separates columns."""

    def damage(case: Case) -> Damaged:
        text = case.files()[""].decode()
        rows = change(case, "\t" if "\t" in text else " ")
        blocks = [block.split("\n") for block in text.split("\n\n")]
        blocks = [b if b[0].startswith("-DOCSTART-") or b == [""] else rows(b) for b in blocks]
        text = start + "\n\n".join("\n".join(block) for block in blocks)
        return Damaged({"": text.encode()}, [case.gold()])

    return damage


def comments(case: Case, _: str) -> Callable[[Tags], Tags]:
    comment = case.pick(
        "# sent_id 0 O1", "# doc_id = 12", "# newdoc id = 4", "# Introduction", "# text = a b c"
    )
    share = case.pick(1, 0.3)
    return lambda rows: [comment, *rows] if case.rng.random() < share else rows


def swapped(case: Case, between: str) -> Callable[[Tags], Tags]:
    def swap(row: list[str]) -> str:
        return between.join([row[-1], *row[1:-1], row[0]])

    return lambda rows: [swap(row.split(between)) for row in rows]


def column(value: str) -> Callable[[Case, str], Callable[[Tags], Tags]]:
    return lambda case, between: lambda rows: [f"{row}{between}{value}" for row in rows]


LONE = "-DOCSTART- -X- O O\n\n"
TOKENS = "tags numbers tokens inline"
DAMAGES: Damages = {
    **{f"tags: {name}": ("tags", scheme(change)) for name, change in SCHEMES.items()},
    "tags: IO": ("tags", io),
    "token: no-break space": (TOKENS, word(lambda token: f"{token[:1]}\u00a0{token[1:] or 'x'}")),
    "token: empty": (TOKENS, word(lambda token: "")),
    "token: zero-width space": (TOKENS, word(lambda token: token + "\u200b", str)),
    "token: only zero-width": (TOKENS, word(lambda token: "\u200b", lambda token: "")),
    "comments": ("CoNLL", readable(conll(comments))),
    "lone -DOCSTART-": ("CoNLL", readable(conll(lambda case, _: list, LONE))),
    "columns swapped": ("CoNLL", conll(swapped)),
    "last column O": ("CoNLL", conll(column("O"))),
    "last column _": ("CoNLL", conll(column("_"))),
}

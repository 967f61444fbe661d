"""White space inside tokens, empty tokens and empty sentences, in every format with tokens."""

import io
import json

import polars as pl
import pytest

from bioner.corpora.changes import LOSSES
from bioner.corpora.normalize import normalize
from bioner.errors import InputError
from bioner.settings.catalogue import parse_entry
from bioner.settings.dataset_entry import DatasetEntry
from tests.unit.corpora.readers import SPLITS, write

SOUND = [(["ill"], ["B-X"])]


def conll(sentences):
    return "\n".join(
        "".join(f"{token}\t{tag}\n" for token, tag in zip(*sentence, strict=True))
        for sentence in sentences
    )


def jsonl(sentences):
    return "".join(json.dumps({"tokens": a, "tags": b}) + "\n" for a, b in sentences)


def lists(sentences):
    return "tokens,tags\n" + "".join(
        ",".join('"{}"'.format(repr(part).replace('"', '""')) for part in sentence) + "\n"
        for sentence in sentences
    )


def dygie(sentences):
    """Entities are single tokens here."""
    numbers = iter(range(1000))
    ner = [
        [[n, n, tag[2:]] for tag, n in zip(tags, numbers, strict=False) if tag != "O"]
        for _, tags in sentences
    ]
    tokens = [tokens for tokens, _ in sentences]
    return json.dumps({"doc_key": "d", "sentences": tokens, "ner": ner}) + "\n"


def parquet(sentences):
    table = pl.DataFrame({"tokens": [a for a, _ in sentences], "tags": [b for _, b in sentences]})
    table.write_parquet(stream := io.BytesIO())
    return stream.getvalue()


FORMATS = {
    "parquet": parquet,
    "conll": conll,
    "jsonl": jsonl,
    "conll-or-lists": lists,
    "dygie": dygie,
}


# Of the third token, the first of the second sentence.
PLACES = {
    "conll": "test:4",
    "conll-or-lists": "test:3",
    "dygie": "test:1",
    "jsonl": "test:2",
    "parquet": "test: row 2",
}


def normalized(tmp_path, form, sentences, on_error="repair", quote=True):
    """Instances of the test split, and its lines of changes.csv."""
    for split, content in (("train", SOUND), ("dev", SOUND), ("test", sentences)):
        write(tmp_path / "raw" / split, FORMATS[form](content))
    stated = {"format": form, "splits": SPLITS, "on_error": on_error}
    entry = parse_entry(DatasetEntry, "toy", stated)
    found = normalize("toy", entry, tmp_path / "raw", tmp_path / "out", quote)["test"]
    rows = (tmp_path / "out" / "changes.csv").read_text(encoding="utf-8").splitlines()[1:]
    return [(item.tokens, item.tags) for item in found], [row.split(",")[1:8] for row in rows]


def refusal(tmp_path, form, sentences, **keys):
    with pytest.raises(InputError) as caught:
        normalized(tmp_path, form, sentences, "fail", **keys)
    assert not (tmp_path / "out").exists()
    return str(caught.value).removeprefix(f"{tmp_path}/raw/")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("space", ["\u00a0", "\u2009", "\u202f", "\u3000", " "])
def test_white_space_inside_a_token_is_removed_and_the_token_stays(tmp_path, form, space):
    found, changes = normalized(
        tmp_path, form, [(["so", "ill"], ["O", "O"]), ([f"10{space}mg", "it"], ["B-X", "O"])]
    )
    assert found == [(["so", "ill"], ["O", "O"]), (["10mg", "it"], ["B-X", "O"])]
    [(where, _, kind, type_, start, end, text)] = changes
    assert (kind, type_, start, end, text) == ("token-space", "X", "0", "1", f"10{space}mg")
    assert where == PLACES[form]


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_token_is_left_out_with_its_tag(tmp_path, form):
    found, changes = normalized(
        tmp_path, form, [(["so", "", "ill"], ["O", "O", "B-X"]), (["\u00a0", "a"], ["O", "B-X"])]
    )
    assert found == [(["so", "ill"], ["O", "B-X"]), (["a"], ["B-X"])]
    assert [(kind, start) for _, _, kind, _, start, _, _ in changes] == [
        ("empty-token", "1"),
        ("empty-token", "0"),
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_sentence_is_left_out(tmp_path, form):
    """An empty token is the only way to one in CoNLL."""
    empty = [([""], ["O"])] if form == "conll" else [([], [])]
    found, changes = normalized(tmp_path, form, [*empty, (["a"], ["B-X"])])
    assert found == [(["a"], ["B-X"])]
    assert changes[-1][2] == "empty-sentence"


@pytest.mark.parametrize(
    ("tokens", "tags", "left"),
    [
        (["", "b", "c"], ["B-X", "I-X", "O"], "b/B-X c/O"),
        (["a", "", "c"], ["B-X", "I-X", "I-X"], "a/B-X c/I-X"),
        (["a", ""], ["B-X", "I-X"], "a/B-X"),
        (["a", "", "c"], ["B-X", "B-X", "I-X"], "a/B-X c/B-X"),
        (["a", "", "c"], ["B-X", "O", "B-X"], "a/B-X c/B-X"),
    ],
)
def test_an_entity_goes_on_without_its_empty_tokens(tmp_path, tokens, tags, left):
    found, changes = normalized(tmp_path, "conll", [(tokens, tags)])
    words = [pair.split("/") for pair in left.split()]
    assert found == [([word for word, _ in words], [tag for _, tag in words])]
    assert [change[2] for change in changes] == ["empty-token"]


def test_an_entity_of_empty_tokens_is_lost_and_listed(tmp_path):
    """One of a hundred: few enough to be repaired."""
    lost = (["a", "", "\u00a0"], ["O", "B-X", "I-X"])
    found, changes = normalized(tmp_path, "conll", [lost, *SOUND * 99])
    assert found == [(["a"], ["O"]), *SOUND * 99]
    assert [(change[0], change[2]) for change in changes] == [
        ("test:2", "empty-token"),
        ("test:3", "empty-token"),
        ("test:2", "empty-entity"),
    ]
    assert "empty-entity" in LOSSES


@pytest.mark.parametrize(
    ("token", "found"),
    [
        ("10\u00a0mg", r"the token '10\xa0mg' with U+00A0 NO-BREAK SPACE"),
        ("10\u2009\u2009mg", r"the token '10\u2009\u2009mg' with U+2009 THIN SPACE"),
        ("\u3000", "a token of only U+3000 IDEOGRAPHIC SPACE"),
        ("", "an empty token"),
    ],
)
def test_the_message_names_the_line_of_the_token_and_what_cannot_be_seen(tmp_path, token, found):
    message = refusal(tmp_path, "conll", [(["a"], ["O"]), (["b", token], ["O", "O"])])
    assert message.startswith(f"test:4: found {found}; expected a token with")
    assert "`on_error: repair`" in message


def test_the_message_says_no_more_than_the_space_where_text_may_not_be_shown(tmp_path):
    message = refusal(tmp_path, "conll", [(["SECRET\u00a0it"], ["O"])], quote=False)
    assert message.startswith("test:1: found the token text of 9 characters with U+00A0 NO-BREAK")


def test_a_sentence_without_tokens_is_refused_by_its_line(tmp_path):
    message = refusal(tmp_path, "jsonl", [(["a"], ["O"]), ([], [])])
    assert message.startswith("test:2: found a sentence without tokens; expected at least one.")


@pytest.mark.parametrize("token", ["\u200b", "\u00ad", "\ufeffa", "a\u200db"])
def test_zero_width_characters_are_the_token_of_the_file(tmp_path, token):
    sentences = [(["so", token], ["O", "B-X"])]
    assert normalized(tmp_path, "jsonl", sentences, "fail") == (sentences, [])


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        (([], ["O"]), "no token"),
        ((["", "a"], ["O"]), "2 tokens and 1 tags"),
        ((["a b"], ["B-Cell line"]), "token 0 is 'a b'"),
    ],
)
def test_what_has_no_right_number_or_form_of_tags_is_no_case_for_repair(tmp_path, sentence, found):
    with pytest.raises(InputError, match=rf"test:1: found {found}"):
        normalized(tmp_path, "jsonl", [sentence])


def test_ids_count_the_sentences_of_the_file(tmp_path):
    for split in SPLITS:
        write(tmp_path / "raw" / split, jsonl([([], []), *SOUND]))
    stated = {"format": "jsonl", "splits": SPLITS, "on_error": "repair"}
    entry = parse_entry(DatasetEntry, "toy", stated)
    found = normalize("toy", entry, tmp_path / "raw", tmp_path / "out")
    assert [item.id for item in found["dev"]] == ["dev-00002"]

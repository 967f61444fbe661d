"""Tokens and tags as lists: JSON Lines, and CSV files that are recognised by their header."""

import pytest

from bioner.corpora.readers.records import DOCUMENT_FIELDS, TAG_FIELDS, TOKEN_FIELDS, list_delimiter
from tests.unit.corpora.readers import read, refusal, words_and_tags, write

CSV_HEADER = "tokens,ner_tags\n"
# What pandas writes for a column of lists, of JSON strings, and of numpy arrays.
PYTHON, JSON, NUMPY = "['so', 'ill']", '[""so"", ""ill""]', "['so' 'ill']"


def jsonl(tmp_path, *lines):
    return write(tmp_path / "raw.jsonl", "".join(f"{line}\n" for line in lines))


def table(tmp_path, text):
    return write(tmp_path / "raw.csv", text)


def test_an_object_a_sentence_in_the_order_of_the_file(tmp_path):
    path = jsonl(
        tmp_path,
        '{"tokens": ["TNF-α", "rose"], "tags": ["B-Gene", "O"], "doc": "d1"}',
        '{"tokens": ["ill"], "tags": ["O"]}',
    )
    first, second = read(path, "jsonl")
    assert words_and_tags(first) == "TNF-α/B-Gene rose"
    assert (first.where, first.place(1), first.document) == (f"{path}:1", f"{path}:1", "d1")
    assert (second.where, second.document) == (f"{path}:2", None)


@pytest.mark.parametrize("tokens", TOKEN_FIELDS)
@pytest.mark.parametrize("tags", TAG_FIELDS)
def test_every_name_in_circulation_is_known(tmp_path, tokens, tags):
    (sentence,) = read(
        jsonl(tmp_path, f'{{"{tags}": ["B-X"], "other": 1, "{tokens}": ["a"]}}'), "jsonl"
    )
    assert words_and_tags(sentence) == "a/B-X"


@pytest.mark.parametrize("name", DOCUMENT_FIELDS)
def test_documents_are_names_also_where_they_are_numbers(tmp_path, name):
    (sentence,) = read(
        jsonl(tmp_path, f'{{"tokens": ["a"], "tags": ["O"], "{name}": 12}}'), "jsonl"
    )
    assert sentence.document == "12"


def test_a_text_beside_its_tokens_is_passed_over(tmp_path):
    line = '{"tokens": "so ill", "words": ["so", "ill"], "ner": ["O", "B-X"], "label": "positive"}'
    assert words_and_tags(*read(jsonl(tmp_path, line), "jsonl")) == "so ill/B-X"


def test_numbers_count_the_labels_from_0(tmp_path):
    line = '{"tokens": ["so", "ill", "O"], "ner_tags": [0, 2, "O"]}'
    (sentence,) = read(jsonl(tmp_path, line), "jsonl", labels=["O", "B-A", "B-B"])
    assert sentence.tags == ["O", "B-B", "O"]


@pytest.mark.parametrize(
    ("tag", "labels", "expected"),
    [
        ("0", [], "found the tag 0; expected text, or a number below 0"),
        ("2", ["O", "B-X"], "found the tag 2; expected text, or a number below 2"),
        ("-1", ["O", "B-X"], "found the tag -1; expected"),
        ("true", ["O", "B-X"], "found the tag True; expected"),
        ("1.0", ["O", "B-X"], "found the tag 1.0; expected"),
        ("null", ["O", "B-X"], "found the tag None; expected"),
    ],
)
def test_numbers_without_a_label_are_refused_and_labels_named_as_the_way_out(
    tmp_path, tag, labels, expected
):
    path = jsonl(
        tmp_path, '{"tokens": ["a"], "tags": ["O"]}', f'{{"tokens": ["a"], "tags": [{tag}]}}'
    )
    message = refusal(path, "jsonl", labels=labels)
    assert message.startswith(f"{path}:2: {expected}")
    assert "`labels`" in message


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"tokens": ["a"], "tags": ["O"', "broken JSON"),
        ("<!DOCTYPE html>", "broken JSON"),
        ("[" * 100_000, "broken JSON"),
        ('["a"]', "a list; expected an object."),
        ('{"tags": ["O"]}', "no list under tokens, words"),
        ('{"tokens": ["a"]}', "no list under tags, ner_tags"),
        ('{"tokens": "a", "tags": ["O"]}', "'tokens', which is no list"),
        ('{"tokens": ["a"], "tags": null}', "'tags', which is no list"),
        ('{"tokens": ["a", 5], "tags": ["O", "O"]}', "a token that is no text"),
    ],
    ids=[
        "truncated",
        "HTML",
        "nested without end",
        "list",
        "tokens",
        "tags",
        "text",
        "null",
        "number",
    ],
)
def test_a_broken_record_is_named_by_file_and_line(tmp_path, line, found):
    path = jsonl(tmp_path, '{"tokens": ["a"], "tags": ["O"]}', line)
    assert refusal(path, "jsonl").startswith(f"{path}:2: found {found}")


def test_a_list_of_records_in_one_line_is_told_what_belongs_there(tmp_path):
    path = jsonl(tmp_path, '[{"tokens": ["a"], "tags": ["O"]}]')
    assert "the keys ." not in refusal(path, "jsonl")


def test_half_a_surrogate_pair_is_named_by_file_and_line(tmp_path):
    path = jsonl(tmp_path, '{"tokens": ["\\ud800"], "tags": ["O"]}')
    assert refusal(path, "jsonl").startswith(f"{path}:1: ")


@pytest.mark.parametrize(
    "tokens", ["['\\ud800']", "['\\U0000DFFF']", "['\\ud83d\\ude00']", '[""\\ud800""]']
)
def test_half_a_surrogate_pair_is_named_in_csv_files_too(tmp_path, tokens):
    path = table(tmp_path, f'{CSV_HEADER}"{tokens}","[\'O\']"\n')
    assert refusal(path, "conll-or-lists").startswith(f"{path}:2: found half a surrogate pair")


def test_a_file_in_another_encoding_is_named_by_line(tmp_path):
    path = write(
        tmp_path / "raw.jsonl",
        '{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["ï"]'.encode("latin-1"),
    )
    assert refusal(path, "jsonl").startswith(f"{path}:2: found bytes that are not UTF-8")


@pytest.mark.parametrize("tokens", [PYTHON, JSON], ids=["Python", "JSON"])
def test_list_columns_of_a_csv_file(tmp_path, tokens):
    path = table(
        tmp_path,
        f"doc,tokens,ner_tags\nd1,\"{tokens}\",\"['O', 'B-X']\"\n\n2,\"['a']\",\"['O']\"\n",
    )
    first, second = read(path, "conll-or-lists")
    assert (words_and_tags(first), first.document, first.where) == ("so ill/B-X", "d1", f"{path}:2")
    assert (words_and_tags(second), second.document, second.where) == ("a", "2", f"{path}:4")


def test_tokens_may_hold_commas_quotes_brackets_and_backslashes(tmp_path):
    tokens = [",", "don't", '"', "]", "5'", "\\", "α"]
    row = repr(tokens).replace('"', '""')
    (sentence,) = read(table(tmp_path, f'{CSV_HEADER}"{row}","{["O"] * 7!r}"\n'), "conll-or-lists")
    assert sentence.tokens == tokens


def test_labels_count_in_csv_files_too(tmp_path):
    path = table(tmp_path, f'{CSV_HEADER}"{PYTHON}","[0, 1]"\n')
    assert words_and_tags(*read(path, "conll-or-lists", labels=["O", "B-X"])) == "so ill/B-X"
    assert refusal(path, "conll-or-lists").startswith(f"{path}:2: found the tag 0; ")
    written = table(tmp_path, f"{CSV_HEADER}\"{PYTHON}\",\"['0', '1']\"\n")
    assert words_and_tags(*read(written, "conll-or-lists", labels=["O", "B-X"])) == "so ill/B-X"


def test_a_row_over_several_lines_has_the_place_of_its_first(tmp_path):
    several = "\"['so',\n 'ill']\",\"['O',\n 'O']\"\n"
    path = table(tmp_path, CSV_HEADER + several + "a,b\n")
    assert refusal(path, "conll-or-lists").startswith(f"{path}:5: found 'tokens', which is no list")
    good, after = read(
        table(tmp_path, CSV_HEADER + several + "\"['a']\",\"['O']\"\n"), "conll-or-lists"
    )
    assert (good.tokens, good.where, after.where) == (["so", "ill"], f"{path}:2", f"{path}:5")


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (f"\"{NUMPY}\",\"['O' 'O']\"", "'tokens', which is no list"),
        (f"\"{PYTHON}\",\"['O' 'B-X']\"", "'ner_tags', which is no list"),
        ("\"['so'\n 'ill']\",\"['O'\n 'O']\"", "'tokens', which is no list"),
        (f'"{PYTHON}","[0 1]"', "'ner_tags', which is no list"),
        (f'"{PYTHON}",O O', "'ner_tags', which is no list"),
        (f'"{PYTHON}",', "'ner_tags', which is no list"),
        ("\"['so', 5]\",\"['O', 'O']\"", "a token that is no text"),
        ("\"[nan, 'so']\",\"['O', 'O']\"", "'tokens', which is no list"),
        ("\"[open('x')]\",\"['O']\"", "'tokens', which is no list"),
        (f'"{PYTHON}"', "1 columns; expected 2 as in the header"),
        (f"\"{PYTHON}\",\"['O', 'O']\",3", "3 columns; expected 2 as in the header"),
        ("\"['so', ", "broken CSV"),
        ('"a"b,c', "broken CSV"),
    ],
    ids=[
        "numpy",
        "numpy tags",
        "numpy over lines",
        "numpy numbers",
        "words",
        "empty",
        "number",
        "nan",
        "code",
        "too few",
        "too many",
        "truncated",
        "quotes",
    ],
)
def test_a_broken_row_is_named_by_file_and_line(tmp_path, row, found):
    path = table(tmp_path, f"{CSV_HEADER}{row}")
    assert refusal(path, "conll-or-lists").startswith(f"{path}:2: found {found}")


def test_a_numpy_list_is_refused_also_where_a_token_is_a_symbol(tmp_path):
    path = table(tmp_path, f"{CSV_HEADER}\"['a' '.']\",\"['O']\"\n")
    assert refusal(path, "conll-or-lists").startswith(f"{path}:2: found 'tokens', which is no list")


@pytest.mark.parametrize(
    ("content", "lists"),
    [
        ("tokens,tags\n", ","),
        ("\ufefftokens,tags\n", ","),
        ("Tokens;Tags\n", ";"),
        ("id\ttokens\tner_tags\n", "\t"),
        ('\n,"text", label \n', ","),
        ("a\tO\n", None),
        ("tokens tags\n", None),
        ("tokens\n", None),
        ("tokens,other\n", None),
        ("id,label\n", None),
        (",\tO\n", None),
        ("", None),
    ],
)
def test_a_header_with_names_for_tokens_and_tags_tells_lists_from_columns(tmp_path, content, lists):
    assert list_delimiter(write(tmp_path / "raw", content)) == lists


def test_two_columns_are_read_where_no_header_says_lists(tmp_path):
    path = write(tmp_path / "raw", "so\tO\nill\tB-X\n")
    assert words_and_tags(*read(path, "conll-or-lists")) == "so ill/B-X"

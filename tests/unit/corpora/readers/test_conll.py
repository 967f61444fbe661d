"""CoNLL files: columns by tabs or spaces, blank lines, `-DOCSTART-`, the place of each token."""

import gzip

import pytest

from bioner.corpora.changes import Changes
from bioner.corpora.readers.conll import read_conll
from bioner.errors import InputError
from tests.unit.corpora.readers import write


def conll(tmp_path, text, token=0, tag=-1, name="raw.tsv"):
    return list(read_conll(write(tmp_path / name, text), token, tag, Changes()))


def refusal(tmp_path, text, *columns):
    with pytest.raises(InputError) as caught:
        conll(tmp_path, text, *columns)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "TNF-α\tB-Gene\n:\tO\n\nNAD(P)H:quinone\tO\n\n",
        "TNF-α\tB-Gene\n:\tO\n\nNAD(P)H:quinone\tO",
        "\n\nTNF-α\tB-Gene\r\n:\tO\r\n\r\n\r\nNAD(P)H:quinone\tO\r\n",
        "\ufeffTNF-α\tB-Gene\n:\tO\n \t \nNAD(P)H:quinone\tO\n",
        "TNF-α B-Gene\n:   O\n\nNAD(P)H:quinone \t O\n",
        "  TNF-α B-Gene \n  :   O\n\nNAD(P)H:quinone O  \n",
    ],
    ids=[
        "usual",
        "no final blank line",
        "CRLF and more blank lines",
        "byte order mark, white line",
        "spaces",
        "spaces at the edges",
    ],
)
def test_blank_lines_divide_sentences_and_tokens_are_taken_as_they_are(tmp_path, text):
    first, second = conll(tmp_path, text)
    assert (first.tokens, first.tags) == (["TNF-α", ":"], ["B-Gene", "O"])
    assert (second.tokens, second.tags) == (["NAD(P)H:quinone"], ["O"])
    assert first.document is None


def test_a_tab_in_the_first_line_makes_tabs_alone_divide_columns(tmp_path):
    (sentence,) = conll(tmp_path, "10 mg\tB-Dose\nof it\tI-Dose\n")
    assert (sentence.tokens, sentence.tags) == (["10 mg", "of it"], ["B-Dose", "I-Dose"])


def test_without_a_tab_there_any_white_space_does_also_tabs_further_down(tmp_path):
    (sentence,) = conll(tmp_path, "so  RB   O\nill\tJJ B-Disease\n")
    assert (sentence.tokens, sentence.tags) == (["so", "ill"], ["O", "B-Disease"])


def test_a_no_break_space_is_no_border_of_columns(tmp_path):
    assert conll(tmp_path, "10\u00a0mg O\n")[0].tokens != ["10"]


def test_docstart_lines_count_documents_and_divide_sentences(tmp_path):
    text = "-DOCSTART-\tO\n\na\tO\n\nb\tO\n-DOCSTART-\tX\tX\tO\nc\tO\n"
    assert [(s.tokens, s.document) for s in conll(tmp_path, text)] == [
        (["a"], 1),
        (["b"], 1),
        (["c"], 2),
    ]


def test_a_docstart_line_says_nothing_of_the_columns(tmp_path):
    assert conll(tmp_path, "-DOCSTART- -X- O\n\nso it\tO\n")[0][1:4] == (1, ["so it"], ["O"])


def test_token_and_tag_columns_can_be_chosen(tmp_path):
    text = "1\theart\tNN\tB-Part\trest\n"
    assert conll(tmp_path, text, 1, 3)[0][2:4] == (["heart"], ["B-Part"])
    assert conll(tmp_path, text, 1)[0][2:4] == (["heart"], ["rest"])
    assert conll(tmp_path, text, -4, -2)[0][2:4] == (["heart"], ["B-Part"])


def test_every_token_has_the_place_of_its_line(tmp_path):
    first, second = conll(tmp_path, "-DOCSTART-\tO\n\na\tO\nb\tO\n\n\nc\tO\n")
    path = tmp_path / "raw.tsv"
    assert (first.where, first.place(0), first.place(1)) == (f"{path}:3", f"{path}:3", f"{path}:4")
    assert second.place(0) == f"{path}:7"


def test_gzipped_files_read_the_same(tmp_path):
    zipped = gzip.compress(b"a\tO\n\nb\tB-X\n")
    assert [s.tags for s in conll(tmp_path, zipped, name="raw.tsv.gz")] == [["O"], ["B-X"]]


ANY_TWO = "expected at least 2, the token in column 0 and the tag in column -1"


@pytest.mark.parametrize(
    ("text", "columns", "line", "found"),
    [
        ("a\tO\n\nb\n", (), 3, f"1 tab-separated column in 'b'; {ANY_TWO}"),
        ("a\tO\nb\n", (), 2, "1 tab-separated column in 'b'; expected 2 as in line 1"),
        (
            "a\tO\nb\tO\textra\n",
            (),
            2,
            "3 tab-separated columns in 'b\\tO\\textra'; expected 2 as in line 1",
        ),
        ("a\tO\n\nb O\n", (), 3, f"1 tab-separated column in 'b O'; {ANY_TWO}"),
        ("a\n", (), 1, f"1 space-separated column in 'a'; {ANY_TWO}"),
        ("a O\nb c O\n", (), 2, "3 space-separated columns in 'b c O'; expected 2 as in line 1"),
        ("a\tO\n", (0, 3), 1, "2 tab-separated columns in 'a\\tO'; expected at least 4"),
        ("a\tO\n", (2, -1), 1, "2 tab-separated columns in 'a\\tO'; expected at least 3"),
        ("a\tO\n", (-3, -1), 1, "2 tab-separated columns in 'a\\tO'; expected at least 3"),
        (
            "a\tO\n\nb\tc\tO\nd\tO\n",
            (),
            4,
            "2 tab-separated columns in 'd\\tO'; expected 3 as in line 3",
        ),
    ],
)
def test_a_malformed_line_is_named_by_file_and_line(tmp_path, text, columns, line, found):
    message = refusal(tmp_path, text, *columns)
    assert message.startswith(f"{tmp_path / 'raw.tsv'}:{line}: found {found}")
    assert message.endswith("Mend the line, or name the columns in the catalogue.")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("ok\tO\nna\u00efve\tO\n".encode("latin-1"), ":2: found bytes that are not UTF-8"),
        ("a\tO\n".encode("utf-16"), ":1: found bytes that are not UTF-8"),
        (gzip.compress(b"a\tO\n"), ": found gzipped content"),
        ("<!DOCTYPE html>\n<html>\n", ":2: found 1 space-separated column in '<html>'"),
        ('{"tokens":["a"],"tags":["O"]}\n', ":1: found 1 space-separated column"),
    ],
    ids=["Latin-1", "UTF-16", "gzip without its name", "HTML", "JSON"],
)
def test_a_file_of_another_kind_is_named_by_file_and_line(tmp_path, content, found):
    assert refusal(tmp_path, content).startswith(f"{tmp_path / 'raw.tsv'}{found}")


@pytest.mark.parametrize(
    ("line", "opens"), [("-DOCSTART- (7)", True), (" -DOCSTART- O", True), ("-DOCSTART-s O", False)]
)
def test_only_the_very_word_opens_a_document(tmp_path, line, opens):
    sentences = conll(tmp_path, f"a O\n{line}\nb O\n")
    assert [sentence.document for sentence in sentences] == ([None, 1] if opens else [None])


def test_tokens_and_tags_are_two_columns(tmp_path):
    for columns in ((1, 1), (1, -1), (-2, 0)):
        with pytest.raises(
            InputError, match=r"raw\.tsv:1: .*expected tokens and tags in two columns, not both in"
        ):
            conll(tmp_path, "a\tO\n", *columns)

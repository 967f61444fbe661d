"""Readers of corpora: CoNLL files and inline mark-up, and how their malformed lines are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioner.corpora.conll import read_conll
from bioner.corpora.inline import parse, read_inline
from bioner.errors import InputError
from bioner.tags import Span, spans


def write(path, text):
    path.write_bytes(text.encode())
    return path


def conll(tmp_path, text, *columns):
    return list(read_conll(write(tmp_path / "raw.tsv", text), *columns))


@pytest.mark.parametrize(
    "text",
    [
        "TNF-α\tB-Gene\n:\tO\n\nNAD(P)H:quinone\tO\n\n",
        "TNF-α\tB-Gene\n:\tO\n\nNAD(P)H:quinone\tO",
        "\n\nTNF-α\tB-Gene\r\n:\tO\r\n\r\n\r\nNAD(P)H:quinone\tO\r\n",
    ],
    ids=["usual", "no final blank line", "CRLF and more blank lines"],
)
def test_blank_lines_divide_sentences_and_tokens_are_taken_as_they_are(tmp_path, text):
    first, second = conll(tmp_path, text)
    assert (first.tokens, first.tags) == (["TNF-α", ":"], ["B-Gene", "O"])
    assert (second.tokens, second.tags) == (["NAD(P)H:quinone"], ["O"])
    assert first.document is None


def test_docstart_lines_count_documents_and_divide_sentences(tmp_path):
    text = "-DOCSTART-\tO\n\na\tO\n\nb\tO\n-DOCSTART-\tX\tX\tO\nc\tO\n"
    assert [(s.tokens, s.document) for s in conll(tmp_path, text)] == [(["a"], 1), (["b"], 1), (["c"], 2)]


def test_token_and_tag_columns_can_be_chosen(tmp_path):
    text = "1\theart\tNN\tB-Part\trest\n"
    assert conll(tmp_path, text, 1, 3)[0][2:] == (["heart"], ["B-Part"])
    assert conll(tmp_path, text, 1)[0][2:] == (["heart"], ["rest"])


@pytest.mark.parametrize(
    ("text", "columns", "line", "found"),
    [
        ("a\tO\n\nb\n", (), 3, "1 tab-separated columns in 'b'; expected a token and a tag column"),
        ("a\tO\nb\tO\textra\n", (), 2, "3 tab-separated columns in 'b\\tO\\textra'; expected 2 as in line 1"),
        ("a O\n", (), 1, "1 tab-separated columns in 'a O'"),
        ("a\tO\n", (0, 3), 1, "2 tab-separated columns"),
        ("a\tO\n", (2, -1), 1, "2 tab-separated columns"),
        ("a\tO\n", (-3, -1), 1, "2 tab-separated columns"),
    ],
)
def test_a_malformed_line_is_named_by_file_and_line(tmp_path, text, columns, line, found):
    with pytest.raises(InputError) as caught:
        conll(tmp_path, text, *columns)
    assert str(caught.value).startswith(f"{tmp_path / 'raw.tsv'}:{line}: found {found}")


@pytest.mark.parametrize(
    ("line", "tokens", "tags"),
    [
        ("{A|x y} fell .", ["x", "y", "fell", "."], ["B-A", "I-A", "O", "O"]),
        ("given {A|x}", ["given", "x"], ["O", "B-A"]),
        ("{A|x} {B|y}", ["x", "y"], ["B-A", "B-B"]),
        ("{A|x} {A|y z}", ["x", "y", "z"], ["B-A", "B-A", "I-A"]),
        ("{Gene|TGF-β1} ( {Chemical|C20:5n-3} )", ["TGF-β1", "(", "C20:5n-3", ")"], ["B-Gene", "O", "B-Chemical", "O"]),
        ("none here", ["none", "here"], ["O", "O"]),
    ],
    ids=["at the start", "at the end", "adjacent", "adjacent of one type", "symbols", "no entity"],
)
def test_marked_up_entities_become_tags(line, tokens, tags):
    assert parse(line, "x") == (tokens, tags)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a {A|x", "'{A|x'"),
        ("a x} b", "'x}'"),
        ("a | b", "'|'"),
        ("{A|} b", "'{A|}'"),
        ("{A|{B|x} y}", "right before an entity"),
        ("a{A|x}", "right before an entity"),
        ("{A|x}, b", "', b' right after an entity"),
        ("{A|x}{B|y}", "right after an entity"),
        ("a  b", "doubled or edge space"),
        ("{A|x}  {B|y}", "doubled or edge space"),
        ("{A| x}", "doubled or edge space"),
        (" a", "doubled or edge space"),
    ],
)
def test_malformed_mark_up_is_named_by_file_and_line(tmp_path, line, found):
    path = write(tmp_path / "raw.txt", f"# doc\n\n{line}\n")
    with pytest.raises(InputError) as caught:
        list(read_inline(path))
    assert str(caught.value).startswith(f"{path}:3: found ")
    assert found in str(caught.value)


WORD = st.text("abαβ:()[]#-1%", min_size=1, max_size=6)


@given(st.lists(st.tuples(st.sampled_from(["", "A", "B"]), st.lists(WORD, min_size=1, max_size=3)), min_size=1))
def test_marking_up_and_parsing_give_the_same_tokens_and_entities(pieces):
    line = " ".join(f"{{{type_}|{' '.join(words)}}}" if type_ else " ".join(words) for type_, words in pieces)
    expected, tokens = [], []
    for type_, words in pieces:
        expected += [Span(len(tokens), len(tokens) + len(words), type_)] if type_ else []
        tokens += words
    found, tags = parse(line, "x")
    assert found == tokens
    assert spans(tags) == expected


def test_a_hash_opens_a_document_and_a_sentence_outside_one_is_refused(tmp_path):
    path = write(tmp_path / "raw.txt", "# d-1\na .\n\n# d-2\nb .\nc .\n")
    assert [sentence.document for sentence in read_inline(path)] == ["d-1", "d-2", "d-2"]
    with pytest.raises(InputError, match=r"raw\.txt:1: .*a line `# id` first"):
        list(read_inline(write(path, "a .\n# d-1\n")))

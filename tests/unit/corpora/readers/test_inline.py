"""Inline mark-up: `{Type|words}` to tags, `# id` to documents, and errors for malformed lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioner.corpora.readers.inline import parse, read_inline
from bioner.data.tags import Span, spans
from bioner.errors import InputError
from tests.unit.corpora.readers import write


@pytest.mark.parametrize(
    ("line", "tokens", "tags"),
    [
        ("{A|x y} fell .", ["x", "y", "fell", "."], ["B-A", "I-A", "O", "O"]),
        ("given {A|x}", ["given", "x"], ["O", "B-A"]),
        ("{A|x} {B|y}", ["x", "y"], ["B-A", "B-B"]),
        ("{A|x} {A|y z}", ["x", "y", "z"], ["B-A", "B-A", "I-A"]),
        (
            "{Gene|TGF-β1} ( {Chemical|C20:5n-3} )",
            ["TGF-β1", "(", "C20:5n-3", ")"],
            ["B-Gene", "O", "B-Chemical", "O"],
        ),
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


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("# d\nna\u00efve\n".encode("latin-1"), ":2: found bytes that are not UTF-8"),
        ("<html>\n", ": found an HTML page"),
    ],
    ids=["Latin-1", "HTML"],
)
def test_a_file_of_another_kind_is_named_by_file_and_line(tmp_path, content, place):
    path = write(tmp_path / "raw.txt", content)
    with pytest.raises(InputError) as caught:
        list(read_inline(path))
    assert str(caught.value).startswith(f"{path}{place}")


WORD = st.text("abαβ:()[]#-1%", min_size=1, max_size=6)


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "A", "B"]), st.lists(WORD, min_size=1, max_size=3)),
        min_size=1,
    )
)
def test_marking_up_and_parsing_give_the_same_tokens_and_entities(pieces):
    line = " ".join(
        f"{{{type_}|{' '.join(words)}}}" if type_ else " ".join(words) for type_, words in pieces
    )
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


def test_all_tokens_of_a_sentence_have_the_place_of_its_line(tmp_path):
    path = write(tmp_path / "raw.txt", "# d-1\na b .\n")
    (sentence,) = read_inline(path)
    assert [sentence.place(position) for position in range(3)] == [f"{path}:2"] * 3


def test_a_hash_without_a_space_is_a_token(tmp_path):
    path = write(tmp_path / "raw.txt", "# d-1\n#5 is {X|sick} .\n")
    (sentence,) = read_inline(path)
    assert (sentence.document, sentence.tokens[0], sentence.tags[2]) == ("d-1", "#5", "B-X")

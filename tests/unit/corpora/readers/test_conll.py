"""CoNLL files: columns by tabs or spaces, blank lines, documents, comments, places of tokens."""

import gzip
import logging

import pytest

from bioner.corpora.changes import Changes
from bioner.corpora.readers.conll import LONE, read_conll
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
    assert conll(tmp_path, "-DOCSTART- -X- O\n\nso it\tO\n")[0][2:4] == (["so it"], ["O"])


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
        ("a\tO\n".encode("utf-16"), ": found UTF-16 text"),
        (gzip.compress(b"a\tO\n"), ": found gzipped content"),
        ("<!DOCTYPE html>\n<html>\n", ": found an HTML page"),
        ('{"tokens":["a"],"tags":["O"]}\n', ":1: found 1 space-separated column"),
        ("#FORMAT=WebAnno TSV 3.3\n\n\n#Text=a\n1-1\t0-1\ta\tX\t\n", ":1: found WebAnno's TSV"),
    ],
    ids=["Latin-1", "UTF-16", "gzip without its name", "HTML", "JSON", "WebAnno"],
)
def test_a_file_of_another_kind_is_named_by_file_and_line(tmp_path, content, found):
    assert refusal(tmp_path, content).startswith(f"{tmp_path / 'raw.tsv'}{found}")


@pytest.mark.parametrize(
    ("line", "documents"),
    [
        ("-DOCSTART- O", [None, 1]),
        (" -DOCSTART-\t-X-\tO\tO", [None, 1]),
        ("-DOCSTART- (7)", [None, "7"]),
        ("-DOCSTART- (7 NCBI) O", [None, "7 NCBI"]),
        ("-DOCSTART-s O", [None]),
        ("# newdoc", [None]),  # inside a sentence: a token and its tag, which is none
    ],
)
def test_only_the_very_word_opens_a_document(tmp_path, line, documents):
    sentences = conll(tmp_path, f"a O\n{line}\nb O\n")
    assert [sentence.document for sentence in sentences] == documents


def documents_and_remarks(tmp_path, text, name=""):
    changes = Changes()
    path = write(tmp_path / "raw.tsv", text)
    sentences = list(read_conll(path, 0, -1, changes, name))
    return [sentence.document for sentence in sentences], changes.remarks


@pytest.mark.parametrize(
    "start",
    ["-DOCSTART- -X- O\n", "\n-DOCSTART- -X- O O\n\n", "# newdoc\n", "# v1\n\n-DOCSTART- O\n"],
)
def test_a_lone_start_of_a_document_before_all_sentences_divides_nothing(tmp_path, start):
    """Label Studio's export begins with one, whatever the number of tasks."""
    documents, remarks = documents_and_remarks(tmp_path, f"{start}so O\n\nill B-X\n")
    assert documents == [None, None]
    assert remarks[logging.WARNING, "", LONE] == 1


@pytest.mark.parametrize(
    ("text", "name", "documents"),
    [
        ("-DOCSTART- O\na O\n\n-DOCSTART- O\nb O\n", "", [1, 2]),
        ("a O\n\n-DOCSTART- O\nb O\n", "", [None, 1]),
        ("-DOCSTART- (7)\na O\n\nb O\n", "", ["7", "7"]),
        ("-DOCSTART- O\na O\n\n-DOCSTART- (7)\nb O\n", "", [1, "7"]),
        ("-DOCSTART- O\n# doc_id = 7\na O\n\n# doc_id = 8\nb O\n", "", ["7", "8"]),
        ("-DOCSTART- O\na O\n\nb O\n", "cardio", ["cardio", "cardio"]),
    ],
    ids=[
        "two",
        "further down",
        "named",
        "one named",
        "comments name documents",
        "file of a folder",
    ],
)
def test_other_starts_of_documents_count(tmp_path, text, name, documents):
    found, remarks = documents_and_remarks(tmp_path, text, name)
    assert found == documents
    assert not [text for level, _, text in remarks if level == logging.WARNING]


@pytest.mark.parametrize(
    "line",
    [
        "# sent_id 0 O1",
        "# sent_id = 0-1",
        "# text = so ill O",
        "# Introduction",
        "#",
        "##",
        "#begin document (wb/a/01); part 000",
        "# id 5239d808-f300\tdomain=train",
        "# global.columns = FORM NER",
    ],
)
@pytest.mark.parametrize("width", [2, 3, 4])
@pytest.mark.parametrize("blank", [" ", "\t"])
def test_a_line_with_a_hash_at_the_start_of_a_sentence_is_a_comment(tmp_path, line, width, blank):
    row = blank.join(["{}", *["_"] * (width - 2), "{}"])
    rows = [row.format("so", "O"), row.format("ill", "B-X")]
    text = "\n".join([line, rows[0], "", line, line, rows[1], "", line])
    changes = Changes()
    first, second = read_conll(write(tmp_path / "raw.tsv", text), 0, -1, changes)
    assert (first.tokens, first.tags, first.where[-2:]) == (["so"], ["O"], ":2")
    assert (second.tokens, second.tags, second.where[-2:]) == (["ill"], ["B-X"], ":6")
    assert changes.remarks == {(logging.INFO, "", "comment lines left out"): 4}


@pytest.mark.parametrize(
    ("text", "tokens", "tags"),
    [
        ("#\tB-X\n1\tI-X\n", ["#", "1"], ["B-X", "I-X"]),
        ("# O\n1 O\n", ["#", "1"], ["O", "O"]),
        ("#gout B-X\n\nhurts O\n", ["#gout"], ["B-X"]),
        ("# NN I-NP O\n1 CD I-NP O\n", ["#", "1"], ["O", "O"]),
        ("no O\n# doc_id\n1 O\n", ["no", "#", "1"], ["O", "doc_id", "O"]),
        ("#\tB-X\n", ["#"], ["B-X"]),
        ("#3\tB_X\nso\tO\n", ["#3", "so"], ["B_X", "O"]),
    ],
    ids=["tabs", "spaces", "hashtag", "4 columns", "inside a sentence", "no other line", "no tag"],
)
def test_a_token_with_a_hash_stays_in_a_row_of_the_columns_of_the_file(
    tmp_path, text, tokens, tags
):
    sentence = conll(tmp_path, text)[0]
    assert (sentence.tokens, sentence.tags) == (tokens, tags)


def test_the_tag_of_a_hash_is_sought_in_the_column_of_tags(tmp_path):
    text = "# B-X 1\n\n# doc O\n\nso O 2\n"
    assert [sentence.tokens for sentence in conll(tmp_path, text, 0, 1)] == [["#"], ["so"]]


@pytest.mark.parametrize(
    "comment",
    [
        "# doc_id = 12",
        "# doc_id: 12",
        "#doc_id=12",
        "# newdoc id = 12",
        "# document_id = 12",
        "# PMID: 12",
        "###MEDLINE:12",
    ],
)
def test_a_comment_may_name_the_document(tmp_path, comment):
    text = f"a\tO\n\n{comment}\nb\tO\n\n# sent_id = 2\nc\tO\n"
    assert documents_and_remarks(tmp_path, text)[0] == [None, "12", "12"]


def test_a_comment_may_open_a_document_without_a_name(tmp_path):
    text = "# newdoc\n# text = a\na O\n\n# newdoc\nb O\n"
    assert documents_and_remarks(tmp_path, text)[0] == [1, 2]


def test_a_comment_with_an_equals_sign_is_none_even_if_it_ends_like_a_tag(tmp_path):
    (sentence,) = conll(tmp_path, "# text = B-cells\nB-cells NNS B-NP B-Cell\n")
    assert (sentence.tokens, sentence.tags) == (["B-cells"], ["B-Cell"])


def test_a_file_of_comments_alone_has_no_sentence(tmp_path):
    assert conll(tmp_path, "# doc_id = 12\n\n# Introduction\n") == []


@pytest.mark.parametrize(
    "text",
    [
        "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\n",
        "EU -X- _ B-ORG\nrejects -X- _ O\n\nPeter -X- _ B-PER\n\n",
        "EU\tNNP\tB-ORG\r\nrejects\tVBZ\tO\r\n\r\nPeter\tNNP\tB-PER",
        "EU\tB-ORG \nrejects \t O\n\x0c\n Peter\tB-PER\n\x0c",
        "EU B-ORG\t\nrejects\tO  \n\t\nPeter  B-PER\n",
    ],
    ids=["CoNLL-2003", "Label Studio", "Windows", "blanks at tabs and form feeds", "white ends"],
)
def test_what_other_tools_write(tmp_path, text):
    first, second = conll(tmp_path, text)
    assert (first.tokens, first.tags) == (["EU", "rejects"], ["B-ORG", "O"])
    assert (second.tokens, second.tags) == (["Peter"], ["B-PER"])


def test_tokens_and_tags_are_two_columns(tmp_path):
    for columns in ((1, 1), (1, -1), (-2, 0)):
        with pytest.raises(
            InputError, match=r"raw\.tsv:1: .*expected tokens and tags in two columns, not both in"
        ):
            conll(tmp_path, "a\tO\n", *columns)

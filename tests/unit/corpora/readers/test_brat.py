"""brat folders: texts with their `.ann`, annotations in pieces or over line ends, skipped lines."""

import pytest

from bioner.corpora.changes import LOSSES
from tests.unit.corpora.readers import mended, read, refusal, words_and_tags, write

TEXT = "left and right arm"


def brat(tmp_path, text=TEXT, ann="", name="1"):
    write(tmp_path / "raw" / f"{name}.ann", ann)
    return write(tmp_path / "raw" / f"{name}.txt", text).parent


def test_texts_are_documents_by_name_and_annotations_entities(tmp_path):
    brat(tmp_path, "Sick.", "T1\tDisease 0 4\tSick\n", name="b")
    folder = brat(tmp_path, TEXT, "T2\tPart 9 18\tright arm\nT1\tSide 0 4\tleft\n", name="a")
    assert [(s.document, words_and_tags(s)) for s in read(folder, "brat")] == [
        ("a", "left/B-Side and right/B-Part arm/I-Part"),
        ("b", "Sick/B-Disease ."),
    ]


def test_whatever_is_no_text_bound_annotation_is_passed_over(tmp_path):
    others = (
        "R1\tPart-of Arg1:T1 Arg2:T1\nE1\tX:T1\nA1\tNegated T1\n#1\tNote T1\tso\n*\tEquiv T1"
        " T2\nN1\tRef T1 x:1\tleft\n"
    )
    folder = brat(tmp_path, TEXT, f"{others}T1\tSide 0 4\tleft\n")
    assert words_and_tags(*read(folder, "brat")) == "left/B-Side and right arm"


def test_offsets_count_the_line_ends_as_they_are(tmp_path):
    folder = brat(tmp_path, "So\r\n\r\nill.\r\n", "T1\tDisease 6 9\till\n")
    assert [words_and_tags(sentence) for sentence in read(folder, "brat")] == [
        "So",
        "ill/B-Disease .",
    ]


def test_an_annotation_over_a_line_end_is_one_stretch(tmp_path):
    """brat cuts it into pieces there, and shows a space for the line end."""
    folder = brat(tmp_path, "renal\nfailure now", "T1\tDisease 0 5;6 13\trenal failure\n")
    assert words_and_tags(*read(folder, "brat")) == "renal/B-Disease failure/I-Disease now"


@pytest.mark.parametrize("gap", [" ", "\n  ", "\u00a0\t \r\n", ""])
def test_pieces_that_only_white_space_separates_are_one_span(tmp_path, gap):
    text, second = f"renal{gap}failure", 5 + len(gap)
    shown = "renal failure" if gap else text
    folder = brat(tmp_path, text, f"T1\tX {second} {second + 7};0 5\t{shown}")
    (sentence,) = read(folder, "brat")
    assert {tag[2:] for tag in sentence.tags} == {"X"}


def test_text_of_another_paragraph_does_not_separate_pieces(tmp_path):
    text = "renal  failure\n\nand a second paragraph\n"
    folder = brat(tmp_path, text, "T1\tX 0 5;7 14\trenal failure\n")
    assert words_and_tags(read(folder, "brat")[0]) == "renal/B-X failure/I-X"


def test_a_piece_inside_another_changes_nothing(tmp_path):
    folder = brat(tmp_path, "renal failure now", "T1\tX 0 13;2 5\trenal failure\n")
    assert words_and_tags(*read(folder, "brat")) == "renal/B-X failure/I-X now"


def test_pieces_that_a_blank_line_separates_cross_passages(tmp_path):
    folder = brat(tmp_path, "renal\n\nfailure", "T1\tX 0 5;7 14\trenal failure\n")
    assert "the annotation 0 to 14 over 2 passages of 1" in refusal(folder, "brat")


def test_pieces_that_one_letter_separates_are_pieces(tmp_path):
    folder = brat(tmp_path, "renal/liver failure", "T1\tDisease 0 5;6 11\trenal liver\n")
    assert "the annotation T1 in 2 pieces" in refusal(folder, "brat")


def test_an_annotation_in_pieces_is_refused_or_left_out_and_listed(tmp_path):
    folder = brat(tmp_path, TEXT, "T1\tPart 0 4;9 18\tleft right arm\nT2\tAnd 5 8\tand\n")
    message = refusal(folder, "brat")
    found = "the annotation T1 in 2 pieces; expected one stretch of text"
    assert message.startswith(f"{folder / '1.ann'}:1: found {found}")
    assert "`on_error: repair`" in message
    (sentence,), (change,) = mended(folder, "brat")
    assert (change.where, change.kind, change.type, change.text) == (
        "raw/1.ann:1",
        "discontinuous",
        "Part",
        "left right arm",
    )
    assert (change.start, change.end) == (0, 18)
    assert change.kind in LOSSES
    assert words_and_tags(sentence) == "left and/B-And right arm"


def test_pieces_in_another_order_are_pieces(tmp_path):
    _, (change,) = mended(brat(tmp_path, TEXT, "T1\tPart 9 18;0 4\tright arm left\n"), "brat")
    assert (change.kind, change.start, change.end) == ("discontinuous", 0, 18)


@pytest.mark.parametrize(
    "line",
    [
        "T1 Side 0 4 left",
        "T1\tSide 0 4",
        "T1\tSide\tleft",
        "T1\tSide 0\tleft",
        "T1\tSide -1 4\tleft",
        "T1\tSide 0 4;\tleft",
        "T1\tTwo words 0 4\tleft",
        "T\tSide 0 4\tleft",
    ],
)
def test_a_broken_line_is_named_by_file_and_line(tmp_path, line):
    folder = brat(tmp_path, TEXT, f"R1\tx\n{line}\n")
    message = refusal(folder, "brat")
    assert message.startswith(
        f"{folder / '1.ann'}:2: found {line!r}; expected `T1<tab>TYPE START END<tab>TEXT`"
    )


@pytest.mark.parametrize(
    ("line", "kind", "found"),
    [
        (
            "T1\tSide 5 9\tleft",
            "text-mismatch",
            "the annotation 'left' at 5 to 9 of 1; expected 'and ', its text there",
        ),
        (
            "T1\tSide 30 34\tleft",
            "outside",
            "the annotation 30 to 34 of 1; expected a start before its end inside 0 to 18",
        ),
        ("T1\tSide 4 0\tleft", "outside", "the annotation 4 to 0 of 1"),
    ],
)
def test_broken_offsets_are_refused_or_listed(tmp_path, line, kind, found):
    folder = brat(tmp_path, TEXT, f"{line}\n")
    assert refusal(folder, "brat").startswith(f"{folder / '1.ann'}:1: found {found}")
    (sentence,), (change,) = mended(folder, "brat")
    assert (change.where, change.kind) == ("raw/1.ann:1", kind)
    assert words_and_tags(sentence) == TEXT


@pytest.mark.parametrize(("lone", "missing"), [("2.txt", "2.ann"), ("2.ann", "2.txt")])
def test_a_text_without_annotations_and_the_reverse_are_refused(tmp_path, lone, missing):
    folder = brat(tmp_path)
    write(folder / lone, "")
    assert refusal(folder, "brat").startswith(
        f"{folder / lone}: found no {missing} beside it; expected both. Add it"
    )


def test_an_empty_text_is_refused_or_listed(tmp_path):
    brat(tmp_path)
    folder = brat(tmp_path, " \n", name="0")
    assert refusal(folder, "brat").startswith(f"{folder / '0.txt'}: found a document without text")
    sentences, (change,) = mended(folder, "brat")
    assert (change.where, change.document, change.kind) == ("raw/0.txt", "0", "empty-document")
    assert [sentence.document for sentence in sentences] == ["1"]


@pytest.mark.parametrize("kind", ["txt", "ann"])
def test_a_file_in_another_encoding_is_named_by_line(tmp_path, kind):
    folder = brat(tmp_path)
    broken = write(folder / f"1.{kind}", "# ok\nna\u00efve\n".encode("latin-1"))
    assert refusal(folder, "brat").startswith(f"{broken}:2: found bytes that are not UTF-8")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    path = write(tmp_path / "raw", "T1\tSide 0 4\tleft\n")
    assert refusal(path, "brat").startswith(f"{path}: found no such folder")


def test_folders_below_count_as_the_folder(tmp_path):
    brat(tmp_path, "Sick.", "T1\tDisease 0 4\tSick\n", name="sub/2")
    folder = brat(tmp_path)
    assert [sentence.document for sentence in read(folder, "brat")] == ["1", "sub/2"]


def test_two_texts_of_one_name_in_different_folders_are_both_read_or_refused(tmp_path):
    brat(tmp_path, "One.", name="a/1")
    folder = brat(tmp_path, "Two.", name="b/1")
    try:
        sentences = read(folder.parent, "brat")
    except Exception as error:
        assert "raw/1.txt" in str(error)
    else:
        assert {sentence.tokens[0] for sentence in sentences} == {"One", "Two"}


def test_names_in_capitals_are_read_and_hidden_files_passed_over(tmp_path):
    """macOS leaves `._NAME.txt` next to other files."""
    folder = tmp_path / "raw"
    write(folder / "A.TXT", "Sick.")
    write(folder / "A.ANN", "T1\tDisease 0 4\tSick\n")
    write(folder / "._A.txt", b"\xef\xff")
    (sentence,) = read(folder, "brat")
    assert words_and_tags(sentence) == "Sick/B-Disease ."


@pytest.mark.parametrize(
    "line", [" T1\tSide 0 4\tleft", "t1\tSide 0 4\tleft", "0 4 Side left", "<html>"]
)
def test_a_line_that_is_none_of_brat_s_is_refused(tmp_path, line):
    folder = brat(tmp_path, TEXT, f"T1\tSide 0 4\tleft\n{line}\n")
    assert refusal(folder, "brat").startswith(f"{folder / '1.ann'}:2: found ")


def test_paragraphs_are_passages_and_line_ends_end_sentences(tmp_path):
    text = "Gout in two brothers\n\n It hurts\nall day.\n \n\nEnd"
    folder = brat(tmp_path, text, "T1\tDisease 0 4\tGout\nT2\tTime 32 39\tall day\n")
    assert [words_and_tags(s) for s in read(folder, "brat")] == [
        "Gout/B-Disease in two brothers",
        "It hurts all/B-Time day/I-Time .",
        "End",
    ]
    assert [len(s.tokens) for s in read(folder, "brat", segmentation="sentences")] == [4, 2, 3, 1]

"""PubTator files: title and abstract as passages, annotations by character, relations skipped."""

import pytest

from tests.unit.corpora.readers import mended, read, refusal, words_and_tags, write

TITLE, ABSTRACT = "7|t|Aspirin and gout.", "7|a|It cures gout."
# The abstract begins at 18, one behind the title's 17 characters.
DRUG, GOUT = "7\t0\t7\tAspirin\tDrug\tD001241", "7\t27\t31\tgout\tDisease\tD006073"


def pubtator(tmp_path, *lines):
    return write(tmp_path / "raw.txt", "".join(f"{line}\n" for line in lines))


def test_title_and_abstract_are_instances_of_one_document(tmp_path):
    title, abstract = read(pubtator(tmp_path, TITLE, ABSTRACT, DRUG, GOUT), "pubtator")
    assert words_and_tags(title) == "Aspirin/B-Drug and gout ."
    assert words_and_tags(abstract) == "It cures gout/B-Disease ."
    assert {title.document, abstract.document} == {"7"}


def test_blank_lines_divide_documents_and_the_last_needs_none(tmp_path):
    path = pubtator(
        tmp_path, "", TITLE, ABSTRACT, DRUG, "", " ", "8|t|Ill.", "8|a|", "8\t0\t3\tIll\tDisease"
    )
    assert [(s.document, s.where) for s in read(path, "pubtator")] == [("7", f"{path}:2")] * 2 + [
        ("8", f"{path}:7")
    ]


def test_line_ends_of_windows_count_for_nothing(tmp_path):
    path = write(tmp_path / "raw.txt", "\r\n".join([TITLE, ABSTRACT, DRUG, GOUT, ""]))
    assert [words_and_tags(s) for s in read(path, "pubtator")] == [
        "Aspirin/B-Drug and gout .",
        "It cures gout/B-Disease .",
    ]


def test_the_catalogue_says_where_instances_end_and_what_becomes_of_half_a_token(tmp_path):
    path = pubtator(tmp_path, TITLE, "7|a|It cures . Gout too .", "7\t0\t4\tAspi\tDrug")
    assert [
        words_and_tags(s) for s in read(path, "pubtator", token_alignment="split", max_tokens=3)
    ] == [
        "Aspi/B-Drug rin and gout .",
        "It cures .",
        "Gout too .",
    ]
    assert [words_and_tags(s) for s in read(path, "pubtator")] == [
        "Aspirin/B-Drug and gout .",
        "It cures . Gout too .",
    ]


def test_bars_in_the_text_are_text(tmp_path):
    (title,) = read(
        pubtator(tmp_path, "7|t|p|a|q ill", "7|a|", "7\t6\t9\till\tDisease"), "pubtator"
    )
    assert title.tags[-1] == "B-Disease"


def test_bars_in_the_id_belong_to_the_id(tmp_path):
    path = pubtator(tmp_path, "7|b|t|So ill", "7|b|a|", "7|b\t3\t6\till\tDisease")
    (title,) = read(path, "pubtator")
    assert (title.document, words_and_tags(title)) == ("7|b", "So ill/B-Disease")


def test_the_title_of_another_document_begins_it_without_a_blank_line(tmp_path):
    path = pubtator(tmp_path, TITLE, ABSTRACT, DRUG, "8|t|Sick.", "8\t0\t4\tSick\tDisease")
    assert [(s.document, words_and_tags(s)) for s in read(path, "pubtator")] == [
        ("7", "Aspirin/B-Drug and gout ."),
        ("7", "It cures gout ."),
        ("8", "Sick/B-Disease ."),
    ]


@pytest.mark.parametrize("more", ["", "\tD001241", "\tD001241|D006073\tAspirin|gout", "\t-1\t"])
def test_columns_after_the_type_are_skipped(tmp_path, more):
    path = pubtator(tmp_path, TITLE, f"7\t0\t16\tAspirin and gout\tCompositeMention{more}")
    assert set(read(path, "pubtator")[0].tags) == {"B-CompositeMention", "I-CompositeMention", "O"}


@pytest.mark.parametrize(
    "line",
    ["7\tCID\tD001241\tD006073", "7\tAssociation\tD001241\tD006073\tNovel"],
    ids=["three fields, as in BC5CDR", "four, as in BioRED"],
)
def test_relations_are_passed_over(tmp_path, line):
    with_it, without = (
        pubtator(tmp_path / "a", TITLE, DRUG, line),
        pubtator(tmp_path / "b", TITLE, DRUG),
    )
    assert [s[1:] for s in read(with_it, "pubtator")] == [s[1:] for s in read(without, "pubtator")]


@pytest.mark.parametrize(
    ("line", "found", "remedy"),
    [
        (
            "8\t0\t7\tAspirin\tDrug",
            "a line of document '8'; expected a line of document 7",
            "Separate documents by a blank line.",
        ),
        (
            "8|a|Ill.",
            "a line of document '8'; expected a line of document 7",
            "Separate documents by a blank line.",
        ),
        ("7|a|Again.", "'7|a|Again.'; expected one title, one abstract", "Mend the line."),
        ("7|t|Again.", "'7|t|Again.'; expected one title, one abstract", "Mend the line."),
        ("7|i|More.", "another passage, '7|i|More.'; expected one title, one abs", "Give each"),
        ("7\t0", "'7\\t0'; expected one title, one abstract", "Mend the line."),
        (
            "7\t0\tx\tAspirin\tDrug\tD1",
            "'7\\t0\\tx\\tAspirin\\tDrug\\tD1'; expected one title, one abstract",
            "Mend the line.",
        ),
        ("7 0 7 Aspirin Drug", "blanks between columns; expected tabs", "Put tabs between"),
        ("7  CID  D1  D2", "blanks between columns; expected tabs", "Put tabs between"),
    ],
    ids=[
        "another document",
        "another abstract",
        "second abstract",
        "second title",
        "another passage",
        "cut off",
        "offset",
        "spaces",
        "spaces in a relation",
    ],
)
def test_a_line_that_is_none_of_a_document_is_named_by_file_and_line(tmp_path, line, found, remedy):
    path = pubtator(tmp_path, TITLE, ABSTRACT, DRUG, line)
    message = refusal(path, "pubtator")
    assert message.startswith(f"{path}:4: found {found}")
    assert remedy in message


@pytest.mark.parametrize(
    "line",
    ["7\t0\t7\tAspirin", "7\t-1\t7\tAspirin\tDrug", "7\t0.0\t7.0\tAspirin\tDrug"],
    ids=["no type", "negative offset", "offset with a point"],
)
def test_an_annotation_that_lacks_something_is_no_relation(tmp_path, line):
    path = pubtator(tmp_path, TITLE, ABSTRACT, line)
    assert refusal(path, "pubtator").startswith(f"{path}:3: ")


def test_an_annotation_without_a_type_is_named_by_its_line(tmp_path):
    path = pubtator(tmp_path, TITLE, ABSTRACT, "7\t0\t7\tAspirin\t")
    assert refusal(path, "pubtator").startswith(f"{path}:3: found an annotation without a type")


def test_a_type_of_two_words_becomes_one(tmp_path):
    path = pubtator(tmp_path, TITLE, ABSTRACT, "7\t0\t7\tAspirin\tTwo words")
    assert read(path, "pubtator")[0].tags[0] == "B-Two_words"


def test_a_document_that_is_there_twice_is_refused(tmp_path):
    path = pubtator(tmp_path, TITLE, ABSTRACT, "", TITLE, ABSTRACT)
    assert refusal(path, "pubtator").startswith(f"{path}:4: ")


@pytest.mark.parametrize(
    ("lines", "line", "found"),
    [
        (["<collection>", "<document>"], 1, "'<collection>'"),
        ([ABSTRACT, TITLE], 1, "'7|a|It cures gout.'"),
        ([TITLE, "", DRUG], 3, "'7\\t0\\t7\\tAspirin"),
    ],
    ids=["XML", "abstract first", "blank line before annotations"],
)
def test_a_document_without_a_title_is_named_by_file_and_line(tmp_path, lines, line, found):
    path = pubtator(tmp_path, *lines)
    message = refusal(path, "pubtator")
    assert message.startswith(f"{path}:{line}: found {found}")
    assert "expected a title, `id|t|text`" in message


def test_a_file_in_another_encoding_is_named_by_line(tmp_path):
    path = write(tmp_path / "raw.txt", f"{TITLE}\n7|a|na\u00efve".encode("latin-1"))
    assert refusal(path, "pubtator").startswith(f"{path}:2: found bytes that are not UTF-8")


@pytest.mark.parametrize(
    ("line", "kind", "found"),
    [
        (
            "7\t1\t8\tAspirin\tDrug",
            "text-mismatch",
            "the annotation 'Aspirin' at 1 to 8 of 7; expected 'spirin '",
        ),
        (
            "7\t90\t97\tAspirin\tDrug",
            "outside",
            "the annotation 90 to 97 of 7; expected a start before its end inside 0 to 17, 18",
        ),
        (
            "7\t12\t20\tgout. It\tDrug",
            "crosses-passages",
            "the annotation 12 to 20 over 2 passages of 7",
        ),
        (
            "7\t0\t11\tAspirin and\tDrug",
            "overlap",
            "the annotations 0 to 7 (Drug) and 0 to 11 (Drug) of 7",
        ),
    ],
)
def test_broken_offsets_are_refused_or_listed_with_the_line_of_the_annotation(
    tmp_path, line, kind, found
):
    path = pubtator(tmp_path, TITLE, ABSTRACT, GOUT, *([DRUG] if kind == "overlap" else []), line)
    place = 4  # of the loser: the annotation itself, or the shorter one it overlaps
    message = refusal(path, "pubtator")
    assert message.startswith(f"{path}:{place}: found {found}")
    assert "`on_error: repair`" in message
    sentences, (change,) = mended(path, "pubtator")
    assert (change.where, change.document, change.kind) == (f"raw.txt:{place}", "7", kind)
    assert "B-Disease" in sentences[1].tags

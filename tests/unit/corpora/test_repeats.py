"""The same document twice: left out and listed, or joined if its text is another."""

import json

import pytest

from bioner.corpora.changes import ARTEFACTS, REPAIRS, Changes
from bioner.corpora.fates import fates_of
from tests.unit.corpora.readers import mended, read, refusal, words_and_tags, write


def pubtator(*documents):
    return "\n\n".join(documents) + "\n"


def dygie(*records):
    return "".join(
        json.dumps({"doc_key": key, "sentences": [words.split()], "ner": [[[0, 0, type_]]]}) + "\n"
        for key, words, type_ in records
    )


def jsonl(*records):
    return "".join(
        json.dumps({"doc": doc, "tokens": words.split(), "tags": tags.split()}) + "\n"
        for doc, words, tags in records
    )


GOUT = "1|t|Gout again\n1|a|Ill .\n1\t0\t4\tGout\tA"
OTHER = "2|t|Gout again\n2|a|Ill ."
SECOND = "1|t|Mice\n1|a|So ill .\n1\t8\t11\till\tA"
# In each format a document, another between, and the first one again; the line of the second.
TWICE = {
    "pubtator": (pubtator(GOUT, OTHER, GOUT), 1, 8),
    "inline": ("# 1\n{A|Gout} again\n# 2\nIll\n# 1\n{A|Gout} again\n", 2, 6),
    "jsonl": (jsonl(("1", "Gout so", "B-A O"), ("2", "Ill", "O"), ("1", "Gout so", "B-A O")), 1, 3),
    "dygie": (dygie(("1", "Gout again", "A"), ("1", "Gout again", "A"), ("2", "Ill", "A")), 1, 2),
}


@pytest.mark.parametrize("form", TWICE)
def test_a_document_that_comes_again_is_left_out_and_listed_or_refused_with_both_places(
    tmp_path, form
):
    content, first, again = TWICE[form]
    path = write(tmp_path / "raw", content)
    assert refusal(path, form) == (
        f"{path}:{again}: found document 1 again, first at {path}:{first}; expected each document"
        f" once. Mend the file, or set `on_error: repair` in the catalogue:"
        f" {REPAIRS['duplicate-document']}."
    )
    sentences, (change,) = mended(path, form)
    assert [sentence.document for sentence in sentences].count("1") == 1 + (form == "pubtator")
    assert change[1:4] == (f"raw:{again}", "1", "duplicate-document")


@pytest.mark.parametrize("form", ["pubtator", "dygie"])
def test_annotations_of_a_repetition_are_neither_found_nor_lost(tmp_path, form):
    changes = Changes("repair")
    read(write(tmp_path / "raw", TWICE[form][0]), form, changes)
    assert fates_of(changes, "", 0).found == {"pubtator": 1, "dygie": 2}[form]
    assert fates_of(changes, "", 0).lost == 0


JOINED = {
    "pubtator": pubtator(GOUT, OTHER, SECOND),
    "inline": "# 1\n{A|Gout} again\nIll .\n# 2\nIll\n# 1\nMice\nSo {A|ill} .\n",
    "jsonl": jsonl(
        ("1", "Gout again", "B-A O"),
        ("2", "Ill", "O"),
        ("1", "Mice", "O"),
        ("1", "So ill", "O B-A"),
    ),
}


@pytest.mark.parametrize("on_error", ["fail", "repair"])
@pytest.mark.parametrize("form", JOINED)
def test_another_text_under_an_id_belongs_to_the_document_in_order(tmp_path, form, on_error):
    changes = Changes(on_error)
    sentences = read(write(tmp_path / "raw", JOINED[form]), form, changes)
    of_first = [words_and_tags(sentence) for sentence in sentences if sentence.document == "1"]
    assert (of_first[0], of_first[-1][:9]) == ("Gout/B-A again", "So ill/B-")
    (change,) = changes.listed
    assert (change.document, change.kind) == ("1", "joined-document")
    assert change.result == ARTEFACTS["joined-document"]


def test_a_passage_per_block_is_a_document_of_many_blocks(tmp_path):
    """Fifty ids in 3,400 blocks are a real corpus; their offsets begin in each block anew."""
    blocks = [f"{n % 50}|t|Gout {n}\n{n % 50}|a|\n{n % 50}\t0\t4\tGout\tA" for n in range(3400)]
    changes = Changes()
    sentences = read(write(tmp_path / "raw", pubtator(*blocks)), "pubtator", changes)
    assert len(sentences) == 3400
    assert len({sentence.document for sentence in sentences}) == 50
    assert changes.counts("") == {"joined-document": 3350}
    assert changes.found == {"": 3400}


def test_passages_of_one_document_may_be_the_same(tmp_path):
    """A heading or a cell of a table may come twice, and be annotated once."""
    blocks = ["1|t|Gout\n1\t0\t4\tGout\tA", "1|t|Methods", "1|t|Methods", "1|t|Gout", OTHER]
    changes = Changes()
    sentences = read(write(tmp_path / "raw", pubtator(*blocks)), "pubtator", changes)
    of_first = [words_and_tags(sentence) for sentence in sentences if sentence.document == "1"]
    assert of_first == ["Gout/B-A", "Methods", "Methods", "Gout"]
    assert changes.counts("") == {"joined-document": 3}


def test_sentences_of_one_dygie_document_may_be_the_same(tmp_path):
    path = write(tmp_path / "raw", dygie(*((1, words, "A") for words in ("Ill", "Gout", "Ill"))))
    assert [s.tokens for s in read(path, "dygie")] == [["Ill"], ["Gout"], ["Ill"]]


def test_a_document_of_several_blocks_may_come_again_as_a_whole(tmp_path):
    blocks = ["1|t|Gout\n1\t0\t4\tGout\tA", "1|t|Methods"]
    for content, again in (([*blocks, *blocks], 6), ([*blocks, OTHER, *blocks], 9)):
        path = write(tmp_path / "raw", pubtator(*content))
        assert refusal(path, "pubtator").startswith(
            f"{path}:{again}: found document 1 again, first at {path}:1"
        )
        sentences, listed = mended(path, "pubtator")
        assert [sentence.document for sentence in sentences].count("1") == 2
        assert [change.kind for change in listed] == ["joined-document", "duplicate-document"]


def test_sentences_of_a_gliner_document_may_be_the_same_but_not_the_document(tmp_path):
    same = {"tokenized_text": ["Methods"], "ner": [], "doc_id": "1"}
    other = {"tokenized_text": ["Gout"], "ner": [[0, 0, "A"]], "doc_id": "1"}
    document = [same, other, same]
    path = write(tmp_path / "raw", json.dumps(document))
    assert [words_and_tags(s) for s in read(path, "spans")] == ["Methods", "Gout/B-A", "Methods"]
    between = {"tokenized_text": ["Ill"], "ner": [], "doc_id": "2"}
    write(path, json.dumps([same, other, same, other]))
    assert f"object 3: found document 1 again, first at {path}: object 1;" in refusal(path, "spans")
    write(path, json.dumps([*document, between, *document]))
    assert f"object 5: found document 1 again, first at {path}: object 1;" in refusal(path, "spans")
    changes = Changes("repair")
    assert len(read(path, "spans", changes)) == 4
    assert (changes.counts(""), changes.found) == ({"duplicate-document": 1}, {"": 1})


@pytest.mark.parametrize("on_error", ["fail", "repair"])
@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("pubtator", pubtator(GOUT, GOUT.replace("\t4\tGout", "\t10\tGout again"))),
        ("jsonl", jsonl(("1", "Gout", "B-A"), ("2", "Ill", "O"), ("1", "Gout", "O"))),
        ("dygie", dygie(("1", "Gout again", "A"), ("1", "Gout again", "B"))),
    ],
)
def test_one_text_with_two_sets_of_annotations_is_refused(tmp_path, form, content, on_error):
    path = write(tmp_path / "raw", content)
    message = refusal(path, form, Changes(on_error))
    assert f": found document 1 again, with annotations other than at {path}:1; expected" in message


def test_documents_without_ids_may_repeat(tmp_path):
    """Numbers of `-DOCSTART-` lines are no ids, and sentences alone are no documents."""
    text = "-DOCSTART-\n\nGout\tB-A\n\n-DOCSTART-\n\nGout\tB-A\n"
    assert len(read(write(tmp_path / "raw", text), "conll")) == 2
    assert len(read(write(tmp_path / "raw", "Gout\tB-A\n\nGout\tB-A\n"), "conll")) == 2


def test_a_closed_corpus_shows_no_id(tmp_path):
    path = write(tmp_path / "raw", pubtator(GOUT.replace("1", "Ann"), GOUT.replace("1", "Ann")))
    assert "found a document again, first at" in refusal(path, "pubtator", Changes(quote=False))

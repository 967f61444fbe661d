"""Offsets of other units and shifts: named and refused; single errors are left to the repair."""

import json
import unicodedata

import pytest

from bioner.corpora.changes import Changes
from bioner.corpora.offsets import check_offsets
from bioner.corpora.readers.standoff import Annotation, Document, Passage
from bioner.errors import InputError
from tests.unit.corpora.readers import mended, read, refusal, words_and_tags, write

# Greek (two bytes, one UTF-16 unit), an emoji (four, two), a combining diaeresis, line ends.
TITLE = "TNF-α and 😀 in Sjo\u0308gren disease"
ABSTRACT = "The β-cell of mice\r\nhas gout 😀 and\r\nrenal failure ."
MENTIONS = ["TNF-α", "Sjo\u0308gren disease", "β-cell", "gout", "renal failure"]
WHOLE = f"{TITLE} {ABSTRACT}"


def bytes_of(text):
    return len(text.encode())


def utf16_of(text):
    return len(text.encode("utf-16-le")) // 2


def documents(place, number=4, text=True, stated=len):
    """Documents whose annotations are at `place(start, end)`, passages where `stated` counts."""
    second = stated(f"{TITLE} ")
    found = []
    for n in range(number):
        annotations = []
        for mention in MENTIONS:
            start = WHOLE.index(mention)
            first, end = place(start, start + len(mention))
            home = second if start > len(TITLE) else 0
            where = f"f:{len(annotations)}"
            annotations.append(Annotation(where, first, end, "A", mention if text else "", home))
        found.append(
            Document("f:1", str(n), [Passage(0, TITLE), Passage(second, ABSTRACT)], annotations)
        )
    return found


def counted(length):
    return lambda start, end: (length(WHOLE[:start]), length(WHOLE[:end]))


def shifted(first, second):
    return lambda start, end: (start + first, end + second)


def moved_abstract(by):
    def place(start, end):
        more = by if start > len(TITLE) else 0
        return start + more, end + more

    return place


READINGS = {
    "like UTF-8 bytes": counted(bytes_of),
    "like UTF-16 code units": counted(utf16_of),
    "relative to their passage": moved_abstract(-len(TITLE) - 1),
    "off by one, counted from 1": shifted(1, 1),
    "off by one, too small": lambda start, end: (start - 1, end - 1),
    "off by one, the end is the last character": shifted(0, -1),
    "off by one, counted from 1 and the end is the last character": shifted(1, 0),
    "counted without a character between passages": moved_abstract(-1),
    "counted with one more character between passages": moved_abstract(1),
    "counted with LF line ends": counted(lambda text: len(text.replace("\r\n", "\n"))),
    "counted in text of the form NFC": counted(
        lambda text: len(unicodedata.normalize("NFC", text))
    ),
}


def told(*arguments, **keys):
    with pytest.raises(InputError) as caught:
        check_offsets(documents(*arguments, **keys))
    return str(caught.value)


@pytest.mark.parametrize("text", [True, False], ids=["with text", "without"])
@pytest.mark.parametrize("name", READINGS)
def test_a_shift_of_all_annotations_is_named_and_refused(name, text):
    message = told(READINGS[name], text=text)
    assert f"found offsets that look {name}: read that way, " in message
    assert message.endswith(
        "expected offsets in characters of the document. Convert the offsets, or remake the file."
    )


@pytest.mark.parametrize("text", [True, False], ids=["with text", "without"])
def test_passages_may_begin_where_the_other_units_have_them(text):
    assert "look like UTF-8 bytes" in told(counted(bytes_of), text=text, stated=bytes_of)
    assert "look like UTF-16" in told(counted(utf16_of), text=text, stated=utf16_of)


def test_line_ends_of_windows_may_be_counted_where_the_file_has_none():
    text = "One .\nTwo has gout .\n\nThree has gout , too ."
    second = text.index("Three")
    passages = [Passage(0, text[: second - 2]), Passage(second, text[second:])]
    windows = text.replace("\n", "\r\n")
    places = [windows.index("gout"), windows.rindex("gout")]
    annotations = [Annotation("f:1", start, start + 4, "A", "gout") for start in places]
    with pytest.raises(InputError, match="look counted with CRLF line ends: read that way, 2 of 2"):
        check_offsets([Document("f:1", "d", passages, annotations)])


@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["LF counts CRLF", "CRLF counts LF"])
def test_paragraphs_of_brat_may_have_other_line_ends_than_were_counted(tmp_path, ends):
    """Two gaps, so that the third paragraph is off by both."""
    text = "One .\n\nTwo has gout .\n\nThree has gout ."
    counted_in = text.replace("\n", "\r\n" if ends == "\n" else "\n")
    write(tmp_path / "a.txt", text.replace("\n", ends))
    starts = [counted_in.index("gout"), counted_in.rindex("gout")]
    lines = [f"T{start}\tA {start} {start + 4}\tgout" for start in starts]
    write(tmp_path / "a.ann", "\n".join(lines))
    other = "CRLF" if ends == "\n" else "LF"
    assert f"look counted with {other} line ends: read that way, 2 of 2" in refusal(
        tmp_path, "brat"
    )


def test_decomposed_letters_may_be_counted_where_the_text_has_composed_ones():
    text = "α in Sjögren and Sjögren and Sjögren"
    starts = [unicodedata.normalize("NFD", text).index("Sjo", n) for n in (6, 20)]
    annotations = [
        Annotation("f:1", start, start + 8, "A", unicodedata.normalize("NFD", "Sjögren"))
        for start in starts
    ]
    with pytest.raises(
        InputError, match="look counted in text of the form NFD: read that way, 2 of 2"
    ):
        check_offsets([Document("f:1", "d", [Passage(0, text)], annotations)])


@pytest.mark.parametrize("gap", [0, 1, 2])
def test_offsets_may_run_on_over_the_blocks_of_a_document(gap):
    """A document of several blocks has its offsets in each; other documents begin anew."""
    texts = ["Gout and fever", "Methods", "Aspirin for gout , not fever"]
    blocks, begin = [], 0
    for text in texts:
        words = [word for word in ("gout", "fever") if word in text]
        places = [(begin + text.index(word), word) for word in words]
        annotations = [Annotation("f:1", n, n + len(word), "A", word) for n, word in places]
        blocks.append(Document("f:1", "1", [Passage(0, text)], annotations))
        begin += len(text) + gap
    right = [Annotation("f:2", 0, 4, "A", "Gout")]
    other = Document("f:2", "2", [Passage(0, "Gout again")], right)
    with pytest.raises(InputError, match="over all blocks of a document: read that way, 4 of 4"):
        check_offsets([*blocks, other])


def test_a_combining_character_is_no_end_of_a_word():
    """Ends one too small, in a text whose last letters have an accent of their own."""
    text = "cafe\u0301 , gute\u0301 , rose\u0301 ."
    starts = [text.index(word) for word in ("cafe", "gute", "rose")]
    annotations = [Annotation("f:1", start, start + 4, "A", "") for start in starts]
    with pytest.raises(InputError, match="look off by one, the end is the last character"):
        check_offsets([Document("f:1", "d", [Passage(0, text)], annotations)])


@pytest.mark.parametrize("text", [True, False], ids=["with text", "without"])
def test_right_offsets_are_no_shift(text):
    check_offsets(documents(shifted(0, 0), text=text))


def test_the_first_place_is_one_that_the_reading_explains():
    message = told(counted(bytes_of))
    assert message.startswith(
        "f:0: found offsets that look like UTF-8 bytes: read that way, 20 of 20 "
    )
    assert "match the text, and 0 as they stand" in message


@pytest.mark.parametrize("bad", [1, 10])
def test_a_few_shifted_ones_among_many_are_no_shift(bad):
    """They agree under one reading, but nothing else does."""
    many = documents(shifted(0, 0), number=200)
    for document in many[:bad]:
        first = document.annotations[0]
        document.annotations[0] = first._replace(start=first.start + 1, end=first.end + 1)
    check_offsets(many)


def test_bytes_are_named_even_if_most_of_a_split_is_ascii():
    plain = [
        Document(f"f:{n}", str(n), [Passage(0, "gout")], [Annotation(f"f:{n}", 0, 4, "A", "gout")])
        for n in range(500)
    ]
    with pytest.raises(
        InputError, match=r"UTF-8 bytes: read that way, 505 of 505 .*, and 500 as they stand"
    ):
        check_offsets(plain + documents(counted(bytes_of), number=1))


@pytest.mark.parametrize(("bad", "named"), [(1, True), (2, False)])
def test_a_reading_may_leave_a_tenth_unexplained(bad, named):
    """Of 14 annotations, 8 agree anyway and 5 as bytes; one more may be wrong in itself."""
    texts = ["gout"] * 8 + ["mice"] * bad
    plain = [
        Document(f"f:{n}", str(n), [Passage(0, "gout")], [Annotation(f"f:{n}", 0, 4, "A", text)])
        for n, text in enumerate(texts)
    ]
    split = plain + documents(counted(bytes_of), number=1)
    if named:
        with pytest.raises(InputError, match="UTF-8 bytes: read that way, 13 of 14"):
            check_offsets(split)
    else:
        check_offsets(split)


def test_a_reading_has_to_explain_two_more_than_the_plain_one():
    """One annotation that agrees as it stands, one that another reading would explain."""
    both = [Annotation("f:1", 0, 4, "A", "Gout"), Annotation("f:2", 9, 13, "A", "gout")]
    check_offsets([Document("f:1", "d", [Passage(0, "Gout or gout .")], both)])
    with pytest.raises(InputError, match="look off by one"):
        check_offsets([Document("f:1", "d", [Passage(0, "Gout or gout .")], both[1:] * 2)])


def test_offsets_without_text_that_fit_no_words_are_refused_even_if_no_reading_explains_them():
    passage = Passage(0, "abcdefgh " * 20)

    def words(astray, number=20):
        shifts = [3 * (n < astray) for n in range(number)]
        places = [(9 * n + by, 9 * n + 8 - by) for n, by in enumerate(shifts)]
        marked = [Annotation(f"f:{n}", *place, "A", "") for n, place in enumerate(places)]
        return [Document("f:1", "d", [passage], marked)]

    check_offsets(words(astray=2))
    with pytest.raises(InputError, match="f:0: found 3 of 20 annotations without text that begin"):
        check_offsets(words(astray=3))
    check_offsets(words(astray=3, number=9))  # too few to prove anything


def test_no_mention_ends_before_a_combining_mark():
    """Ends that are the last characters: two before a letter's accent, two inside a word."""
    passage = Passage(0, "cafe\u0301 with gout and cafe\u0301 or gout")
    marked = [
        Annotation(f"f:{start}", start, end, "A", "")
        for start, end in ((0, 4), (11, 14), (20, 24), (29, 32))
    ]
    with pytest.raises(InputError, match=r"the end is the last character: .*, and 0 as they stand"):
        check_offsets([Document("f:1", "d", [passage], marked)])


def bioc(tmp_path, shift, text=None):
    """Aspirin and gout at their places plus `shift`."""
    annotations = [
        {
            "id": str(start),
            "infons": {"type": "A"},
            "locations": [{"offset": start + shift, "length": length}],
        }
        | ({"text": text} if text else {})
        for start, length in ((4, 7), (18, 4))
    ]
    passage = {"offset": 0, "text": "Has Aspirin eased gout .", "annotations": annotations}
    content = {"documents": [{"id": "7", "passages": [passage]}]}
    return write(tmp_path / "raw.json", json.dumps(content))


@pytest.mark.parametrize("on_error", ["fail", "repair"])
def test_two_annotations_of_bioc_without_text_are_kept_or_refused_and_never_lost(
    tmp_path, on_error
):
    (sentence,) = read(bioc(tmp_path, 0), "bioc-json", Changes(on_error))
    assert words_and_tags(sentence) == "Has Aspirin/B-A eased gout/B-A ."
    message = refusal(bioc(tmp_path, -1), "bioc-json", Changes(on_error))
    assert "document 7, annotation 4: found offsets that look off by one, too small" in message


def test_offsets_of_bioc_from_the_passage_are_named_by_the_passages_that_list_them(tmp_path):
    """The third would fit words of any passage."""
    texts = ["Gout in mice .", "So gout came .", "A gout ."]
    passages, offset = [], 0
    for text in texts:
        place = {"offset": text.lower().index("gout"), "length": 4}
        annotation = {"id": "1", "infons": {"type": "A"}, "locations": [place]}
        passages.append({"offset": offset, "text": text, "annotations": [annotation]})
        offset += len(text) + 1
    content = json.dumps({"documents": [{"id": "7", "passages": passages}]})
    message = refusal(write(tmp_path / "raw.json", content), "bioc-json")
    assert "found offsets that look relative to their passage: read that way, 3 of 3" in message


@pytest.mark.parametrize("form", ["title", "abstract"])
def test_pubtator_with_ten_bad_ones_of_a_thousand_is_repaired_and_listed(tmp_path, form):
    lines = []
    for n in range(500):
        title, abstract = "Gout in α mice .", "No gout ."
        places = [[0, 4, "Gout"], [20, 24, "gout"]]
        if n < 10:
            place = places[form == "abstract"]
            place[0], place[1] = place[0] + 1, place[1] + 1
        lines += [f"{n}|t|{title}", f"{n}|a|{abstract}"]
        lines += ["\t".join(map(str, [n, *place, "A"])) for place in places]
        lines.append("")
    sentences, changes = mended(write(tmp_path / "raw.txt", "\n".join(lines)), "pubtator")
    assert sum(tag == "B-A" for sentence in sentences for tag in sentence.tags) == 990
    assert [change.kind for change in changes] == ["text-mismatch"] * 10

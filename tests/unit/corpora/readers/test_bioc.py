"""BioC collections: the same documents in XML and JSON, and what neither may contain."""

import gzip
import json

import pytest

from tests.unit.corpora.readers import mended, read, refusal, words_and_tags, write

FORMS = ["bioc-xml", "bioc-json"]


def annotation(offset, length, text, type_="Drug", identity="T1"):
    pieces = (
        [(offset, length)] if isinstance(offset, int) else list(zip(offset, length, strict=True))
    )
    locations = [{"offset": start, "length": many} for start, many in pieces]
    return {"id": identity, "infons": {"type": type_}, "text": text, "locations": locations}


def passage(offset, text, *annotations, sentences=()):
    return {
        "offset": offset,
        "text": text,
        "annotations": list(annotations),
        "sentences": list(sentences),
    }


def document(*passages, identity="7", annotations=()):
    return {"id": identity, "passages": list(passages), "annotations": list(annotations)}


def collection(tmp_path, form, *documents):
    if form == "bioc-json":
        return write(tmp_path / "raw.json", json.dumps({"source": "x", "documents": documents}))
    return write(tmp_path / "raw.xml", xml("".join(map(document_xml, documents))))


def xml(body, head=""):
    """A collection whose `body` begins in line 3."""
    return (
        '<?xml version="1.0"'
        f' encoding="UTF-8"?>{head}\n<collection><source>x</source>\n{body}</collection>\n'
    )


def document_xml(content):
    passages = "".join(
        f"<passage>\n{stretch_xml(stretch)}</passage>\n" for stretch in content["passages"]
    )
    rest = "".join(map(annotation_xml, content["annotations"]))
    return f"<document><id>{content['id']}</id>\n{passages}{rest}</document>\n"


def stretch_xml(content):
    text = "" if content["text"] is None else f"<text>{content['text']}</text>"
    sentences = "".join(
        f"<sentence>{stretch_xml(sentence)}</sentence>" for sentence in content["sentences"]
    )
    annotations = "".join(map(annotation_xml, content["annotations"]))
    return f"<offset>{content['offset']}</offset>{text}{sentences}\n{annotations}"


def annotation_xml(content):
    locations = "".join(
        f'<location offset="{at["offset"]}" length="{at["length"]}"/>'
        for at in content["locations"]
    )
    infon = f'<infon key="type">{content["infons"]["type"]}</infon>'
    return (
        "<annotation"
        f' id="{content["id"]}">{infon}{locations}<text>{content["text"]}</text></annotation>\n'
    )


TITLE = passage(0, "Aspirin and gout.", annotation(0, 7, "Aspirin"))
ABSTRACT = passage(18, "It cures gout.", annotation(27, 4, "gout", "Disease"))


@pytest.mark.parametrize("form", FORMS)
def test_passages_are_instances_and_offsets_those_of_the_document(tmp_path, form):
    path = collection(
        tmp_path, form, document(TITLE, ABSTRACT), document(passage(0, "Sick."), identity="8")
    )
    sentences = read(path, form)
    assert [(sentence.document, words_and_tags(sentence)) for sentence in sentences] == [
        ("7", "Aspirin/B-Drug and gout ."),
        ("7", "It cures gout/B-Disease ."),
        ("8", "Sick ."),
    ]


def test_a_collection_among_others_may_be_empty(tmp_path):
    collections = [{"documents": []}, {"documents": [document(TITLE)]}]
    path = write(tmp_path / "raw.json", json.dumps(collections))
    assert [sentence.document for sentence in read(path, "bioc-json")] == ["7"]


@pytest.mark.parametrize("form", FORMS)
def test_the_text_may_stand_in_sentences_and_annotations_anywhere(tmp_path, form):
    first = passage(0, "It helps.")
    second = passage(10, "Aspirin too.", annotation(10, 7, "Aspirin"))
    whole = document(
        passage(0, None, sentences=[first, second]), annotations=[annotation(3, 5, "helps", "Act")]
    )
    assert [words_and_tags(s) for s in read(collection(tmp_path, form, whole), form)] == [
        "It helps/B-Act .",
        "Aspirin/B-Drug too .",
    ]


@pytest.mark.parametrize("form", FORMS)
def test_a_text_that_stands_in_the_passage_and_in_its_sentences_counts_once(tmp_path, form):
    sentence = passage(0, "Aspirin helps.", annotation(0, 7, "Aspirin"))
    path = collection(tmp_path, form, document(passage(0, "Aspirin helps.", sentences=[sentence])))
    assert [words_and_tags(s) for s in read(path, form)] == ["Aspirin/B-Drug helps ."]


@pytest.mark.parametrize("form", FORMS)
def test_pieces_that_only_white_space_separates_are_one_span(tmp_path, form):
    pieces = annotation((8, 0), (7, 5), "renal failure")
    path = collection(tmp_path, form, document(passage(0, "renal   failure", pieces)))
    assert [words_and_tags(s) for s in read(path, form)] == ["renal/B-Drug failure/I-Drug"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "spanning",
    [annotation(5, 8, "gout. It"), annotation((5, 11), (5, 2), "gout. It")],
    ids=["one location", "a location per sentence"],
)
def test_sentences_that_an_annotation_spans_are_one_passage(tmp_path, form, spanning):
    """The offsets leave one character between the sentences, which is taken for a blank."""
    sentences = [passage(0, "Late gout."), passage(11, "It hurts."), passage(21, "It ends.")]
    path = collection(tmp_path, form, document(passage(0, None, spanning, sentences=sentences)))
    assert [words_and_tags(s) for s in read(path, form)] == [
        "Late gout/B-Drug ./I-Drug It/I-Drug hurts .",
        "It ends .",
    ]


@pytest.mark.parametrize("form", FORMS)
def test_sentences_may_follow_without_a_gap(tmp_path, form):
    spanning = annotation(5, 6, "gout.I")
    sentences = [passage(0, "Late gout."), passage(10, "It hurts.")]
    path = collection(tmp_path, form, document(passage(0, None, spanning, sentences=sentences)))
    assert len(read(path, form)) == 1


@pytest.mark.parametrize("form", FORMS)
def test_an_annotation_in_passages_that_overlap_is_refused_or_listed(tmp_path, form):
    """Every passage begins at 0: whose text an annotation marks cannot be known."""
    first, second = passage(0, "Aspirin helps."), passage(0, "It cures.", annotation(0, 2, "It"))
    path = collection(tmp_path, form, document(first, second))
    assert (
        ": found the annotation 0 to 2 in passages that overlap; expected offsets of passages that"
        " count over the whole document."
    ) in refusal(path, form)
    _, (change,) = mended(path, form)
    assert (change.kind, change.text) == ("crosses-passages", "It")


@pytest.mark.parametrize("form", FORMS)
def test_the_type_may_stand_in_another_infon(tmp_path, form):
    path = collection(tmp_path, form, document(TITLE))
    other = path.with_name(f"other{path.suffix}")
    other.write_text(path.read_text().replace('"type"', '"entity_type"'))
    [first] = read(other, form, type_key="entity_type")
    assert words_and_tags(first) == "Aspirin/B-Drug and gout ."
    assert (
        ": found no infon type; expected the annotation's type. Set `type_key`; the infons here"
        " are entity_type." in refusal(other, form)
    )


@pytest.mark.parametrize(
    "form",
    [
        lambda a, b: json.dumps({"PubTator3": [a, b]}),
        lambda a, b: json.dumps({"documents": [a, b]}, indent=1),
        lambda a, b: json.dumps([a, b], indent=1),
        lambda a, b: json.dumps([{"documents": [a]}, {"documents": [b]}]),
        lambda a, b: f"{json.dumps(a)}\n{json.dumps(b)}\n",
        lambda a, b: f"{json.dumps({'documents': [a]})}\n\n{json.dumps({'documents': [b]})}",
        lambda a, b: f"{json.dumps([a])}\n{json.dumps([b])}\n",
    ],
    ids=[
        *("PubTator 3", "collection", "list of documents", "list of collections"),
        *("document per line", "collection per line", "list per line"),
    ],
)
def test_json_holds_documents_in_every_form_in_use(tmp_path, form):
    content = form(document(TITLE), document(passage(0, "Sick."), identity=8))
    path = write(tmp_path / "raw.json", content)
    assert [(s.document, words_and_tags(s)) for s in read(path, "bioc-json")] == [
        ("7", "Aspirin/B-Drug and gout ."),
        ("8", "Sick ."),
    ]


def test_a_document_on_a_line_of_its_own_is_named_by_its_line(tmp_path):
    broken = document(passage(0, "Sick.", annotation(0, 4, "Well")), identity="8")
    content = f"{json.dumps(document(TITLE))}\n{json.dumps(broken)}\n"
    path = write(tmp_path / "raw.json", content)
    assert refusal(path, "bioc-json").startswith(f"{path}:2, annotation T1: found the annotation")


def test_keys_that_bioc_does_not_have_are_skipped(tmp_path):
    more = {"where": 7, "score": 0.9}
    path = collection(tmp_path, "bioc-json", document(TITLE | more) | more)
    marked = annotation(0, 7, "Late", "Drug") | more
    assert [words_and_tags(s) for s in read(path, "bioc-json")] == ["Aspirin/B-Drug and gout ."]
    path = collection(tmp_path, "bioc-json", document(passage(0, "Aspirin", marked)))
    assert refusal(path, "bioc-json").startswith(f"{path}: document 7, annotation T1: found")


@pytest.mark.parametrize("form", FORMS)
def test_an_annotation_in_pieces_is_refused_or_left_out_and_listed(tmp_path, form):
    whole = passage(
        0,
        "left and right arm",
        annotation((9, 0), (9, 4), "left right arm"),
        annotation(5, 3, "and"),
    )
    path = collection(tmp_path, form, document(whole))
    message = refusal(path, form)
    assert ": found an annotation in 2 pieces; expected one stretch of text. " in message
    assert "`on_error: repair`" in message
    sentences, (change,) = mended(path, form)
    assert (change.kind, change.start, change.end, change.text) == (
        "discontinuous",
        0,
        18,
        "left right arm",
    )
    assert [words_and_tags(sentence) for sentence in sentences] == ["left and/B-Drug right arm"]


BROKEN = [
    (
        annotation(0, 7, "gout"),
        "text-mismatch",
        "the annotation 'gout' at 0 to 7 of 7; expected 'Aspirin'",
    ),
    (
        annotation(7, 1, ""),
        "text-mismatch",
        "the annotation 7 to 8 of 7, which is white space; expected a mention",
    ),
    (
        annotation(90, 7, "Aspirin"),
        "outside",
        "the annotation 90 to 97 of 7; expected a start before its end inside 0 to 17, 18 to",
    ),
    (annotation(0, 0, ""), "outside", "the annotation 0 to 0 of 7"),
    (annotation(-3, 7, "Aspirin"), "outside", "the annotation -3 to 4 of 7"),
    (
        annotation(12, 8, "gout. It"),
        "crosses-passages",
        "the annotation 12 to 20 over 2 passages of 7",
    ),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("broken", "kind", "found"), BROKEN)
def test_broken_offsets_are_refused_or_listed(tmp_path, form, broken, kind, found):
    path = collection(tmp_path, form, document(passage(0, "Aspirin and gout.", broken), ABSTRACT))
    place = f"{path}:6" if form == "bioc-xml" else f"{path}: document 7, annotation T1"
    assert refusal(path, form).startswith(f"{place}: found {found}")
    _, (change,) = mended(path, form)
    assert (change.kind, change.where) == (kind, place.rpartition("/")[2])


@pytest.mark.parametrize("form", FORMS)
def test_an_annotation_without_type_or_location_is_refused(tmp_path, form):
    typeless, nowhere = annotation(0, 7, "Aspirin", ""), annotation((), (), "Aspirin")
    for broken, found in (
        (typeless, "no text as type"),
        (nowhere, "an annotation without infons or locations"),
    ):
        path = collection(tmp_path, form, document(passage(0, "Aspirin", broken)))
        place = f"{path}:6" if form == "bioc-xml" else f"{path}: document 7, annotation T1"
        assert refusal(path, form).startswith(f"{place}: found {found}; ")


@pytest.mark.parametrize("form", FORMS)
def test_a_document_without_text_is_refused_or_listed(tmp_path, form):
    path = collection(tmp_path, form, document(passage(0, " ")), document(TITLE, identity="8"))
    place = f"{path}:3" if form == "bioc-xml" else f"{path}: document 7"
    assert refusal(path, form).startswith(f"{place}: found a document without text")
    sentences, (change,) = mended(path, form)
    assert (change.kind, change.document) == ("empty-document", "7")
    assert [sentence.document for sentence in sentences] == ["8"]


def test_a_document_id_with_a_slash_leaves_the_file_in_the_list_of_changes(tmp_path):
    path = collection(
        tmp_path, "bioc-json", document(passage(0, "Ill", annotation(0, 3, "x")), identity="10.1/x")
    )
    _, (change,) = mended(path, "bioc-json")
    assert change.where == "raw.json: document 10.1/x, annotation T1"


@pytest.mark.parametrize(
    ("content", "place", "found"),
    [
        ('{"documents": [\n{"id": "7", ', ":2", "broken JSON"),
        ("<!DOCTYPE html>\n<html>", "", "an HTML page"),
        ("[" * 100_000, ":1", "broken JSON"),
        ('{"id": "7"}\n{"id": "8"}', ":1", "no list `documents`"),
        ('{"id": "7", "passages": [{"offset": 0, "text": "x"}]}\n{"id": ', ":2", "broken JSON"),
        ('{"id": "7"}', "", "no list `documents`"),
        ('{"documents": {}}', "", "no list `documents`"),
        ("7", "", "no list `documents`"),
        ('[{"passages": []}]', ": document 1", "a document without an id"),
        ('[{"id": "", "passages": []}]', ": document 1", "a document without an id"),
        ("[7]", ": document 1", "no object"),
        ('[{"id": "7"}]', ": document 7", "a broken document"),
        ('[{"id": "7", "passages": [{"text": "x"}]}]', ": document 7", "no number as offset"),
        (
            '[{"id": "7", "passages": [{"text": "x", "offset": null}]}]',
            ": document 7",
            "no number as offset",
        ),
        ('[{"id": "7", "passages": ["x"]}]', ": document 7", "a broken document"),
        ('[{"id": "7", "passages": 7}]', ": document 7", "a broken document"),
        ('[{"id": "7", "passages": [{"annotations": 0}]}]', ": document 7", "a broken document"),
        ('[{"id": "7", "passages": [{"sentences": ""}]}]', ": document 7", "a broken document"),
        (
            '[{"id": "7", "passages": [{"annotations": [{}]}]}]',
            ": document 7, annotation None",
            "an annotation without infons",
        ),
        (
            '[{"id": "7", "passages": [{"annotations": [{"infons": {"type": "A"}}]}]}]',
            ": document 7, annotation None",
            "an annotation without infons or locations",
        ),
        (b'{"documents": [\n"\xef"]}', ":2", "bytes that are not UTF-8"),
    ],
)
def test_a_broken_json_collection_is_named_by_line_or_document(tmp_path, content, place, found):
    path = write(tmp_path / "raw.json", content)
    assert refusal(path, "bioc-json").startswith(f"{path}{place}: found {found}")


@pytest.mark.parametrize(
    "content",
    [
        document(passage(0, 7)),
        document(passage(0, "Ill", annotation(0, 3, 7))),
        document(passage(0, "Ill", annotation(0, 3, "Ill", ["Disease"]))),
    ],
    ids=["text", "annotation's text", "type"],
)
def test_what_is_no_text_where_text_belongs_is_named_by_document(tmp_path, content):
    path = collection(tmp_path, "bioc-json", content)
    assert refusal(path, "bioc-json").startswith(f"{path}: document 7")


def test_half_a_surrogate_pair_is_refused(tmp_path):
    path = collection(tmp_path, "bioc-json", document(passage(0, "ill \ud800 ill")))
    assert refusal(path, "bioc-json").startswith(f"{path}: found half a surrogate pair")


@pytest.mark.parametrize(
    ("content", "place", "found"),
    [
        (xml("<document><id>7</id>\n<passage>")[:60], ":2", "broken XML"),
        (xml("<document><id>7</id>\n<passage></document>"), ":4", "broken XML"),
        ("<html><body>Sign in</body></html>", "", "an HTML page"),
        ('{"documents": []}', ":1", "broken XML"),
        (xml(""), "", "no <document>"),
        (
            xml("\n<document><id>7</id><passage><text>x</text></passage></document>"),
            ":4",
            "no number as offset",
        ),
        (
            xml(
                "<document><id>7</id><passage><offset>x</offset><text>x</text></passage></document>"
            ),
            ":3",
            "no number as offset",
        ),
        (
            xml("<document>\nna\u00efve</document>").encode("latin-1"),
            ":4",
            "bytes that are not UTF-8",
        ),
    ],
    ids=[
        "truncated",
        "tags",
        "HTML",
        "JSON",
        "no document",
        "no offset",
        "offset",
        "Latin-1",
    ],
)
def test_a_broken_xml_collection_is_named_by_file_and_line(tmp_path, content, place, found):
    path = write(tmp_path / "raw.xml", content)
    assert refusal(path, "bioc-xml").startswith(f"{path}{place}: found {found}")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", 1),
        (
            xml(
                "\n<document><id>7</id><passage><offset>0</offset><text>so"
                " &much;</text></passage></document>"
            ),
            4,
        ),
    ],
    ids=["an empty file", "an entity that is not declared"],
)
def test_broken_xml_has_a_line_that_is_there(tmp_path, content, line):
    path = write(tmp_path / "raw.xml", content)
    assert refusal(path, "bioc-xml").startswith(f"{path}:{line}: found broken XML")


@pytest.mark.parametrize("form", FORMS)
def test_a_document_without_an_id_is_refused(tmp_path, form):
    nameless = "<document><passage><offset>0</offset><text>x</text></passage></document>"
    null = json.dumps([document(passage(0, "x"), identity=None)])
    path = write(tmp_path / "raw", xml(nameless) if form == "bioc-xml" else null)
    assert refusal(path, form).startswith(
        f"{path}:3" if form == "bioc-xml" else f"{path}: document "
    )


def one_passage(text, head=""):
    return xml(
        f"<document><id>7</id><passage><offset>0</offset><text>{text}</text></passage></document>",
        head,
    )


def test_external_entities_are_not_followed(tmp_path):
    secret = write(tmp_path / "secret", "SECRETWORD")
    head = f'<!DOCTYPE c [<!ENTITY e SYSTEM "{secret.as_uri()}">]>'
    try:
        told = str(read(write(tmp_path / "raw.xml", one_passage("so &e; ill", head)), "bioc-xml"))
    except Exception as error:
        told = str(error)
    assert "SECRETWORD" not in told


def test_entity_bombs_are_not_set_off(tmp_path):
    """Ten to the tenth letters, were each entity replaced by the ten before it."""
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    head = f'<!DOCTYPE c [<!ENTITY e0 "aaaaaaaaaa">{bomb}]>'
    path = write(tmp_path / "raw.xml", one_passage("so &e9; ill", head))
    assert ": found broken XML" in refusal(path, "bioc-xml")


def test_a_document_type_is_not_fetched(tmp_path):
    path = write(
        tmp_path / "raw.xml", one_passage("so ill", '<!DOCTYPE collection SYSTEM "BioC.dtd">')
    )
    assert [sentence.tokens for sentence in read(path, "bioc-xml")] == [["so", "ill"]]


def test_escaped_characters_count_as_one(tmp_path):
    text = "p &lt; 0.05 &amp; ill"
    found = annotation(11, 3, "ill", "Disease")
    path = collection(tmp_path, "bioc-xml", document(passage(0, text, found)))
    assert words_and_tags(*read(path, "bioc-xml")) == "p < 0.05 & ill/B-Disease"


@pytest.mark.parametrize("inside", ["<sup>2</sup>", "<!-- -->", "&e;"])
def test_a_text_with_anything_but_text_in_it_is_not_cut_short(tmp_path, inside):
    """Either the whole text is read, or the file is refused."""
    path = write(
        tmp_path / "raw.xml", one_passage(f"so {inside} ill", '<!DOCTYPE c [<!ENTITY e "2">]>')
    )
    try:
        (sentence,) = read(path, "bioc-xml")
    except Exception as error:
        assert str(error).startswith(f"{path}:3")
    else:
        assert sentence.tokens[-1] == "ill"


def test_gzipped_xml_is_read_as_the_other_formats_are(tmp_path):
    path = write(tmp_path / "raw.xml.gz", gzip.compress(one_passage("so ill").encode()))
    assert [sentence.tokens for sentence in read(path, "bioc-xml")] == [["so", "ill"]]


def test_lines_are_counted_in_long_files_too(tmp_path):
    """libxml2 keeps line numbers in 16 bits by default."""
    found = annotation_xml(annotation(0, 3, "x"))
    body = (
        "\n" * 70_000 + "<document><id>7</id><passage><offset>0</offset><text>Ill</text>\n" + found
    )
    path = write(tmp_path / "raw.xml", xml(f"{body}</passage></document>"))
    assert refusal(path, "bioc-xml").startswith(f"{path}:70004: found the annotation 'x'")


def test_xml_in_another_encoding_is_read_as_it_declares(tmp_path):
    body = one_passage("na\u00efve ill").replace("UTF-8", "ISO-8859-1")
    path = write(tmp_path / "raw.xml", body.encode("latin-1"))
    assert [sentence.tokens for sentence in read(path, "bioc-xml")] == [["na\u00efve", "ill"]]


def test_a_declaration_that_the_bytes_belie_is_refused(tmp_path):
    """`iconv` leaves UTF-8 declared as Latin-1: other letters, and every offset shifted."""
    path = write(tmp_path / "raw.xml", one_passage("na\u00efve ill").replace("UTF-8", "ISO-8859-1"))
    assert refusal(path, "bioc-xml").startswith(
        f"{path}:1: found UTF-8 text declared as ISO-8859-1"
    )


@pytest.mark.parametrize("form", FORMS)
def test_sentences_of_a_passage_without_text_are_passages_and_others_must_be_in_its_text(
    tmp_path, form
):
    blank = passage(0, " ", sentences=[passage(0, "Ill .")])
    assert [s.tokens for s in read(collection(tmp_path, form, document(blank)), form)] == [
        ["Ill", "."]
    ]
    within = passage(0, "Ill . So ill .", sentences=[passage(0, "Ill ."), passage(6, "So ill .")])
    assert [len(s.tokens) for s in read(collection(tmp_path, form, document(within)), form)] == [5]
    beside = passage(0, "Ill .", sentences=[passage(0, "Ill ."), passage(6, "So ill .")])
    assert "a sentence that is not in its passage's text" in refusal(
        collection(tmp_path, form, document(beside)), form
    )

"""No message shows confidential text: every reader's errors on a corpus of one marker word.

Each case shows the marker, or does not mention it, if text may be quoted; `Changes(quote=False)`
never shows it.
"""

import json

import pytest

from bioner.corpora.changes import Changes
from bioner.corpora.normalize import normalize
from bioner.errors import InputError
from bioner.settings.catalogue import parse_entry
from bioner.settings.dataset_entry import DatasetEntry
from tests.unit.corpora.readers import SPLITS, refusal, write

MARKER = "SECRETWORD"
TITLE = f"7|t|{MARKER} ill"
FALSE, TWICE = (0, 3, MARKER), (0, len(MARKER), MARKER)


def pubtator(*annotations):
    return "\n".join(
        [TITLE, *(f"7\t{start}\t{end}\t{text}\tDrug" for start, end, text in annotations)]
    )


def bioc_json(*annotations, text=f"{MARKER} ill", offset=0, type_="Drug"):
    marked = [
        {
            "id": "T1",
            "infons": {"type": type_},
            "text": text,
            "locations": [{"offset": start, "length": end - start}],
        }
        for start, end, text in annotations
    ]
    return json.dumps(
        [{"id": "7", "passages": [{"offset": offset, "text": text, "annotations": marked}]}]
    )


def bioc_xml(annotation="", text=f"{MARKER} ill"):
    passage = f"<passage><offset>0</offset><text>{text}</text>{annotation}</passage>"
    return f"<collection><document><id>7</id>{passage}</document></collection>"


def bioc_annotation(start, end, text):
    location = f'<location offset="{start}" length="{end - start}"/>'
    return (
        '<annotation id="T1"><infon'
        f' key="type">Drug</infon>{location}<text>{text}</text></annotation>'
    )


def dygie(ner, sentences=((MARKER, "ill"),)):
    return json.dumps({"doc_key": "d", "sentences": sentences, "ner": ner})


def spans(*given):
    return json.dumps({"text": f"{MARKER} ill", "spans": given})


def label_studio(**value):
    return json.dumps(
        [{"id": 7, "text": f"{MARKER} ill", "label": [{"start": 0, "end": 3} | value]}]
    )


SHOWN, SILENT = True, False
CASES = {
    "conll: one column": ("conll", f"a\tO\n{MARKER}\n", SHOWN),
    "conll: no column": ("conll", f"{MARKER}\n", SHOWN),
    "conll: more columns": ("conll", f"a\tO\n{MARKER}\tO\tO\n", SHOWN),
    "conll: encoding": ("conll", f"{MARKER} ï\n".encode("latin-1"), SILENT),
    "jsonl: cut off": ("jsonl", f'{{"tokens": ["{MARKER}"', SILENT),
    "jsonl: bad escape": ("jsonl", f'{{"tokens": ["\\q{MARKER}"]}}', SILENT),
    "jsonl: no list": ("jsonl", f'{{"tokens": "{MARKER}", "tags": ["O"]}}', SILENT),
    "jsonl: a number": ("jsonl", f'{{"tokens": ["{MARKER}", 5], "tags": ["O", "O"]}}', SILENT),
    "jsonl: label": ("jsonl", f'{{"tokens": ["{MARKER}"], "tags": [1]}}', SILENT),
    "lists: no list": ("conll-or-lists", f"tokens,tags\n{MARKER},O\n", SILENT),
    "lists: numpy": (
        "conll-or-lists",
        f"tokens,tags\n\"['{MARKER}' 'b']\",\"['O' 'O']\"\n",
        SILENT,
    ),
    "lists: cut off": ("conll-or-lists", f"tokens,tags\n\"['{MARKER}', ", SILENT),
    "lists: columns": ("conll-or-lists", f"tokens,tags\n\"['{MARKER}']\"\n", SILENT),
    "pubtator: no title": ("pubtator", f"{MARKER}\n", SHOWN),
    "pubtator: another document": ("pubtator", f"{TITLE}\n{MARKER}\n", SHOWN),
    "pubtator: two titles": ("pubtator", f"{TITLE}\n{TITLE}\n", SHOWN),
    "pubtator: fields": ("pubtator", f"{TITLE}\n7\t{MARKER}\n", SHOWN),
    "pubtator: mismatch": ("pubtator", pubtator(FALSE), SHOWN),
    "pubtator: outside": ("pubtator", pubtator((90, 100, MARKER)), SILENT),
    "pubtator: overlap": ("pubtator", pubtator(TWICE, TWICE), SILENT),
    "pubtator: blanks": ("pubtator", f"{TITLE}\n7 0 3 {MARKER} Drug\n", SILENT),
    "pubtator: another passage": ("pubtator", f"{TITLE}\n7|i|{MARKER}\n", SHOWN),
    "spans: cut off": ("spans", spans([0, 3, "X"])[:-5], SILENT),
    "spans: mismatch": (
        "spans",
        spans({"start": 0, "end": 3, "label": "X", "text": MARKER}),
        SHOWN,
    ),
    "spans: a broken span": ("spans", spans([0, MARKER, "X"]), SHOWN),
    "spans: overlap": ("spans", spans([0, 10, "X"], [0, 10, "Y"]), SILENT),
    "label-studio: mismatch": (
        "label-studio",
        label_studio(labels=["X"], text=MARKER),
        SHOWN,
    ),
    "label-studio: no label": ("label-studio", label_studio(text=MARKER), SILENT),
    "bioc-json: another infon": (
        "bioc-json",
        bioc_json(TWICE).replace('"type": "Drug"', f'"x": "{MARKER}"'),
        SILENT,
    ),
    "bioc-json: cut off": ("bioc-json", bioc_json()[:-5], SILENT),
    "bioc-json: mismatch": ("bioc-json", bioc_json(FALSE), SHOWN),
    "bioc-json: outside": ("bioc-json", bioc_json((90, 100, MARKER)), SILENT),
    "bioc-json: no type": ("bioc-json", bioc_json(TWICE, type_=""), SILENT),
    "bioc-json: no passages": ("bioc-json", f'[{{"id": "7", "text": "{MARKER}"}}]', SILENT),
    "bioc-json: passages of text": (
        "bioc-json",
        f'[{{"id": "7", "passages": ["{MARKER}"]}}]',
        SILENT,
    ),
    "bioc-xml: cut off": ("bioc-xml", bioc_xml()[:-40], SILENT),
    "bioc-xml: mismatch": ("bioc-xml", bioc_xml(bioc_annotation(*FALSE)), SHOWN),
    "bioc-xml: overlap": ("bioc-xml", bioc_xml(bioc_annotation(*TWICE) * 2), SILENT),
    "bioc-xml: bare &": ("bioc-xml", bioc_xml(text=f"so & {MARKER}"), SILENT),
    "dygie: cut off": ("dygie", dygie([[]])[:-2], SILENT),
    "dygie: outside": ("dygie", dygie([[[5, 6, "A"]]]), SILENT),
    "dygie: overlap": ("dygie", dygie([[[0, 0, "A"], [0, 1, "A"]]]), SILENT),
    "dygie: sentences of text": ("dygie", dygie([[]], [MARKER]), SILENT),
}
LEAKS = {
    "inline: braces": ("inline", f"# d\n{{A|{MARKER}\n"),
    "inline: spaces": ("inline", f"# d\n{MARKER}  ill\n"),
    "inline: no document": ("inline", f"{MARKER}\n"),
    "inline: before an entity": ("inline", f"# d\n{MARKER}{{A|x}}\n"),
    "inline: behind an entity": ("inline", f"# d\n{{A|x}}{MARKER}\n"),
    "jsonl: tags that hold tokens": ("jsonl", f'{{"tokens": ["a"], "tags": [["{MARKER}", "O"]]}}'),
    "dygie: spans of text": ("dygie", dygie([[[MARKER, 0, "A"]]])),
    "bioc-json: text as offset": ("bioc-json", bioc_json(offset=MARKER)),
    "bioc-xml: bare <": ("bioc-xml", bioc_xml(text=f"so <ill {MARKER} it")),
    "bioc-xml: < and >": ("bioc-xml", bioc_xml(text=f"so <{MARKER}> ill")),
}
BRAT = {
    "broken line": (f"T1 {MARKER}", SHOWN),
    "mismatch": (f"T1\tDrug 0 3\t{MARKER}", SHOWN),
    "pieces": (f"T1\tDrug 0 3;9 12\t{MARKER}", SILENT),
    "overlap": (f"T1\tDrug 0 10\t{MARKER}\nT2\tDrug 0 10\t{MARKER}", SILENT),
}


def both(path, form):
    return refusal(path, form, Changes(quote=True)), refusal(path, form, Changes(quote=False))


@pytest.mark.parametrize(("form", "content", "shown"), CASES.values(), ids=list(CASES))
def test_no_message_of_a_reader_shows_text_that_it_may_not(tmp_path, form, content, shown):
    quoting, still = both(write(tmp_path / "raw", content), form)
    assert (MARKER in quoting) == shown
    assert MARKER not in still
    assert still.startswith(str(tmp_path / "raw"))


@pytest.mark.parametrize(("form", "content"), LEAKS.values(), ids=list(LEAKS))
def test_nor_does_one_that_repeats_what_a_parser_says_or_a_field_holds(tmp_path, form, content):
    assert MARKER not in refusal(write(tmp_path / "raw", content), form, Changes(quote=False))


@pytest.mark.parametrize(("ann", "shown"), BRAT.values(), ids=list(BRAT))
def test_nor_does_one_of_a_brat_folder(tmp_path, ann, shown):
    write(tmp_path / "raw" / "1.txt", f"{MARKER} ill")
    write(tmp_path / "raw" / "1.ann", ann)
    quoting, still = both(tmp_path / "raw", "brat")
    assert (MARKER in quoting) == shown
    assert MARKER not in still


def test_what_stands_for_the_text_is_its_length():
    assert Changes(quote=False).quoted(MARKER) == "text of 10 characters"
    assert Changes().quoted("x" * 100) == repr("x" * 60)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(f"{MARKER} x\tO\n", id="a token with white space"),
        pytest.param(f"O\t{MARKER}\n", id="columns swapped"),
    ],
)
def test_nor_does_the_check_of_tokens_and_tags(tmp_path, content):
    entry = parse_entry(DatasetEntry, "toy", {"format": "conll", "splits": SPLITS})
    for name in SPLITS.values():
        write(tmp_path / "raw" / name, content)
    with pytest.raises(InputError) as caught:
        normalize("toy", entry, tmp_path / "raw", tmp_path / "out", quote=False)
    assert MARKER not in str(caught.value)

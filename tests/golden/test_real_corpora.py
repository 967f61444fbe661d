"""Real corpora from a mirror: the paper's Tables I and II, known counts, a known score."""

import json
import os
import re
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from xml.sax.saxutils import escape

import polars as pl
import pytest

from bioner.comparison.agreement import compare_gold
from bioner.corpora.changes import Changes
from bioner.corpora.formats import READERS
from bioner.corpora.normalize import normalize
from bioner.corpora.readers.dygie import KEYS, read_dygie_misread
from bioner.corpora.readers.pubtator import read_pubtator
from bioner.data.instances import SPLITS, Prediction, entity_types
from bioner.data.near_duplicates import find_shared_documents
from bioner.errors import InputError
from bioner.io.files import read_records
from bioner.models.controls import predict_control
from bioner.models.subword_windows import cut
from bioner.ops.planning.sizes import KNOWN
from bioner.scoring.score import score
from bioner.settings.catalogue import parse_entry
from bioner.settings.config import Scoring
from bioner.settings.dataset_entry import DatasetEntry
from bioner.settings.repository import REPOSITORY
from tests.families import wordpiece

MIRROR = os.environ.get("BIONER_MIRROR")
PAPER = REPOSITORY / "resources" / "paper"

pytestmark = pytest.mark.skipif(
    not MIRROR, reason="set BIONER_MIRROR to a folder of raw corpora to run this"
)


def paper_row(table, dataset):
    return pl.read_csv(PAPER / table).row(by_predicate=pl.col("dataset") == dataset, named=True)


def counts(stats, statistic, **where):
    return dict(
        stats.filter(statistic=statistic, **where)
        .select("stratum" if "split" in where else "split", "value")
        .rows()
    )


def by_length(stats, statistic, split="test"):
    found = counts(stats, statistic, split=split)
    return [found[stratum] for stratum in ("all", "1", "2", "3+")]


def check_known_sizes(corpora, dataset):
    known = pl.read_csv(KNOWN).filter(dataset=dataset)
    for statistic in ("instances", "tokens"):
        expected = dict(known.select("split", statistic).iter_rows())
        assert counts(corpora(dataset)[1], statistic, stratum="all") == expected


@pytest.mark.parametrize("dataset", ["JNLPBA", "BC5CDR"])
def test_instances_of_every_split_are_those_of_table_1(corpora, dataset):
    expected = paper_row("table1_instances.csv", dataset)
    del expected["dataset"]
    assert counts(corpora(dataset)[1], "instances", stratum="all") == expected


@pytest.mark.parametrize(
    ("dataset", "entities", "types"),
    [
        ("NCBI-disease", [5134, 787, 960], {"Disease"}),
        ("BC2GM", [15197, 3061, 6325], {"GENE"}),
        ("AnatEM", [6946, 2139, 4616], {"Anatomy"}),
        ("Linnaeus", [2119, 711, 1433], {"Species"}),
        ("CRAFT", [29026, 9727, 18881], {"SO", "GGP", "Taxon", "CHEBI", "CL", "GO"}),
    ],
)
def test_public_corpora_keep_every_entity_of_their_files(corpora, dataset, entities, types):
    """Counted by hand: lines with a B- tag. Nothing is changed, and no document is known."""
    splits, stats, changes = corpora(dataset)
    found = counts(stats, "entities", stratum="all")
    assert [found[split] for split in SPLITS] == entities
    assert {name for items in splits.values() for name in entity_types(items)} == types
    assert changes.is_empty()
    assert counts(stats, "documents", stratum="all") == counts(stats, "instances", stratum="all")
    check_known_sizes(corpora, dataset)


@pytest.mark.parametrize("dataset", ["JNLPBA", "BC5CDR", "BioRED", "ChemProt-standin"])
def test_plans_know_the_sizes_of_corpora_beforehand(corpora, dataset):
    check_known_sizes(corpora, dataset)


@pytest.mark.parametrize("dataset", ["ChemProt-standin", "ChemProt-paper"])
def test_dev_and_test_instances_of_chemprot_are_those_of_table_1(corpora, dataset):
    expected = paper_row("table1_instances.csv", "ChemProt")
    found = counts(corpora(dataset)[1], "instances", stratum="all")
    assert {split: found[split] for split in ("dev", "test")} == {
        split: expected[split] for split in ("dev", "test")
    }
    assert (found["dev"], found["test"]) == (3360, 8179)


@pytest.mark.parametrize(
    ("dataset", "row"), [("JNLPBA", "JNLPBA"), ("BC5CDR", "BC5CDR"), ("ChemProt-paper", "ChemProt")]
)
def test_test_entities_by_length_are_those_of_table_2(corpora, dataset, row):
    expected = paper_row("table2_test_entities.csv", row)
    found = by_length(corpora(dataset)[1], "table2_entities")
    assert found == [expected[name] for name in ("total", "length_1", "length_2", "length_3_plus")]


def test_sound_corpora_are_scored_on_the_entities_that_table_2_counts_and_changed_nowhere(corpora):
    for dataset in ("JNLPBA", "BC5CDR"):
        _, stats, changes = corpora(dataset)
        assert by_length(stats, "entities") == by_length(stats, "table2_entities")
        assert changes.is_empty()


@pytest.mark.parametrize("dataset", ["JNLPBA", "BC5CDR", "BioRED", "ChemProt-standin"])
def test_wordpiece_has_the_same_subwords_for_real_words_alone_and_in_text(corpora, dataset):
    """In every eighth sentence."""
    sentences = [item.tokens for split in corpora(dataset)[0].values() for item in split[::8]]
    tokenizer = wordpiece([" ".join(words) for words in sentences])
    alone = tokenizer(sentences, is_split_into_words=True, add_special_tokens=False)
    made = cut(tokenizer, sentences, 10**6)
    assert made.words_merged == made.words_lost == made.sentences_cut == 0
    for number, (window,) in enumerate(made.windows):
        of_word = alone.word_ids(number)
        # Two words of ChemProt have no subwords of their own, and become the unknown one.
        kept = [place for place, word in enumerate(window.words) if word in set(of_word)]
        assert [window.words[place] for place in kept] == of_word
        assert [window.input_ids[place] for place in kept] == alone["input_ids"][number]


def test_documents_of_jnlpba_are_its_docstart_lines(corpora):
    splits, stats, _ = corpora("JNLPBA")
    assert counts(stats, "documents", split="test") == {"all": 404}
    assert len({instance.doc for instance in splits["test"]}) == 404


def squeezed(text):
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize("pubtator", ["BC5CDR_TrainDev.PubTator", "BC5CDR_Test.PubTator"])
def test_documents_of_bc5cdr_hold_the_text_of_their_abstracts(corpora, pubtator):
    splits, _, _ = corpora("BC5CDR")
    texts = {}
    for split in SPLITS:
        documents = {instance.doc for instance in splits[split]}
        assert len(documents) == 500
        for instance in splits[split]:
            texts[instance.doc] = texts.get(instance.doc, "") + "".join(instance.tokens)
    assert len(texts) == 1500
    abstracts = list(read_pubtator(Path(MIRROR) / "BC5CDR" / pubtator, Changes("repair")))
    assert len(abstracts) in (500, 1000)
    for abstract in abstracts:
        assert texts[abstract.id] == squeezed(
            "".join(passage.text for passage in abstract.passages)
        )


def test_chemprot_read_as_the_document_offsets_it_holds(corpora):
    _, stats, changes = corpora("ChemProt-standin")
    assert by_length(stats, "entities") == [19387, 9910, 3431, 6046]
    assert by_length(stats, "entities", "dev") == [7838, 3871, 1447, 2520]
    dropped = changes.filter(split="test")
    assert dropped["kind"].unique().to_list() == ["overlap"]
    assert len(dropped) == 1372
    assert counts(stats, "annotations", split="test") == {
        "found": 20759,
        "kept": 19387,
        "nested": 1372,
        "lost": 0,
    }


def test_chemprot_as_the_paper_read_it_is_scored_after_the_repair_of_123_orphans(corpora):
    _, stats, changes = corpora("ChemProt-paper")
    assert by_length(stats, "entities") == [3107, 1506, 597, 1004]
    assert len(changes.filter(split="test", kind="orphan")) == 123
    assert set(changes["kind"]) == {
        "orphan",
        "misread",
    }, "and the spans that its reading lost are listed"
    assert counts(stats, "annotations_lost", split="test") == {"all": 17924}


def test_the_worked_example_of_docs_reproduction_is_in_the_data(corpora):
    """The second sentence of an abstract of dev, as annotated and as the paper read it."""
    splits, _, _ = corpora("ChemProt-standin")
    text = (REPOSITORY / "docs" / "reproduction.md").read_text(encoding="utf-8")
    path = Path(MIRROR) / "ChemProt" / "dev.json"
    misread = read_dygie_misread(read_records(path, KEYS), Changes("repair"))
    right = [instance for instance in splits["dev"] if instance.doc == "12167567"][1]
    wrong = [sentence for sentence in misread if sentence.document == "12167567"][1]
    for tokens, tags in ((right.tokens, right.tags), (wrong.tokens, wrong.tags)):
        tagged = [f"`{token}/{tag}`" for token, tag in zip(tokens, tags, strict=True) if tag != "O"]
        assert f"| {' '.join(tagged)} |" in text


def test_biored_is_as_near_to_the_paper_as_docs_reproduction_says(corpora):
    _, stats, changes = corpora("BioRED")
    found = counts(stats, "instances", stratum="all")
    assert [found[split] for split in SPLITS] == [1051, 269, 270]
    assert by_length(stats, "entities") == [3512, 2624, 372, 516]
    assert counts(stats, "documents", stratum="all") == {"train": 400, "dev": 100, "test": 100}
    assert counts(stats, "annotations_lost", stratum="all") == {"train": 139, "dev": 7, "test": 23}
    assert changes.group_by("split", "kind").len().sort("split", "kind").rows() == [
        ("dev", "inside-token", 7),
        ("dev", "split-token", 86),
        ("test", "inside-token", 23),
        ("test", "split-token", 31),
        ("train", "inside-token", 139),
        ("train", "split-token", 283),
    ]


@pytest.mark.parametrize(
    "changed", [{"token_alignment": "widen"}, {"segmentation": "sentences"}], ids=str
)
def test_every_annotation_of_biored_is_an_entity_or_listed(tmp_path, catalogue, changed):
    entry = catalogue["BioRED"].model_copy(update={**changed, "entities": None})
    found = normalize("BioRED", entry, Path(MIRROR) / "BioRED", tmp_path)
    stats = pl.read_csv(tmp_path / "stats.csv")
    raw = {"train": 13351, "dev": 3533, "test": 3535}
    for split, annotations in raw.items():
        fates = counts(stats, "annotations", split=split)
        assert fates["found"] == fates["kept"] + fates["nested"] + fates["lost"] == annotations
        assert fates["kept"] == counts(stats, "entities", split=split)["all"]
    assert all(len(instance.tokens) <= 256 for instance in found["test"])


# What title and abstract begin with, and where an offset lands if the abstract begins at `second`.
READINGS = {
    "off by one, counted from 1": ("", lambda start, second: start + 1),
    "relative to their passage": (
        "",
        lambda start, second: start - second if start >= second else start,
    ),
    "like UTF-8 bytes": ("😀", lambda start, second: start + (8 if start >= second else 4)),
    "like UTF-16 code units": ("😀", lambda start, second: start + (4 if start >= second else 2)),
}


@pytest.mark.parametrize("name", READINGS)
def test_shifted_offsets_of_bc5cdr_are_named(tmp_path, name):
    """Its text is ASCII; an emoji has four bytes and two UTF-16 units."""
    before, move = READINGS[name]
    lines = []
    for document in read_pubtator(Path(MIRROR) / "BC5CDR" / "BC5CDR_Test.PubTator", Changes()):
        title, abstract = document.passages
        lines += [
            f"{document.id}|t|{before}{title.text}",
            f"{document.id}|a|{before}{abstract.text}",
        ]
        for annotation in document.annotations:
            start = move(annotation.start, abstract.offset)
            end = start + annotation.end - annotation.start
            fields = (document.id, start, end, annotation.text, annotation.type)
            lines.append("\t".join(map(str, fields)))
        lines.append("")
    path = tmp_path / "test.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    entry = parse_entry(
        DatasetEntry, "x", {"format": "pubtator", "splits": dict(zip(SPLITS, "abc", strict=True))}
    )
    with pytest.raises(
        InputError, match=f"offsets that look {name}: read that way, 9796 of 9796 annotations"
    ):
        list(READERS["pubtator"](path, entry, Changes("repair")))


@pytest.mark.parametrize(
    ("dataset", "entities"), [("NCBI-disease", {"train": 5134, "dev": 787, "test": 960})]
)
def test_a_corpus_in_iobes_gives_the_same_instances_and_is_refused_as_iob2(
    tmp_path, dataset, entities
):
    names = dict(zip(SPLITS, ("train.tsv", "devel.tsv", "test.tsv"), strict=True))
    described = {"format": "conll", "splits": names, "files": {name: {} for name in names.values()}}
    raw = Path(MIRROR) / dataset
    expected = normalize(
        dataset, parse_entry(DatasetEntry, dataset, described), raw, tmp_path / "b"
    )
    for split, name in names.items():
        with (tmp_path / name).open("w", encoding="utf-8") as file:
            for item in expected[split]:
                following = [*item.tags[1:], "O"]
                for token, tag, after in zip(item.tokens, item.tags, following, strict=True):
                    letter = {"B": "BS", "I": "IE", "O": "OO"}[tag[0]][after[0] != "I"]
                    print(f"{token}\t{letter}{tag[1:]}", file=file)
                print(file=file)
    described |= {"tag_scheme": "BIOES"}
    found = normalize(dataset, parse_entry(DatasetEntry, dataset, described), tmp_path, tmp_path)
    assert found == expected
    assert entities == {
        split: sum(tag.startswith("B-") for item in found[split] for tag in item.tags)
        for split in SPLITS
    }
    described |= {"tag_scheme": "IOB2", "on_error": "repair"}
    with pytest.raises(InputError, match="which looks like BIOES"):
        normalize(dataset, parse_entry(DatasetEntry, dataset, described), tmp_path, tmp_path)


def as_bioc_json(documents):
    return {
        "documents": [
            {
                "id": document.id,
                "passages": [
                    {
                        "offset": passage.offset,
                        "text": passage.text,
                        "annotations": [
                            {
                                "id": str(number),
                                "infons": {"type": annotation.type, "identifier": "-"},
                                "text": annotation.text,
                                "locations": [
                                    {
                                        "offset": annotation.start,
                                        "length": annotation.end - annotation.start,
                                    }
                                ],
                            }
                            for number, annotation in enumerate(document.annotations)
                            if passage.offset <= annotation.start < passage.end
                        ],
                    }
                    for passage in document.passages
                ],
            }
            for document in documents
        ]
    }


def as_bioc_xml(content):
    def annotation(item):
        (location,) = item["locations"]
        return (
            f'<annotation id="{item["id"]}"><infon key="type">{item["infons"]["type"]}</infon>'
            f'<location offset="{location["offset"]}" length="{location["length"]}"/>'
            f"<text>{escape(item['text'])}</text></annotation>\n"
        )

    def passage(item):
        annotations = "".join(map(annotation, item["annotations"]))
        text = f"<offset>{item['offset']}</offset><text>{escape(item['text'])}</text>"
        return f"<passage>{text}{annotations}</passage>"

    documents = "".join(
        f"<document><id>{document['id']}</id>"
        f"{''.join(map(passage, document['passages']))}</document>\n"
        for document in content["documents"]
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n'
    return f"{head}<collection><source>PubTator</source>{documents}</collection>\n"


def test_biored_is_the_same_from_bioc_xml_and_json(tmp_path, corpora, catalogue):
    """The first 60 documents of every split."""
    splits, expected = corpora("BioRED")[0], {}
    for split, name in catalogue["BioRED"].splits.canonical().items():
        documents = list(islice(read_pubtator(Path(MIRROR) / "BioRED" / name, Changes()), 60))
        identities = {document.id for document in documents}
        expected[split] = [instance for instance in splits[split] if instance.doc in identities]
        content = as_bioc_json(documents)
        (tmp_path / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
        (tmp_path / f"{split}.xml").write_text(as_bioc_xml(content), encoding="utf-8")
    for kind in ("json", "xml"):
        described = {"format": f"bioc-{kind}", "token_alignment": "split", "on_error": "repair"}
        described["splits"] = {split: f"{split}.{kind}" for split in SPLITS}
        entry = parse_entry(DatasetEntry, "BioRED", described)
        assert normalize("BioRED", entry, tmp_path, tmp_path / "out") == expected
    assert {len({instance.doc for instance in instances}) for instances in expected.values()} == {
        60
    }


def test_what_readers_of_scores_want_to_know(corpora):
    """The paper: 26 tokens per instance, over 100 in BioRED; 103 JNLPBA sentences in both sets."""
    jnlpba, bc5cdr, biored = (corpora(name)[1] for name in ("JNLPBA", "BC5CDR", "BioRED"))
    means = [
        counts(stats, "tokens_per_instance", split="test")["mean"]
        for stats in (jnlpba, bc5cdr, biored)
    ]
    assert [round(mean, 1) for mean in means] == [26.2, 26.0, 111.3]
    assert counts(jnlpba, "instances_in_train", split="test") == {"all": 108, "distinct": 103}
    assert counts(jnlpba, "near_duplicates_in_train", split="test") == {"all": 10, "exact": 10}
    assert counts(jnlpba, "near_duplicate_units", split="test") == {"document": 404}
    assert counts(bc5cdr, "near_duplicates_in_train", split="test") == {"all": 0, "exact": 0}
    assert counts(bc5cdr, "mentions_seen_in_train", split="test")["text"] == pytest.approx(
        0.622, abs=0.0005
    )


@pytest.mark.parametrize(
    ("dataset", "types"),
    [
        ("JNLPBA", {"DNA", "RNA", "protein", "cell_line", "cell_type"}),
        ("BC5CDR", {"Chemical", "Disease"}),
    ],
)
def test_the_entity_types_are_the_corpus_own(corpora, dataset, types):
    strata = counts(corpora(dataset)[1], "entities", split="test")
    assert {
        stratum.removeprefix("type:") for stratum in strata if stratum.startswith("type:")
    } == types


@pytest.mark.parametrize("dataset", ["JNLPBA", "BC5CDR", "BioRED", "ChemProt-standin"])
def test_ids_are_unique_over_the_splits_of_a_corpus(corpora, dataset):
    ids = [instance.id for instances in corpora(dataset)[0].values() for instance in instances]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("dataset", "low", "high"), [("BC5CDR", 70.0, 71.5), ("NCBI-disease", 64.885, 64.895)]
)
def test_a_dictionary_of_training_entities_reaches_its_known_strict_f1(corpora, dataset, low, high):
    splits, _, _ = corpora(dataset)
    tags = predict_control("dictionary", splits["train"], splits["test"])
    predictions = [
        Prediction(gold.id, found) for gold, found in zip(splits["test"], tags, strict=True)
    ]
    table = score(splits["test"], predictions, options=Scoring(bootstrap=0, per_type=False))
    (f1,) = table.filter(scorer="semeval", scheme="strict", stratum="all", label="all")["f1"]
    assert low <= f1 <= high


def test_documents_of_bc5cdr_and_biored_are_shared(corpora):
    bc5cdr, biored = (corpora(name)[0] for name in ("BC5CDR", "BioRED"))
    for test, other, expected in ((biored, bc5cdr, 21), (bc5cdr, biored, 69)):
        trained_on = [*other["train"], *other["dev"]]
        shared = find_shared_documents(test["test"], trained_on)
        assert len(shared) == expected
        # Their texts say the same as their ids.
        unnamed = [replace(instance, doc=f"d{instance.doc}") for instance in trained_on]
        by_text = find_shared_documents(test["test"], unnamed)
        assert by_text == {name: f"d{name}" for name in shared}


def test_bc5cdr_and_biored_agree_on_most_diseases_and_chemicals(corpora):
    everything = ([*chain(*corpora(name)[0].values())] for name in ("BC5CDR", "BioRED"))
    types = {"Disease": ["DiseaseOrPhenotypicFeature"], "Chemical": ["ChemicalEntity"]}
    _, diseases, chemicals = compare_gold(*everything, types)
    assert (diseases.unit, diseases.units) == ("document", 204)
    assert (round(diseases.f1, 1), round(chemicals.f1, 1)) == (95.6, 91.1)

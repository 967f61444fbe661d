"""Seen, unseen and repeated mentions, and sentences that train does not have."""

from dataclasses import replace

import pytest

from bioner.data.instances import Prediction
from bioner.scoring.score import score
from tests.conftest import instance
from tests.unit.scoring.predicted import predicted

TRAIN = [
    instance("t1", "Gout/B-D hurts/O"),
    instance("t2", "gout/B-D after/O aspirin/B-C"),
    instance("t3", "gout/B-C"),
]
GOLD = [
    instance("s1", "gout/B-D after/O aspirin/B-C"),  # a sentence of train
    instance("s2", "gout/B-D and/O lupus/B-D and/O lupus/B-D"),
    instance("s3", "aspirin/B-D"),  # known, but as a chemical
]
TABLE = score(GOLD, predicted("B-D O O", "B-D O B-D O O", "B-D"), train=TRAIN).filter(
    scorer="subset"
)


def found(stratum: str, scheme: str = "strict") -> dict:
    (row,) = TABLE.filter(stratum=stratum, scheme=scheme).iter_rows(named=True)
    return row


def test_a_mention_is_seen_where_its_text_and_type_are_in_train():
    # gout twice and aspirin as a chemical: two of three found.
    assert (found("seen")["correct"], found("seen")["possible"]) == (2, 3)
    assert found("seen")["recall"] == pytest.approx(200 / 3)


def test_the_others_are_unseen_and_both_add_up_to_the_gold():
    # lupus twice, aspirin as a disease: two of three.
    assert (found("unseen")["correct"], found("unseen")["possible"]) == (2, 3)
    assert sum(found(name)["possible"] for name in ("seen", "unseen")) == 6


def test_repeated_mentions_are_all_those_whose_text_stands_twice_in_the_sentence():
    assert (
        found("repeated")["correct"],
        found("repeated")["possible"],
        found("repeated")["recall"],
    ) == (1, 2, 50)


def test_of_parts_of_the_gold_there_is_a_recall_alone():
    for stratum in ("seen", "unseen", "repeated"):
        row = found(stratum)
        assert [row[name] for name in ("actual", "precision", "f1", "f1_ci_low")] == [None] * 4


def test_new_sentences_are_those_that_train_does_not_have():
    # s2 and s3: three of three predictions right, three of four gold.
    row = found("new")
    assert (row["correct"], row["actual"], row["possible"]) == (3, 3, 4)
    assert found("new", "relaxed")["f1"] == pytest.approx(600 / 7)


WORDS = "gout/B-D and two three four five six seven eight nine ten eleven"


def entities_of(stratum, gold, train):
    found = [Prediction(item.id, item.tags) for item in gold]
    return score(gold, found, train=train).filter(stratum=stratum)["possible"].to_list()


def test_near_new_sentences_are_new_and_no_near_duplicate_of_train():
    """Of 13 words the last differs: 8 of 10 5-grams are shared."""
    train = [instance("t1", f"{WORDS} twelve"), instance("t2", "lupus/B-D came")]
    gold = [
        instance("s1", f"{WORDS} other"),
        instance("s2", "lupus/B-D came"),  # too short for a near-duplicate, but not new
        instance("s3", "lupus/B-D went"),
        instance("s4", "pain/B-D for which no sentence of train has any like words"),
    ]
    assert entities_of("new", gold, train) == [3, 3], "strict and relaxed"
    assert entities_of("near-new", gold, train) == [2, 2]


def test_in_documents_a_near_new_sentence_is_in_no_near_duplicate():
    """The first document of the gold is the first of train, cut elsewhere."""
    train = [instance("t1", WORDS), instance("t2", "lupus/B-D came")]
    gold = [
        instance("s1", f"{WORDS} lupus/B-D"),
        instance("s2", "came"),
        instance("s3", "lupus/B-D went"),
        instance("s4", "pain/B-D came"),
    ]
    train = [replace(item, doc="d1") for item in train]
    gold = [replace(item, doc=doc) for item, doc in zip(gold, "1122", strict=True)]
    assert entities_of("new", gold, train) == [4, 4]
    assert entities_of("near-new", gold, train) == [2, 2]


def test_without_train_only_repetition_can_be_told():
    table = score(GOLD, predicted("B-D O O", "B-D O B-D O O", "B-D")).filter(scorer="subset")
    assert table["stratum"].to_list() == ["repeated"]


def test_a_mention_is_its_words_and_a_sentence_its_tokens_as_they_are():
    train = [instance("t1", "renalfailure/B-D")]
    table = score([instance("s1", "renal/B-D failure/I-D")], predicted("B-D I-D"), train=train)
    assert table.filter(stratum="seen")["possible"].item() == 0
    table = score([instance("s1", "Renalfailure/B-D")], predicted("B-D"), train=train)
    assert table.filter(stratum="seen")["possible"].item() == 1
    assert table.filter(stratum="new", scheme="strict")["possible"].item() == 1


def test_nothing_repeated_leaves_the_recall_undefined():
    table = score(GOLD[:1], predicted("B-D O O")).filter(stratum="repeated")
    assert table.select("possible", "recall").row(0) == (0, None)

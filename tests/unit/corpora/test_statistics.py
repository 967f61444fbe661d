"""Diagnostics of a corpus, on corpora small enough to count by hand."""

from bioner.corpora.changes import Changes
from bioner.corpora.statistics import corpus_statistics
from tests.conftest import instance

NOTHING = ["no/O entity/O"]


def statistics(split, train=NOTHING, dev=NOTHING, test=NOTHING):
    """The statistics of one split by name and stratum; the splits are tagged sentences."""
    splits = {
        name: [instance(f"{name}-{number}", text) for number, text in enumerate(texts)]
        for name, texts in {"train": train, "dev": dev, "test": test}.items()
    }
    table = corpus_statistics("toy", splits, {name: [] for name in splits}, Changes())
    rows = table.filter(split=split).select("statistic", "stratum", "value").rows()
    return {(statistic, stratum): float(value) for statistic, stratum, value in rows}


def test_instances_with_an_entity_are_counted_once_however_many_they_have():
    test = ["gout/B-D and/O aspirin/B-C", "nothing/O", "renal/B-D failure/I-D"]
    assert statistics("test", test=test)["instances_with_entity", "all"] == 2


def test_a_mention_is_ambiguous_if_any_split_has_its_text_with_another_type():
    train = ["ER/B-Gene stress/O", "the/O cat/B-Species"]
    dev = ["er/B-CellPart stress/O"]
    # ER is a gene in train and a part of a cell in dev, cat always a species, new only here.
    test = ["Er/B-Gene and/O ER/B-Gene", "cat/B-Species", "new/B-Gene"]
    found = statistics("test", train, dev, test)
    assert found["mentions_of_several_types", "all"] == 2 / 4
    assert statistics("dev", train, dev, test)["mentions_of_several_types", "all"] == 1
    assert statistics("train", train, dev, test)["mentions_of_several_types", "all"] == 1 / 2


def test_a_text_is_also_untagged_if_all_its_tokens_are_o_elsewhere_in_the_same_split():
    test = [
        "Gout/B-D and/O gout/B-D ,/O gout/O",  # one text of two mentions
        "renal/B-D failure/I-D or/O renal/O disease/B-D",  # not all of it is untagged
        "heart/B-D attack/I-D ./O A/O Heart/O attack/O",
        "breast/B-D cancer/I-D and/O breast/O cancer/B-D",  # inside, or over, another entity
    ]
    # gout and heart attack of gout, renal failure, disease, heart attack, breast cancer, cancer
    assert statistics("test", test=test)["texts_also_untagged", "all"] == 2 / 6
    elsewhere = ["gout/O and/O cancer/O"]
    found = statistics("test", train=elsewhere, test=["gout/B-D"])
    assert found["texts_also_untagged", "all"] == 0, "another split does not count"


def test_near_duplicates_are_exact_if_their_5_grams_are_all_the_same():
    words = [f"w{number}/O" for number in range(13)]
    same, near, short = " ".join(words), " ".join([*words[:12], "other/O"]), "w0/O w1/O"
    # Of ten 5-grams each, the second has eight of ten in common; two words are too few to compare.
    found = statistics("test", train=[same], test=[same, near, short])
    assert found["near_duplicates_in_train", "all"] == 2
    assert found["near_duplicates_in_train", "exact"] == 1
    assert found["near_duplicate_units", "sentence"] == 2


def test_mentions_seen_in_train_are_also_counted_by_type():
    train = ["aspirin/B-C gout/B-D"]
    test = ["Aspirin/B-C Aspirin/B-D", "gout/B-D lithium/B-C", "asthma/B-D mice/B-S"]
    found = statistics("test", train, test=test)
    assert found["mentions_seen_in_train", "type:C"] == 1 / 2
    assert found["mentions_seen_in_train", "type:D"] == 1 / 3, "aspirin is no disease in train"
    assert found["mentions_seen_in_train", "type:S"] == 0
    assert found["mentions_seen_in_train", "text and type"] == 2 / 6


def test_a_split_without_an_entity_has_no_shares_of_entities():
    names = {name for name, _ in statistics("test", train=["gout/B-D"])}
    assert not names & {
        "mentions_of_several_types",
        "texts_also_untagged",
        "mentions_seen_in_train",
    }

"""Controls: what the dictionary keeps and matches, the oracle, all-o."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioner.corpora.readers.inline import parse
from bioner.data.instances import Instance
from bioner.data.tags import tag_set, violation
from bioner.models.controls import entity_dictionary, predict_control, tag_by_dictionary


def instances(*lines):
    return [Instance(str(number), "d", *parse(line, "test")) for number, line in enumerate(lines)]


def test_a_string_is_kept_where_more_than_half_of_its_occurrences_are_entities():
    train = instances("{Gene|CAT} and {Gene|CAT} , the cat", "{Gene|ER} of the er")
    assert entity_dictionary(train) == {("cat",): "Gene"}, (
        "CAT 2 of 3; ER 1 of 2, which is not more than half"
    )


def test_occurrences_inside_longer_entities_count_as_occurrences():
    train = instances("{Disease|heart failure}", "{Disease|heart failure} of the {Part|heart}")
    assert entity_dictionary(train) == {("heart", "failure"): "Disease"}, (
        "heart is an entity in 1 of 3"
    )


def test_occurrences_are_whole_tokens():
    train = instances("{Gene|MET} in METAL , metals and meta-analysis")
    assert entity_dictionary(train) == {("met",): "Gene"}


def test_occurrences_do_not_cross_sentences():
    train = instances("{Disease|lung cancer}", "the lung", "cancer")
    assert entity_dictionary(train) == {("lung", "cancer"): "Disease"}


def test_case_is_ignored_in_learning_and_in_matching():
    dictionary = entity_dictionary(instances("{Chemical|Aspirin} or {Chemical|ASPIRIN}"))
    assert dictionary == {("aspirin",): "Chemical"}
    assert tag_by_dictionary(["aSpIrIn"], dictionary) == ["B-Chemical"]


@pytest.mark.parametrize(
    ("line", "type_"),
    [
        ("{Gene|insulin} {Chemical|insulin} {Gene|insulin}", "Gene"),
        ("{Gene|insulin} {Chemical|insulin}", "Chemical"),
        ("{Chemical|insulin} {Gene|insulin}", "Chemical"),
    ],
    ids=["majority", "tie", "tie the other way round"],
)
def test_the_most_frequent_type_wins_and_the_alphabet_breaks_ties(line, type_):
    assert entity_dictionary(instances(line)) == {("insulin",): type_}


DICTIONARY = {("a",): "X", ("a", "b", "c"): "Y", ("c",): "X", ("c", "d"): "Z"}


@pytest.mark.parametrize(
    ("tokens", "tags"),
    [
        ("a b c", ["B-Y", "I-Y", "I-Y"]),
        ("a b d", ["B-X", "O", "O"]),
        ("a b c d", ["B-Y", "I-Y", "I-Y", "O"]),
        ("b c d", ["O", "B-Z", "I-Z"]),
        ("a a", ["B-X", "B-X"]),
        ("a b", ["B-X", "O"]),
    ],
)
def test_the_longest_match_from_the_left_wins(tokens, tags):
    assert tag_by_dictionary(tokens.split(), DICTIONARY) == tags


def test_an_empty_dictionary_tags_nothing():
    assert tag_by_dictionary(["a", "b"], {}) == ["O", "O"]


@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=12))
def test_dictionary_tags_are_always_valid_and_of_its_types(tokens):
    tags = tag_by_dictionary(tokens, DICTIONARY)
    assert len(tags) == len(tokens)
    assert violation(tags) is None
    assert set(tags) <= set(tag_set("XYZ"))


GOLD = instances("{Gene|TNF} rose", "no entity here")


def test_the_oracle_repeats_the_gold_in_lists_of_its_own():
    tags = predict_control("oracle", [], GOLD)
    assert tags == [["B-Gene", "O"], ["O", "O", "O"]]
    assert tags[0] is not GOLD[0].tags


def test_all_o_finds_nothing():
    assert predict_control("all-o", GOLD, GOLD) == [["O", "O"], ["O", "O", "O"]]


def test_the_dictionary_looks_at_training_instances_only():
    assert predict_control("dictionary", instances("{Chemical|rose}"), GOLD) == [
        ["O", "B-Chemical"],
        ["O"] * 3,
    ]


def test_an_unknown_control_is_refused():
    with pytest.raises(ValueError, match="no control 'random'"):
        predict_control("random", [], GOLD)

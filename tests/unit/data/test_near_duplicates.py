"""Near-duplicates of train, and documents of another corpus, held against all pairs."""

import random

import pytest

from bioner.data.instances import Instance
from bioner.data.near_duplicates import find_near_duplicates, find_shared_documents


def sentence(identity, text, document=None):
    tokens = text.split()
    return Instance(identity, document or identity, tokens, ["O"] * len(tokens))


def numbered(count, word="w"):
    return " ".join(f"{word}{number}" for number in range(count))


def near(test, train):
    return set(find_near_duplicates(test, train).similarity)


def five_grams(texts):
    """Sets of 5-grams by name: the definition, for texts of plain words."""
    words = {name: text.lower().split() for name, text in texts.items()}
    return {
        name: {" ".join(each[start : start + 5]) for start in range(len(each) - 4)}
        for name, each in words.items()
    }


def random_texts(random_, count, words):
    """Texts of which some are others with a word changed, left out or added."""
    texts = []
    for _ in range(count):
        if texts and random_.random() < 0.5:
            text = list(random_.choice(texts))
            for _ in range(random_.randint(0, 2)):
                place = random_.randrange(len(text))
                text[place : place + random_.randint(0, 1)] = random_.choices("abcdef", k=1)
        else:
            text = random_.choices("abcdef", k=random_.randint(*words))
        texts.append(text)
    return [" ".join(text) for text in texts]


@pytest.mark.parametrize("seed", range(5))
def test_near_duplicates_are_those_of_all_pairs(seed):
    texts = random_texts(random.Random(seed), 300, (6, 40))
    test, train = (
        {f"{side}{number}": text for number, text in enumerate(texts[part])}
        for side, part in (("s", slice(None, None, 2)), ("t", slice(1, None, 2)))
    )
    ours, others = (
        {name: grams for name, grams in five_grams(side).items() if len(side[name].split()) >= 8}
        for side in (test, train)
    )
    expected = {
        name: best
        for name, grams in ours.items()
        if (best := max(len(grams & other) / len(grams | other) for other in others.values()))
        >= 0.8
    }
    assert expected, "nothing to find"
    found = find_near_duplicates(
        [sentence(*item) for item in test.items()], [sentence(*item) for item in train.items()]
    )
    assert (found.unit, found.units, found.similarity) == ("sentence", len(ours), expected)


def test_case_signs_and_tokens_make_no_difference():
    train = [sentence("t1", "Beta-blockers ( IL-2 , Gout ) were given to all of them .")]
    assert near(
        [sentence("s1", "beta - Blockers , IL 2 : gout were given to ALL of_them")], train
    ) == {"s1"}
    assert not near([sentence("s1", "beta blockers IL2 gout were given to all of them")], train)


def test_eight_of_ten_5_grams_in_common_are_enough_and_seven_of_nine_are_not():
    for words, expected in ((13, {"s1"}), (12, set())):
        train = [sentence("t1", numbered(words))]
        assert near([sentence("s1", f"{numbered(words - 1)} other")], train) == expected


def test_a_sentence_has_at_least_eight_words():
    for words, expected in ((8, 1), (7, 0)):
        same = numbered(words) + " , ."
        found = find_near_duplicates([sentence("s1", same)], [sentence("t1", same)])
        assert (found.units, len(found.similarity)) == (expected, expected)


def test_documents_are_compared_where_both_sides_have_them():
    """Their words follow one another; a document of fewer than five words is near nothing."""
    test = [
        sentence("s1", "One two three", "d1"),
        sentence("s2", "four five six", "d1"),
        sentence("s3", "one two three four", "d2"),
    ]
    train = [sentence("t1", "one two", "d1"), sentence("t2", "three four five six", "d1")]
    found = find_near_duplicates(test, train)
    assert (found.unit, found.units, found.similarity) == ("document", 2, {"d1": 1.0})
    assert [found.holds(instance) for instance in test] == [True, True, False]
    apart = [sentence("t1", "one two three four five six")]
    assert find_near_duplicates(test, apart)[:2] == ("sentence", 0)
    test[1] = sentence("s2", numbered(8), "d1")
    found = find_near_duplicates(test, [sentence("t1", numbered(8))])
    assert [found.holds(instance) for instance in test] == [False, True, False]


@pytest.mark.parametrize("seed", range(3))
def test_shared_documents_are_those_of_all_pairs(seed):
    texts = random_texts(random.Random(seed), 200, (80, 160))
    test, other = (
        {f"{side}{number}": text for number, text in enumerate(texts[part])}
        for side, part in (("s", slice(None, None, 2)), ("t", slice(1, None, 2)))
    )
    ours, others = (
        {
            name: grams
            for name, grams in five_grams(side).items()
            if len(side[name].replace(" ", "")) >= 100
        }
        for side in (test, other)
    )
    expected = {
        name
        for name, grams in ours.items()
        for their in others.values()
        if len(grams & their) >= 0.5 * min(len(grams), len(their))
    }
    assert 0 < len(expected) < len(ours)
    found = find_shared_documents(
        [sentence(*item) for item in test.items()], [sentence(*item) for item in other.items()]
    )
    assert set(found) == expected


def test_half_of_the_smaller_text_is_enough():
    """Of 60 words, the first 32 hold 28 of 56 5-grams."""
    long = numbered(200)
    for words, expected in ((32, {"s1": "t1"}), (31, {})):
        text = f"{numbered(words)} {numbered(60 - words, 'other')}"
        assert find_shared_documents([sentence("s1", text)], [sentence("t1", long)]) == expected
        assert find_shared_documents([sentence("s1", long)], [sentence("t1", text)]) == expected


def test_a_text_of_99_letters_and_digits_is_not_compared():
    for last, expected in (("xyzzy", {"s1": "t1"}), ("xyzz", {})):
        text = " ".join(f"word{number}" for number in range(10, 25)) + f" ,,, abcde {last}"
        assert find_shared_documents([sentence("s1", text)], [sentence("t1", text)]) == expected


def test_a_document_with_the_same_published_id_is_shared_whatever_its_text():
    known = {"15485686": True, "12345": True, "PMC1402293": True, "1234": False, "12": False}
    for identity, expected in known.items():
        test, other = (
            [sentence(f"{side}1", "gout", identity), sentence(f"{side}2", "pain", identity)]
            for side in "st"
        )
        assert find_shared_documents(test, other) == ({identity: identity} if expected else {})

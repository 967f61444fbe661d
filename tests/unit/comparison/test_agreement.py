"""Gold against gold in documents that two corpora have, worked out by hand."""

from dataclasses import replace

import pytest

from bioner.comparison.agreement import GoldAgreement, compare_gold
from tests.conftest import instance

FILLER = " ".join(f"word{number}" for number in range(20))  # 110 letters and digits
FIRST = [
    instance("a1", f"Beta-blocker/B-Chemical for/O renal/B-Disease failure/I-Disease {FILLER}"),
    instance("a2", f"gout/B-Disease alone {FILLER}"),
]
SECOND = [
    # The same letters in other tokens; the disease is longer, and DNA is no common type.
    instance(
        "b1",
        "Beta/B-ChemicalEntity -/I-ChemicalEntity blocker/I-ChemicalEntity for renal/B-Condition"
        f" failure/I-Condition word0/I-Condition {FILLER.removeprefix('word0 ')}",
    ),
    instance("b2", f"gout/B-Condition alone/B-DNA {FILLER}"),
    instance("b3", f"lupus/B-Condition alone {FILLER}"),
    instance("b4", f"gout/O alone {FILLER}"),  # as b2: the first counts
]
TYPES = {"Disease": ["Condition"], "Chemical": ["Chemical", "ChemicalEntity"]}


def test_boundaries_are_compared_by_letters_and_types_by_their_common_name():
    assert compare_gold(FIRST, SECOND, TYPES) == [
        GoldAgreement("all", "sentence", 2, common=2, first=3, second=3),
        GoldAgreement("Disease", "sentence", 2, common=1, first=2, second=2),
        GoldAgreement("Chemical", "sentence", 2, common=1, first=1, second=1),
    ]
    assert [row.f1 for row in compare_gold(FIRST, SECOND, TYPES)] == [
        pytest.approx(200 / 3),
        50,
        100,
    ]


def test_a_document_is_its_sentences_one_after_the_other():
    first = [instance("a1", "gout/B-D"), instance("a2", f"lupus/B-D {FILLER}")]
    second = [instance("b1", f"gout/B-D lupus {FILLER}"), instance("b2", ".")]
    first, second = ([replace(item, doc="1") for item in side] for side in (first, second))
    assert compare_gold(first, second, {"D": []})[1] == ("D", "document", 1, 1, 2, 1)


def test_sentences_are_compared_if_either_corpus_has_no_documents():
    documents = [replace(instance(name, f"gout/B-D {FILLER}"), doc="1") for name in ("a1", "a2")]
    apart = [instance("b1", f"gout/B-D {FILLER}")]
    for sides in ((documents, apart), (apart, documents)):
        assert compare_gold(*sides, {"D": []})[0] == ("all", "sentence", 1, 1, 1, 1)


def test_a_type_may_be_part_of_the_name_of_another():
    first = [instance("a", f"HeLa/B-CellLine {FILLER}")]
    rows = compare_gold(first, first, {"Cell": [], "CellLine": []})
    assert [(row.label, row.common) for row in rows] == [("all", 1), ("Cell", 0), ("CellLine", 1)]


def test_texts_of_fewer_than_100_letters_and_digits_are_not_compared():
    """They may be equal by chance: the second has 99 of them."""
    for last, units in (("abcde", 1), ("abcd", 0)):
        text = "abcde " * 19 + last
        (row, _) = compare_gold([instance("a", text)], [instance("b", text)], {"Disease": []})
        assert row.units == units


def test_without_shared_documents_there_is_no_agreement():
    found = compare_gold(FIRST, [instance("b1", "gout/B-Disease")], TYPES)[0]
    assert (found.units, found.f1) == (0, None)

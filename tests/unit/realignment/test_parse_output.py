"""Lines of an answer: tokens may hold colons, tags stand behind the last one, and other lines are
none.
"""

import pytest

from bioner.realignment.parse_output import parse_answers, parse_lines


def test_the_tag_of_a_line_is_what_follows_its_last_colon():
    assert parse_lines("C18:1:B-Chemical\n::O\n") == [("C18:1", "B-Chemical"), (":", "O")]


def test_lines_without_a_colon_are_no_answer():
    assert parse_lines("Sure, here it is\n\ngout:B-Disease") == [("gout", "B-Disease")]


@pytest.mark.parametrize(
    "line",
    ["CHEBI:15377:B-CHEBI:CHEM", "CHEBI:15377 : B-CHEBI:CHEM", "CHEBI:15377:B-CHEBI:CHEM\r"],
)
def test_a_tag_that_is_known_may_hold_a_colon(line):
    tags = ["O", "B-CHEM", "B-CHEBI:CHEM", "I-CHEBI:CHEM"]
    assert parse_lines(line, tags) == [("CHEBI:15377", "B-CHEBI:CHEM")]
    assert parse_answers(f"{line} gout:O", tags) == [
        [("CHEBI:15377", "B-CHEBI:CHEM"), ("gout", "O")]
    ]
    assert parse_lines("B-cell:B-CHEM\nB-CHEBI:O", tags) == [("B-cell", "B-CHEM"), ("B-CHEBI", "O")]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("C18:1:B-Chemical\n::O\n", [[("C18:1", "B-Chemical"), (":", "O")]]),
        ("gout:B-Disease\r\n.:O", [[("gout", "B-Disease"), (".", "O")]]),
        ("a:O\n\nb:O\nno answer\nc:O", [[("a", "O")], [("b", "O")], [("c", "O")]]),
        ("a:O b:B-Disease  c : O", [[("a", "O"), ("b", "B-Disease"), ("c", "O")]]),
        ("renal failure:I-Disease", [[("renal failure", "I-Disease")]]),
        ("12:30 h:O", [[("12:30 h", "O")]]),
        (":O", []),
        ("", []),
    ],
)
def test_runs_of_answers(text, runs):
    assert parse_answers(text) == runs

"""Sixty corpora as the old evaluator counted them: nervaluate 0.1.5's `compute_metrics`, on
sentences and on windows.

The file was made once with that version, which cannot be installed beside the pinned one.
Ill-formed tags were repaired first; windows were cut out of the tags as the paper does
(scoring/paper.py).
"""

import json
from pathlib import Path

import pytest

from bioner.data.instances import Instance
from bioner.scoring.score import score
from bioner.scoring.tally import COUNTS
from tests.unit.scoring.predicted import predicted

CASES = [
    json.loads(line)
    for line in Path(__file__).with_name("paper_evaluator.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_counts_are_those_of_the_old_evaluator(case):
    gold = [
        Instance(f"s{number}", f"s{number}", ["w"] * len(tags.split()), tags.split())
        for number, tags in enumerate(case["gold"], 1)
    ]
    table = score(gold, predicted(*case["predicted"])).filter(scorer="paper")
    ours = {
        f"{row['stratum']} {row['scheme']}": [row[name] for name in COUNTS]
        for row in table.iter_rows(named=True)
    }
    assert ours == case["counts"]


def test_the_cases_show_that_more_may_be_possible_than_the_gold_has():
    possible = [sum(case["counts"]["all strict"][:4]) for case in CASES]
    entities = [
        sum(tag[0] == "B" for tags in case["gold"] for tag in tags.split()) for case in CASES
    ]
    assert sum(found > known for found, known in zip(possible, entities, strict=True)) >= 10

"""What others call F1: one small example for each, by hand."""

import pytest

from bioner.scoring.conventions import CONVENTIONS, Orphans
from bioner.scoring.score import score
from tests.conftest import instance
from tests.unit.scoring.predicted import predicted


def scores(
    gold: str, tags: str, scorer: str, scheme: str, orphans: Orphans | None = None
) -> tuple[float, float, float]:
    table = score([instance("s1", gold)], predicted(tags), orphans=orphans)
    (found,) = table.filter(scorer=scorer, scheme=scheme).iter_rows(named=True)
    return tuple(pytest.approx(found[name]) for name in ("precision", "recall", "f1"))


def test_every_convention_has_a_row_and_every_row_a_description():
    table = score([instance("s1", "gout/B-D")], predicted("B-D"), orphans={})
    rows = (
        table.filter(~table["scorer"].is_in(["semeval", "paper", "subset"]))
        .select("scorer", "scheme")
        .rows()
    )
    assert rows == list(CONVENTIONS)


def test_string_sets_count_a_text_once_however_often_and_wherever_it_stands():
    # Gold texts {gout, aspirin}; predicted {gout}: the second GOUT and the place of the first do
    # not matter.
    gold = "gout/B-D or/O GOUT/O gout/B-D aspirin/B-C"
    assert scores(gold, "O O B-D O O", "string-set", "strict") == (100, 50, 200 / 3)


def test_string_sets_keep_types_apart():
    assert scores("gout/B-D gout/B-C", "B-D B-D", "string-set", "strict") == (100, 50, 200 / 3)


def test_any_overlap_counts_predictions_that_meet_gold_and_gold_that_predictions_meet():
    # One prediction over both diseases; a chemical of the wrong type: P 1 of 2, R 2 of 3.
    gold = "gout/B-D renal/B-D failure/I-D aspirin/B-C"
    assert scores(gold, "B-D I-D O B-D", "any-overlap", "type") == (50, 200 / 3, 400 / 7)


def test_any_overlap_is_no_touch():
    # Predictions of its type before the entity and behind it: neither shares a token with it.
    assert scores("renal/O gout/B-D hurts/O", "B-D O B-D", "any-overlap", "type") == (0, 0, 0)


def test_one_character_of_tolerance_forgives_punctuation_at_either_end_and_no_word_or_other_type():
    # `gout ,` ends one character later; `( aspirin )` starts one before and ends one after; `mg`
    # for `1 mg` misses a digit and a space.
    gold = "gout/B-D ,/O (/O aspirin/B-C )/O 1/B-Q mg/I-Q"
    assert scores(gold, "B-D I-D B-C I-C I-C O B-Q", "one-character", "strict") == (
        200 / 3,
        200 / 3,
        200 / 3,
    )
    assert scores(gold, "B-C I-C O O O O O", "one-character", "strict") == (0, 0, 0)


def test_one_character_of_tolerance_is_not_two():
    assert scores("gout/B-D ,/O ,/O", "B-D I-D I-D", "one-character", "strict") == (0, 0, 0)


def test_one_character_of_tolerance_uses_a_gold_entity_once():
    # Both halves of `a-` are one character away; and an entity that is met exactly is met.
    assert scores("a/B-D -/I-D", "B-D B-D", "one-character", "strict") == (50, 100, 200 / 3)
    assert scores("a/B-D -/O", "B-D B-D", "one-character", "strict") == (50, 100, 200 / 3)


def test_one_character_of_tolerance_uses_a_prediction_once():
    # `a-` is one character away from both of its halves, and the comma from both brackets.
    assert scores("a/B-D -/B-D", "B-D I-D", "one-character", "strict") == (100, 50, 200 / 3)
    assert scores("(/B-D ,/B-C )/B-D", "O B-D O", "one-character", "strict") == (100, 100 / 3, 50)


def test_strict_iob2_drops_entities_that_began_with_an_i():
    gold = "gout/B-D and/O renal/B-D failure/I-D"
    # As written: B-D O I-D I-D. Repaired both are right; without repair one of one, one of two.
    tags = "B-D O B-D I-D"
    assert scores(gold, tags, "strict-iob2", "strict", orphans={"s1": [2]}) == (100, 50, 200 / 3)
    assert scores(gold, tags, "strict-iob2", "strict", orphans={}) == (100, 100, 100)


def test_without_knowing_what_was_repaired_there_is_no_row_of_strict_iob2():
    assert "strict-iob2" not in score([instance("s1", "gout/B-D")], predicted("B-D"))["scorer"]


def test_tokens_are_right_with_their_whole_tag():
    # Gold has 3 tagged tokens, predicted 3: B-D of renal and of gout, not the I- where a B- stands.
    gold = "renal/B-D failure/I-D gout/B-D"
    assert scores(gold, "B-D B-D B-D", "token", "strict") == (200 / 3, 200 / 3, 200 / 3)


def test_token_accuracy_without_o_is_the_recall_of_tokens():
    assert scores("gout/B-D and/O aspirin/B-C", "B-D B-D O", "token", "strict")[1] == 50


def test_the_right_boundary_is_the_last_token_and_the_type():
    # `failure` for `renal failure` is right, `chronic gout` cut after chronic is not.
    gold = "renal/B-D failure/I-D chronic/B-D gout/I-D"
    assert scores(gold, "O B-D B-D O", "lenient", "right-boundary") == (50, 50, 50)


def test_overlap_is_relaxed_with_full_credit():
    gold = "renal/B-D failure/I-D gout/B-D"
    # One overlap, of another type: half of it in relaxed, the whole of it here.
    assert scores(gold, "O B-C O", "lenient", "overlap") == (100, 50, 200 / 3)

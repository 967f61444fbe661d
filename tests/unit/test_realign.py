"""Whatever a model wrote, realignment gives exactly one valid tag a gold token, and counts what it took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioner.errors import InputError
from bioner.raw import Generated, Tagged, read_raw, write_raw
from bioner.realign import realign
from bioner.tags import tag_set, violation
from tests.conftest import instance

GOLD = instance("s1", "Oral/O aspirin/B-Chemical caused/O acute/B-Disease renal/I-Disease failure/I-Disease ./O")
LEGAL = frozenset(tag_set(["Chemical", "Disease"]))


def written(*lines: str, stopped: bool = True) -> Generated:
    return Generated("s1", "\n".join(lines) + "\n", 10, stopped)


def lines_of(tokens, tags) -> list[str]:
    return [f"{token}:{tag}" for token, tag in zip(tokens, tags, strict=True)]


def test_a_faithful_answer_gives_its_tags():
    prediction, alignment = realign(GOLD, written(*lines_of(GOLD.tokens, GOLD.tags)), LEGAL)
    assert prediction.tags == GOLD.tags
    assert (alignment.exact, alignment.substituted, alignment.dropped, alignment.added) == (7, 0, 0, 0)


def test_a_dropped_token_is_outside_and_the_rest_keep_their_tags():
    lines = lines_of(GOLD.tokens, GOLD.tags)
    prediction, alignment = realign(GOLD, written(*lines[:2], *lines[3:]), LEGAL)
    assert prediction.tags == GOLD.tags
    assert (alignment.exact, alignment.dropped) == (6, 1)


def test_a_respelled_token_keeps_its_tag_with_robust_and_loses_it_with_paper():
    lines = lines_of(["Oral", "asprin", *GOLD.tokens[2:]], GOLD.tags)
    robust, alignment = realign(GOLD, written(*lines), LEGAL, "robust")
    paper, paper_alignment = realign(GOLD, written(*lines), LEGAL, "paper")
    assert robust.tags == GOLD.tags
    assert alignment.substituted == 1
    assert paper.tags == ["O", "O", *GOLD.tags[2:]]
    assert (paper_alignment.substituted, paper_alignment.dropped, paper_alignment.added) == (0, 1, 1)


def test_an_added_token_shifts_nothing():
    lines = lines_of(GOLD.tokens, GOLD.tags)
    prediction, alignment = realign(GOLD, written(lines[0], "extra:B-Disease", *lines[1:]), LEGAL)
    assert prediction.tags == GOLD.tags
    assert alignment.added == 1


def test_a_type_the_corpus_does_not_have_becomes_outside_and_is_counted():
    tags = ["O", "B-Drug", *GOLD.tags[2:]]
    prediction, alignment = realign(GOLD, written(*lines_of(GOLD.tokens, tags)), LEGAL)
    assert prediction.tags[1] == "O"
    assert alignment.illegal_tags == 1


def test_an_inside_that_continues_nothing_begins_an_entity_and_is_counted():
    tags = ["O", "I-Chemical", *GOLD.tags[2:]]
    prediction, alignment = realign(GOLD, written(*lines_of(GOLD.tokens, tags)), LEGAL)
    assert prediction.tags == GOLD.tags
    assert (alignment.orphan_tags, alignment.orphan_positions) == (1, "1")


def test_an_answer_cut_off_by_the_budget_is_marked():
    assert realign(GOLD, written("Oral:O", stopped=False), LEGAL)[1].hit_budget


def test_subwords_vote_and_the_first_decides_a_tie():
    gold = instance("s1", "acetaminophen/B-Chemical overdose/O")
    output = Tagged("s1", [0, 0, 0, 1, 1], ["B-Chemical", "O", "B-Chemical", "O", "B-Disease"])
    assert realign(gold, output, LEGAL)[0].tags == ["B-Chemical", "O"]


def test_a_word_without_subwords_is_outside_and_counted_as_dropped():
    gold = instance("s1", "a/O b/O")
    prediction, alignment = realign(gold, Tagged("s1", [1], ["B-Disease"]), LEGAL)
    assert prediction.tags == ["O", "B-Disease"]
    assert alignment.dropped == 1


@given(st.text(max_size=200), st.sampled_from(["robust", "paper"]))
def test_any_text_gives_valid_tags_of_the_gold_length(text, method):
    prediction, alignment = realign(GOLD, Generated("s1", text, 5, False), LEGAL, method)
    assert len(prediction.tags) == len(GOLD.tokens)
    assert violation(prediction.tags) is None
    assert alignment.exact + alignment.substituted + alignment.dropped == alignment.gold_tokens
    assert alignment.exact + alignment.substituted + alignment.added == alignment.output_tokens


@given(st.lists(st.tuples(st.sampled_from([*GOLD.tokens, "x", ":"]), st.sampled_from([*sorted(LEGAL), "?", ""]))))
def test_any_lines_give_valid_tags_of_the_gold_length(pairs):
    prediction, _ = realign(GOLD, written(*(f"{token}:{tag}" for token, tag in pairs)), LEGAL)
    assert len(prediction.tags) == len(GOLD.tokens)
    assert violation(prediction.tags) is None


def test_raw_outputs_come_back_as_written(tmp_path):
    outputs = [written("Oral:O"), Tagged("s2", [0, 1], ["O", "B-Disease"])]
    gold = [GOLD, instance("s2", "no/O gout/O")]
    write_raw(tmp_path / "raw.jsonl.gz", outputs)
    assert list(read_raw(tmp_path / "raw.jsonl.gz", gold)) == outputs


@pytest.mark.parametrize(
    ("outputs", "named"),
    [
        ([Tagged("s9", [0], ["O"])], "s9"),
        ([Tagged("s1", [0], ["O"]), Tagged("s1", [0], ["O"])], "no more than the gold's 1"),
        ([], "'s1' is missing"),
        ([Tagged("s1", [7], ["O"])], "word index 7"),
        ([Tagged("s1", [0, 1], ["O"])], "2 word indices and 1 tags"),
    ],
)
def test_raw_outputs_of_another_gold_file_are_refused(tmp_path, outputs, named):
    write_raw(tmp_path / "raw.jsonl", outputs)
    with pytest.raises(InputError, match=named):
        list(read_raw(tmp_path / "raw.jsonl", [GOLD]))

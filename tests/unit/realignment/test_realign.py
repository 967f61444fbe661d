"""Whatever a model wrote, realignment gives exactly one valid tag a gold token, and counts what it
took.
"""

from dataclasses import asdict

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioner.data.raw_outputs import Generated, Tagged, read_raw, write_raw
from bioner.data.tags import tag_set, violation
from bioner.errors import InputError
from bioner.io.tables import write_table
from bioner.realignment.matching import plain
from bioner.realignment.realign import ALIGNMENT, read_orphans, realign, realign_all
from tests.conftest import instance

GOLD = instance(
    "s1", "Oral/O aspirin/B-Chemical caused/O acute/B-Disease renal/I-Disease failure/I-Disease ./O"
)
LEGAL = frozenset(tag_set(["Chemical", "Disease"]))
FAITHFUL = [f"{token}:{tag}" for token, tag in zip(GOLD.tokens, GOLD.tags, strict=True)]


def written(*lines: str, stopped: bool = True) -> Generated:
    return Generated("s1", "\n".join(lines) + "\n", 10, stopped)


def lines_of(tokens, tags) -> list[str]:
    return [f"{token}:{tag}" for token, tag in zip(tokens, tags, strict=True)]


def test_a_faithful_answer_gives_its_tags():
    prediction, alignment = realign(GOLD, written(*lines_of(GOLD.tokens, GOLD.tags)), LEGAL)
    assert prediction.tags == GOLD.tags
    assert (alignment.exact, alignment.substituted, alignment.dropped, alignment.added) == (
        7,
        0,
        0,
        0,
    )
    assert not alignment.truncated


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
    assert (paper_alignment.substituted, paper_alignment.dropped, paper_alignment.added) == (
        0,
        1,
        1,
    )


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


def test_orphans_are_read_from_where_realignment_wrote_them(tmp_path):
    first = written("Oral:O", "aspirin:I-Chemical", "caused:O", "acute:I-Disease", *FAITHFUL[4:])
    second = Generated("s2", "No:O\ngout:B-Disease\n", 9, True)
    predictions, alignments = realign_all(
        [GOLD, instance("s2", "No/O gout/B-Disease")], [first, second], LEGAL
    )
    path = tmp_path / "alignment.csv"
    write_table(path, pl.DataFrame(list(map(asdict, alignments)), schema=ALIGNMENT))
    assert read_orphans(path, predictions) == {"s1": [1, 3], "s2": []}
    path.write_text(path.read_text().replace('""', ""))  # as spreadsheets save it
    assert read_orphans(path, predictions) == {"s1": [1, 3], "s2": []}


def test_an_answer_cut_off_by_the_budget_is_marked():
    assert realign(GOLD, written("Oral:O", stopped=False), LEGAL)[1].truncated


def test_subwords_vote_and_the_first_decides_a_tie():
    gold = instance("s1", "acetaminophen/B-Chemical overdose/O")
    output = Tagged("s1", [0, 0, 0, 1, 1], ["B-Chemical", "O", "B-Chemical", "O", "B-Disease"])
    assert realign(gold, output, LEGAL)[0].tags == ["B-Chemical", "O"]


def test_a_word_without_subwords_is_outside_and_counted_as_dropped():
    gold = instance("s1", "a/O b/O")
    prediction, alignment = realign(gold, Tagged("s1", [1], ["B-Disease"]), LEGAL)
    assert prediction.tags == ["O", "B-Disease"]
    assert alignment.dropped == 1


# What robust realignment makes of an answer, line by line: the tags it should end with, and how
# many gold tokens count as exact, substituted and dropped, and how many written ones as added.
WRITTEN = {
    "case": (["ORAL:O", "Aspirin:B-Chemical", *FAITHFUL[2:]], GOLD.tags, (5, 2, 0, 0)),
    "escaped": ([r"\u004fral:O", r"\x61spirin:B-Chemical", *FAITHFUL[2:]], GOLD.tags, (5, 2, 0, 0)),
    "split": (
        ["Oral:O", "asp:B-Chemical", "irin:I-Chemical", *FAITHFUL[2:]],
        GOLD.tags,
        (6, 1, 0, 0),
    ),
    "split, then one replaced": (
        ["Or:O", "al:O", "med:B-Chemical", *FAITHFUL[2:]],
        GOLD.tags,
        (5, 2, 0, 0),
    ),
    "half of its letters": (
        ["Oral:O", "asks:B-Chemical", "xyz:O", *FAITHFUL[2:]],
        GOLD.tags,
        (6, 1, 0, 1),
    ),
    "merged": ([*FAITHFUL[:4], "renalfailure:I-Disease", ".:O"], GOLD.tags, (5, 2, 0, 0)),
    "merged, beginning": (
        [*FAITHFUL[:3], "acuterenal:B-Disease", "failure:I-Disease", ".:O"],
        GOLD.tags,
        (5, 2, 0, 0),
    ),
    "merged with a blank": (
        [*FAITHFUL[:4], "renal failure:I-Disease", ".:O"],
        GOLD.tags,
        (5, 2, 0, 0),
    ),
    "replaced": (["Oral:O", "ASA:B-Chemical", *FAITHFUL[2:]], GOLD.tags, (6, 1, 0, 0)),
    "two replaced": (
        [*FAITHFUL[:4], "kidney:I-Disease", "collapse:I-Disease", ".:O"],
        GOLD.tags,
        (5, 2, 0, 0),
    ),
    "repeated": (
        [*FAITHFUL[:2], "aspirin:B-Chemical", "aspirin:B-Chemical", *FAITHFUL[2:]],
        GOLD.tags,
        (7, 0, 0, 2),
    ),
    "left out inside": ([*FAITHFUL[:4], *FAITHFUL[5:]], GOLD.tags, (6, 0, 1, 0)),
    "left out at the beginning": ([*FAITHFUL[:3], *FAITHFUL[4:]], GOLD.tags, (6, 0, 1, 0)),
    "two left out": (
        [*FAITHFUL[:3], *FAITHFUL[5:]],
        [*GOLD.tags[:3], "O", "O", "B-Disease", "O"],
        (5, 0, 2, 0),
    ),
    "left out, nothing goes on": (
        [FAITHFUL[0], *FAITHFUL[2:]],
        ["O", "O", *GOLD.tags[2:]],
        (6, 0, 1, 0),
    ),
    "garbage before": (
        ["Sure! Here are the labels:", "", "```", *FAITHFUL],
        GOLD.tags,
        (7, 0, 0, 1),
    ),
    "garbage behind": (
        [*FAITHFUL, "```", "Note: aspirin:B-Disease is one"],
        GOLD.tags,
        (7, 0, 0, 1),
    ),
    "two answers, the first counts": (
        [*FAITHFUL, *(f"{token}:O" for token in GOLD.tokens)],
        GOLD.tags,
        (7, 0, 0, 7),
    ),
    "two answers set apart": (
        [*FAITHFUL, "### Response:", *(f"{t}:O" for t in GOLD.tokens)],
        GOLD.tags,
        (7, 0, 0, 8),
    ),
    "an answer broken off, then a whole one": (
        [*FAITHFUL[:3], "Again:", *FAITHFUL],
        GOLD.tags,
        (7, 0, 0, 4),
    ),
    "a line for all": ([" ".join(FAITHFUL)], GOLD.tags, (7, 0, 0, 0)),
    "blanks around the colon": (
        [line.replace(":", " : ") for line in FAITHFUL],
        GOLD.tags,
        (7, 0, 0, 0),
    ),
    "two answers, the first slightly wrong": (
        ["Orl:O", *FAITHFUL[1:], *(f"{token}:O" for token in GOLD.tokens)],
        GOLD.tags,
        (6, 1, 0, 7),
    ),
    "two answers, both beginning wrong": (
        [*FAITHFUL[1:], *(f"{token}:O" for token in GOLD.tokens[1:])],
        GOLD.tags,
        (6, 0, 1, 6),
    ),
    "a remark behind a tag": (
        ["Oral:O", "aspirin:B-Chemical (a drug)", *FAITHFUL[2:]],
        GOLD.tags,
        (7, 0, 0, 0),
    ),
    "two for one that share nothing": (
        ["Oral:O", "foo:B-Disease", "bar:O", *FAITHFUL[2:]],
        ["O", "O", *GOLD.tags[2:]],
        (6, 0, 1, 2),
    ),
    "half a surrogate, escaped": (
        ["Oral:O", r"\ud800:B-Chemical", *FAITHFUL[2:]],
        GOLD.tags,
        (6, 1, 0, 0),
    ),
    "split, the larger piece decides": (
        ["Oral:O", "a:O", "spirin:B-Chemical", *FAITHFUL[2:]],
        GOLD.tags,
        (6, 1, 0, 0),
    ),
    "nothing": ([], ["O"] * 7, (0, 0, 7, 0)),
    "illegal": (["Oral:MAYBE", *FAITHFUL[1:]], GOLD.tags, (7, 0, 0, 0)),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_robust_realignment(name):
    lines, tags, counts = WRITTEN[name]
    prediction, alignment = realign(GOLD, written(*lines), LEGAL)
    assert prediction.tags == tags
    assert (alignment.exact, alignment.substituted, alignment.dropped, alignment.added) == counts
    assert alignment.output_tokens - alignment.added <= alignment.gold_tokens + 1


@pytest.mark.parametrize(
    ("token", "same"),
    [
        (r"\u03b1-TOCOPHEROL", "α-tocopherol"),
        (r"\U0001d6fc", "α"),
        (r"\x3c", "<"),
        ("&lt;", "<"),
        ("&#945;", "α"),
        ("ﬁbrosis", "fibrosis"),
        ("Ca²⁺", "ca2+"),
        ("Straße", "STRASSE"),
        ("10\u00a0mg", "10mg"),
    ],
)
def test_spellings_that_are_one_token(token, same):
    assert plain(token) == plain(same)


def test_the_paper_s_matching_finds_words_however_often_a_long_sentence_has_them():
    """difflib treats frequent elements as junk in sequences of 200 or more, unless autojunk is
    off.
    """
    gold = instance("s1", "a/B-Disease t " * 110)
    prediction, alignment = realign(
        gold, written(*lines_of(gold.tokens[1:], gold.tags[1:])), LEGAL, "paper"
    )
    assert (prediction.tags, alignment.exact) == (["O", *gold.tags[1:]], 219)


def test_short_sentences_that_repeat_a_word():
    gold = instance("s1", "of/B-Disease of/I-Disease")
    text = Generated("s1", "of:B-Disease\nof:I-Disease\n\nof:O\nof:O\n", 1, True)
    assert realign(gold, text, LEGAL)[0].tags == gold.tags


def test_what_nobody_wrote_is_not_counted():
    gold = instance("s1", "L0/O V2/O")
    alignment = realign(gold, Generated("s1", "V2:I-\n", 1, True), LEGAL)[1]
    assert (alignment.illegal_tags, alignment.output_tokens) == (1, 1)
    left_out = written(*FAITHFUL[:3], *FAITHFUL[4:])
    assert realign(GOLD, left_out, LEGAL)[1].orphan_tags == 0, (
        "the token left out begins what goes on"
    )


def test_reachable_entities_are_those_a_perfect_model_would_still_find():
    def reachable(*lines, method="robust"):
        alignment = realign(GOLD, written(*lines), LEGAL, method)[1]
        assert alignment.gold_entities == 2
        return alignment.reachable_entities

    all_wrong = [f"{token}:O" for token in GOLD.tokens]
    assert reachable(*all_wrong) == 2, "it is not the model's tags that count"
    assert reachable("Oral:O", *all_wrong[2:]) == 1
    assert reachable() == 0
    assert reachable("Oral:O", "asprin:O", *all_wrong[2:]) == 2
    assert reachable("Oral:O", "asprin:O", *all_wrong[2:], method="paper") == 1
    # Two tokens that are one now can have but one tag.
    assert reachable("Oralaspirin:O", *all_wrong[2:]) == 1


def test_types_with_a_colon_are_read_with_and_without_a_list_of_legal_tags():
    gold = instance("s1", "CHEBI:15377/B-CHEBI:CHEM binds/O TP53/B-Gene")
    answer = written(*lines_of(gold.tokens, gold.tags))
    for legal in (frozenset(tag_set(["CHEBI:CHEM", "Gene"])), None):
        for method in ("robust", "paper"):
            (prediction,), (alignment,) = realign_all([gold], [answer], legal, method)
            assert prediction.tags == gold.tags
            assert (alignment.exact, alignment.illegal_tags) == (3, 0)
            assert alignment.reachable_entities == 2


@pytest.mark.parametrize("tag", ["", "MAYBE", "CHEBI:CHEM", "B-"])
def test_entities_whose_tags_cannot_be_read_are_not_reachable(tag):
    _, alignment = realign(GOLD, written(*FAITHFUL[:5], f"failure:{tag}", FAITHFUL[6]), LEGAL)
    assert (alignment.reachable_entities, alignment.gold_entities) == (1, 2)


def test_a_tagger_reaches_what_it_has_pieces_for():
    gold = instance("s1", "acute/B-Disease gout/B-Disease")
    assert realign(gold, Tagged("s1", [0, 0], ["O", "O"]), LEGAL)[1].reachable_entities == 1


@given(st.text(max_size=200), st.sampled_from(["robust", "paper"]))
def test_any_text_gives_valid_tags_of_the_gold_length(text, method):
    prediction, alignment = realign(GOLD, Generated("s1", text, 5, False), LEGAL, method)
    assert len(prediction.tags) == len(GOLD.tokens)
    assert violation(prediction.tags) is None
    assert alignment.exact + alignment.substituted + alignment.dropped == alignment.gold_tokens
    assert 0 <= alignment.added <= alignment.output_tokens
    assert 0 <= alignment.reachable_entities <= alignment.gold_entities == 2


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*GOLD.tokens, "x", ":"]), st.sampled_from([*sorted(LEGAL), "?", ""])
        )
    )
)
def test_any_lines_give_valid_tags_of_the_gold_length(pairs):
    prediction, _ = realign(GOLD, written(*(f"{token}:{tag}" for token, tag in pairs)), LEGAL)
    assert len(prediction.tags) == len(GOLD.tokens)
    assert violation(prediction.tags) is None


def test_raw_outputs_come_back_as_written(tmp_path):
    alternatives = [[["O"], ["B-Disease"], ["I-Disease"]], [["B-Disease"], ["I-Disease"]]]
    log_probs = [[(0, [-0.1, -2.5, -4.0])], [(0, [-0.7, -0.7, -5]), (1, [-0.693, -0.693])]]
    outputs = [
        written("Oral:O"),
        Tagged("s2", [0, 1], ["O", "B-Disease"], alternatives, log_probs),
    ]
    gold = [GOLD, instance("s2", "no/O gout/O")]
    write_raw(tmp_path / "raw.jsonl.gz", outputs)
    assert list(read_raw(tmp_path / "raw.jsonl.gz", gold)) == outputs


@pytest.mark.parametrize(
    ("outputs", "named"),
    [
        ([Tagged("s9", [0], ["O"])], "s9"),
        (
            [Tagged("s1", [0], ["O"]), Tagged("s1", [0], ["O"])],
            "'s1', a second time; expected no more than the gold's 1",
        ),
        ([Tagged("t1", [0], ["O"])], "'t1', not in the gold"),
        ([], "'s1' is missing"),
        ([Tagged("s1", [7], ["O"])], "word index 7"),
        ([Tagged("s1", [0, 1], ["O"])], "2 word indices and 1 tags"),
        ([Generated("s1", "", -1, True)], "new_tokens -1"),
        (
            [Generated("s1", "", 1, True, confidence=[1.0] * 6)],
            "other confidence or margin; expected 7 numbers",
        ),
        ([Generated("s1", "", 1, True, confidence=[1.5] * 7)], "other confidence or margin"),
        *(
            ([Tagged("s1", [0], ["O"], alternatives, log_probs)], "other alternatives or log_probs")
            for alternatives, log_probs in (
                (None, [[]] * 7),
                ([], None),
                ([[["O"], ["B-X"]]], [[]] * 6),
                ([[["O"], ["B-X"]]], [[(0, [-0.1])]] * 7),
                ([[["O"], ["B-X"]]], [[(1, [-0.1, -2.4])]] * 7),
                ([[["O"], ["B-X"]]], [[(0, [0.1, -2.4])]] * 7),
                ([[["O"], ["B-X"]]], [[(0, [float("nan"), -2.4])]] * 7),
                ([[["O"], [1]]], [[]] * 7),
            )
        ),
    ],
)
def test_raw_outputs_of_another_gold_file_are_refused(tmp_path, outputs, named):
    write_raw(tmp_path / "raw.jsonl", outputs)
    with pytest.raises(InputError, match=named):
        list(read_raw(tmp_path / "raw.jsonl", [GOLD]))

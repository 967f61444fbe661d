"""A sentence between two passes: what the model answered on a wrong draft is the next draft."""

from collections.abc import Sequence

import numpy as np
import pytest

from bioner.data.tags import tag_set
from bioner.inference.decoding.drafts import Draft, all_outside
from bioner.inference.decoding.requests import DecodingRequest
from bioner.inference.decoding.sentence import Counts, Decisions, SentenceState
from bioner.models.answer_trie import AnswerTrie
from tests.conftest import instance

ANSWERS = ["B-Disease", "O", "B-Disease", "O"]  # of the model, to whatever stands before


@pytest.fixture
def drafted_next(tokenizer):
    """Return the tags drafted after a pass over a draft of O throughout."""

    def second(draft: Draft) -> list[str]:
        lines = AnswerTrie(tokenizer, tag_set(["Disease"]))
        text = instance("t", "a b a b")
        sentence = SentenceState(
            DecodingRequest(0, text, [], 0), lines.words(text.tokens), draft, [], 1000
        )
        sentence.extend(lines, 4)
        assert sentence.drafted == ["O"] * 4
        sentence.settle(answered(sentence, ANSWERS), 0, Counts())
        assert sentence.tags == ["B-Disease"]
        sentence.extend(lines, 3)
        return sentence.drafted

    return second


def answered(sentence: SentenceState, tags: Sequence[str]) -> Decisions:
    chosen = [
        next(at for at, left in enumerate(branch.choices.values()) if tags[word] in left)
        for word, branch in zip(sentence.numbers, sentence.branches, strict=True)
    ]
    some = [1.0] * len(chosen)
    return Decisions(chosen, some, some, np.zeros((len(chosen), 3)))


def test_what_was_answered_after_a_wrong_draft_is_drafted(drafted_next):
    assert drafted_next(all_outside()) == ANSWERS[1:]


def test_if_the_tag_before_matters_only_answers_after_the_same_tag_are_drafted(drafted_next):
    draft = Draft(
        "after B is I",
        lambda text, position, before: ["I-Disease" if before == "B-Disease" else "O"],
        follows=True,
    )
    assert drafted_next(draft) == ["I-Disease", "O", "O"]


def test_what_a_pass_reads_is_estimated_by_lines_of_o(tokenizer):
    lines = AnswerTrie(tokenizer, tag_set(["Disease"]))
    text = instance("t", "a gout a")
    words = lines.words(text.tokens)
    of = [len(word.line("O")) for word in words]
    sentence = SentenceState(DecodingRequest(0, text, [], 0), words, all_outside(), [7, 8], 1000)
    assert sentence.expected_widths(2) == (2 + of[0], 2 + of[0] + of[1], False)
    assert sentence.expected_widths(9) == (2 + of[0], 2 + sum(of), True)

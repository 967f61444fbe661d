"""Encoders: no word is lost between words and subwords, whatever the window."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bioner.models import IGNORED
from bioner.models.encoder import labelled, pieces
from bioner.models.hub import load_tokenizer
from bioner.training.scratch import make_pretrained


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder, sentences, tmp_path_factory):
    return load_tokenizer(make_pretrained(tiny_encoder, sentences, 1, tmp_path_factory.mktemp("bert") / "model"))


WORDS = st.lists(
    st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12), min_size=1, max_size=30
)


@settings(max_examples=50, deadline=None)
@given(words=WORDS, limit=st.integers(5, 40))
def test_pieces_fit_the_window_and_hold_the_words_in_order(tokenizer, words, limit):
    cut = list(pieces(tokenizer, words, limit))
    assert all(len(piece.input_ids) <= limit for piece in cut)
    found = [word for piece in cut for word in piece.words if word is not None]
    assert found == sorted(found)
    whole = {word for word in tokenizer(words, is_split_into_words=True).word_ids() if word is not None}
    assert set(found) == whole


def test_a_sentence_that_fits_is_one_piece_with_special_tokens_around(tokenizer):
    (piece,) = pieces(tokenizer, ["chronic", "gout"], 32)
    assert (piece.input_ids[0], piece.input_ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
    assert (piece.words[0], piece.words[-1]) == (None, None)


def test_every_subword_carries_its_word_s_label_and_special_tokens_none(tokenizer):
    (piece,) = pieces(tokenizer, ["chronic", "gout"], 32)
    features = labelled(piece, ["O", "B-Disease"], {"O": 0, "B-Disease": 1})
    expected = [IGNORED if word is None else word for word in piece.words]
    assert features["labels"] == expected
    assert len(features["input_ids"]) == len(features["attention_mask"]) == len(expected)

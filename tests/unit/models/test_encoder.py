"""Encoders: no word is lost between words and subwords, whatever window, tokenizer or word."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from bioner.models import IGNORED
from bioner.models.encoder import batches
from bioner.models.pretrained import load_tokenizer
from bioner.models.subword_windows import cut, gathered, labelled
from bioner.realignment.realign import realign
from bioner.training.scratch import make_pretrained
from tests.conftest import instance


@pytest.fixture(scope="module", params=["bert", "deberta-v2"])
def tokenizer(request, tiny_encoder, sentences, tmp_path_factory):
    scratch = tiny_encoder.source.scratch.model_copy(update={"architecture": request.param})
    return load_tokenizer(
        make_pretrained(scratch, sentences, 1, tmp_path_factory.mktemp("encoder") / "model")
    )


@pytest.fixture(scope="module")
def poor_tokenizer():
    """Lower-cases, drops control characters and knows five words, but no quotation mark."""
    return of_pieces("renal", "failure", "gout", "a", "##a")


def of_pieces(*pieces):
    """Make a BERT tokenizer of these pieces, with ids from 4; control characters have none."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *pieces]
    tokenizer = Tokenizer(
        models.WordPiece({name: number for number, name in enumerate(names)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )


WORDS = st.lists(
    st.text(st.characters(categories=["L", "N", "P", "S", "Cf", "Cc"]), min_size=1, max_size=12)
    .map(lambda text: "".join(text.split()))
    .filter(bool),
    min_size=1,
    max_size=30,
)


@settings(max_examples=80)
@given(words=WORDS, limit=st.integers(16, 40), deciding=st.sampled_from(["all", "first"]))
def test_every_word_is_decided_about_once_whatever_the_window(tokenizer, words, limit, deciding):
    made = cut(tokenizer, [words], limit, deciding)
    (windows,) = made.windows
    assert all(len(window.input_ids) <= limit for window in windows)
    found = [word for window in windows for word in window.words if word is not None]
    assert found == sorted(found), "in order: no window decides about what another does"
    assert set(found) == set(range(len(words)))
    assert made.words_lost == 0
    if deciding == "first":
        assert found == list(range(len(words)))


@settings(max_examples=50)
@given(words=WORDS)
def test_windows_decide_about_the_subwords_of_the_whole_sentence(tokenizer, words):
    (whole,) = cut(tokenizer, [words], 10_000).windows[0]
    windows = cut(tokenizer, [words], 16).windows[0]
    deciding = [
        pair for window in windows for pair in zip(window.input_ids, window.words, strict=True)
    ]
    expected = list(zip(whole.input_ids, whole.words, strict=True))
    assert [pair for pair in deciding if pair[1] is not None] == [
        pair for pair in expected if pair[1] is not None
    ]


def test_windows_overlap_by_a_quarter_and_share_the_overlap_between_words(poor_tokenizer):
    # 14 subwords fit beside [CLS] and [SEP]; the second window begins where the 20 words leave it
    # 14.
    tokenizer = poor_tokenizer
    tokenizer.backend_tokenizer.post_processor = None
    first, second = cut(tokenizer, [["gout"] * 20], 14).windows[0]
    assert [word for word in first.words if word is not None] == list(range(10))
    assert [word for word in second.words if word is not None] == list(range(10, 20))
    assert (first.words.count(None), second.words.count(None)) == (4, 4), (
        "seen, and decided about by the other"
    )


def test_each_window_starts_three_quarters_after_the_one_before_and_the_last_one_ends_the_sentence(
    poor_tokenizer,
):
    # Windows of 14 at 0, 11, 22 and 26 of 40; borders in the middle of what two of them see: 12,
    # 23, 31.
    windows = cut(poor_tokenizer, [["gout"] * 40], 14).windows[0]
    decided = [[word for word in window.words if word is not None] for window in windows]
    assert decided == [
        list(range(start, end)) for start, end in ((0, 12), (12, 23), (23, 31), (31, 40))
    ]


def test_no_border_runs_through_a_word(poor_tokenizer):
    for size in range(10, 40):
        windows = cut(poor_tokenizer, [["aa", "gout", "aaa"] * size], 17).windows[0]
        decided = [{word for word in window.words if word is not None} for window in windows]
        assert sum(map(len, decided)) == 3 * size, "a word is decided about by one window"


def test_a_word_longer_than_the_window_is_decided_about_by_several(poor_tokenizer):
    word = "a" * 40
    windows = cut(poor_tokenizer, [["gout", word]], 16).windows[0]
    assert len(windows) > 2
    assert [number for window in windows for number in window.words if number is not None] == [
        0
    ] + [1] * 40
    assert [
        number
        for window in cut(poor_tokenizer, [["gout", word]], 16, "first").windows[0]
        for number in window.words
        if number is not None
    ] == [0, 1]


def test_a_word_without_subwords_becomes_the_unknown_one_and_is_counted(poor_tokenizer):
    made = cut(poor_tokenizer, [["renal", "\x01", "\u200b", "failure"], ["gout"]], 32)
    assert made.counts() == {"windows": 2, "sentences_cut": 0, "words_unknown": 2, "words_lost": 0}
    (window,) = made.windows[0]
    assert window.words == [0, 1, 2, 3]
    assert window.input_ids == [4, 1, 1, 5]


def test_beside_a_word_without_subwords_the_others_keep_theirs_in_order():
    (window,) = cut(of_pieces("##s", "gout"), [["gouts", "\x01", "gouts"]], 32).windows[0]
    assert (window.words, window.input_ids) == ([0, 0, 1, 2, 2], [5, 4, 1, 5, 4])


def test_a_word_without_subwords_or_unknown_one_is_lost_and_counted(poor_tokenizer):
    bare = PreTrainedTokenizerFast(
        tokenizer_object=poor_tokenizer.backend_tokenizer, pad_token="[PAD]"
    )
    assert cut(bare, [["renal", "\x01", "failure"]], 32).counts()["words_lost"] == 1


def test_a_quotation_mark_that_the_vocabulary_lacks_is_a_word_like_any_other(poor_tokenizer):
    (window,) = cut(poor_tokenizer, [["renal", '"', "failure"]], 32).windows[0]
    assert (window.words, window.input_ids) == ([0, 1, 2], [4, 1, 5])


def test_a_word_that_looks_like_a_special_token_is_text(tokenizer):
    (window,) = cut(tokenizer, [["gout", "[SEP]", "gout"]], 40).windows[0]
    assert window.input_ids.count(tokenizer.sep_token_id) == 1
    assert {word for word in window.words if word is not None} == {0, 1, 2}


def test_a_sentence_that_fits_is_one_window_with_special_tokens_around(tokenizer):
    (window,) = cut(tokenizer, [["chronic", "gout"]], 32).windows[0]
    assert (window.input_ids[0], window.input_ids[-1]) == (
        tokenizer.cls_token_id,
        tokenizer.sep_token_id,
    )
    assert window.input_ids == tokenizer(["chronic", "gout"], is_split_into_words=True)["input_ids"]
    assert (window.words[0], window.words[-1]) == (None, None)


def test_every_subword_carries_its_word_s_label_and_special_tokens_none(tokenizer):
    (window,) = cut(tokenizer, [["chronic", "gout"]], 32).windows[0]
    features = labelled(window, ["O", "B-Disease"], {"O": 0, "B-Disease": 1})
    assert features["labels"] == [IGNORED if word is None else word for word in window.words]
    assert len(features["input_ids"]) == len(features["attention_mask"]) == len(features["labels"])


def test_with_first_the_other_subwords_carry_no_label(poor_tokenizer):
    (window,) = cut(poor_tokenizer, [["aaa", "gout"]], 32, "first").windows[0]
    assert labelled(window, ["B-X", "O"], {"O": 0, "B-X": 1})["labels"] == [1, IGNORED, IGNORED, 0]


@pytest.mark.parametrize(("deciding", "expected"), [("all", "I-Disease"), ("first", "B-Disease")])
def test_all_subwords_vote_or_the_first_decides(poor_tokenizer, deciding, expected):
    """The subwords of "aaa" are tagged B, I, I."""
    gold = instance("s", "aaa/O gout/O")
    windows = cut(poor_tokenizer, [gold.tokens], 32, deciding).windows[0]
    output = gathered("s", windows, [["B-Disease", "I-Disease", "I-Disease", "O"]])
    prediction, alignment = realign(gold, output, None)
    # An I- that follows nothing is repaired, and counted.
    assert prediction.tags == ["B-Disease", "O"]
    assert alignment.orphan_tags == (expected == "I-Disease")


@given(
    lengths=st.lists(st.integers(1, 60), max_size=40),
    most=st.integers(1, 8),
    tokens=st.integers(1, 200),
)
def test_batches_hold_everything_once_within_their_limits(lengths, most, tokens):
    made = list(batches(lengths, most, tokens))
    assert sorted(number for batch in made for number in batch) == list(range(len(lengths)))
    for batch in made:
        padded = max(lengths[number] for number in batch) * len(batch)
        assert len(batch) <= most
        assert padded <= tokens or len(batch) == 1

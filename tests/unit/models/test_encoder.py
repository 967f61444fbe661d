"""Encoders: no word is lost between words and subwords, whatever window, tokenizer or word."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from bioner.models import IGNORED
from bioner.models.encoder import batches, word_log_probs
from bioner.models.pretrained import load_tokenizer
from bioner.models.subword_windows import cut, gathered, labelled
from bioner.realignment.realign import realign
from bioner.training.scratch import make_pretrained
from tests.conftest import instance
from tests.families import FAMILIES, wordpiece


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


TEXT = ["Oral", "aspirin", "worsened", "C18:1", "acidosis", "(", "TNF-α", "1:4", ")", "."]
KINDS = {family.tokenizer.__name__: family.tokenizer for family in FAMILIES.values()}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_words_have_the_subwords_that_they_have_in_text(kind):
    tokenizer = KINDS[kind]([" ".join(TEXT)])
    made = cut(tokenizer, [TEXT], 512)
    (window,) = made.windows[0]
    text = tokenizer(" ".join(TEXT), return_offsets_mapping=True)
    assert window.input_ids == text["input_ids"]
    found = ["" for _ in TEXT]
    last = 0
    for word, (start, end) in zip(window.words, text["offset_mapping"], strict=True):
        if word is not None:
            found[word] += " ".join(TEXT)[max(start, last) : end].strip()
            last = end
    assert found == TEXT
    assert made.counts()["words_merged"] == made.counts()["words_unknown"] == 0


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_words_that_look_like_special_tokens_are_text_for_every_tokenizer(kind):
    tokenizer = KINDS[kind]([" ".join(TEXT)])
    words = ["gout", *tokenizer.all_special_tokens, "gout"]
    (window,) = cut(tokenizer, [words], 512).windows[0]
    ids = [
        id_ for id_, word in zip(window.input_ids, window.words, strict=True) if word is not None
    ]
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    assert not special & set(ids)
    assert {word for word in window.words if word is not None} == set(range(len(words)))


@settings(max_examples=50)
@given(words=WORDS)
def test_wordpiece_has_the_same_subwords_for_words_alone_and_in_text(words):
    tokenizer = wordpiece(["gout"])
    alone = tokenizer(
        words, is_split_into_words=True, add_special_tokens=False, split_special_tokens=True
    )
    made = cut(tokenizer, [words], 10_000)
    pairs = zip(made.windows[0][0].input_ids, made.windows[0][0].words, strict=True)
    # Words without subwords have the unknown one here.
    found = [pair for pair in pairs if pair[1] is not None and pair[1] in alone.word_ids()]
    assert found == list(zip(alone["input_ids"], alone.word_ids(), strict=True))


def test_wordpiece_reads_the_demo_corpus_as_it_always_has(repository):
    """Before version 0.3 words were tokenized alone."""
    files = sorted((repository / "resources/demo/test").iterdir())
    lines = "".join(file.read_text(encoding="utf-8") for file in files).splitlines()
    texts = [line.split() for line in lines if line and not line.startswith("#")]
    made = cut(wordpiece([" ".join(words) for words in texts]), texts, 24)
    rows = [[window.input_ids, window.words] for of_one in made.windows for window in of_one]
    assert len(rows) == 813
    assert hashlib.sha256(json.dumps(rows).encode()).hexdigest() == (
        "31314c0d7d6f3fed85e66a63579d9ecbc0b0ee94e06f8eac6569c6071f1965bf"
    )


def of_text(*pieces, pattern):
    """Make a tokenizer of these pieces, with ids from 1: every match of the pattern is one."""
    names = {name: number for number, name in enumerate(["[UNK]", *pieces])}
    tokenizer = Tokenizer(models.WordLevel(names, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[UNK]")


@pytest.mark.parametrize(
    ("pattern", "pieces", "expected"),
    [
        ("[a-z]+| |[0-9]+", ["had", " ", "12", "cells"], [0, 1, 1, 2, 2]),
        ("[a-z0-9]+ ?", ["had ", "12 ", "cells"], [0, 1, 2]),
        (".", [*"had 12cels"], [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2]),
    ],
    ids=["isolated", "behind", "characters"],
)
def test_a_blank_of_its_own_belongs_to_the_word_behind_it(pattern, pieces, expected):
    """Llama 3 and Mistral cut it off before numbers."""
    made = cut(of_text(*pieces, pattern=pattern), [["had", "12", "cells"]], 16)
    assert made.windows[0][0].words == expected
    assert made.words_merged == 0


def test_words_that_share_a_subword_are_counted_and_the_last_has_it():
    tokenizer = of_text("in vitro", " cells", " in vivo", pattern=" ?in [a-z]+| [a-z]+")
    made = cut(tokenizer, [["in", "vitro", "cells", "in", "vivo"]], 16)
    (window,) = made.windows[0]
    assert window.words == [0, 1, 2, 3, 4]
    assert window.input_ids == [0, 1, 2, 0, 3]
    assert (made.words_merged, made.words_unknown) == (4, 2)


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
    assert made.counts() == {
        "windows": 2,
        "sentences_cut": 0,
        "words_merged": 0,
        "words_unknown": 2,
        "words_lost": 0,
    }
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


def test_a_word_s_log_probabilities_are_of_the_mean_logits_of_its_pieces():
    logits = np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 3.0]])
    pieces, whole, none = word_log_probs([0, 0, 1], logits, 3)
    # (1, 0.5) and (1, 3); log(1 + e^-0.5) is 0.474, log(1 + e^-2) 0.127.
    assert pieces == [(0, [-0.474, -0.974])]
    assert whole == [(0, [-2.127, -0.127])]
    assert none == []  # a word without a piece


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

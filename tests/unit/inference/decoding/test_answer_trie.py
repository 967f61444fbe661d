"""Lines of a word: every tag's, where they branch, and which tags may follow which."""

import copy
import random
from itertools import pairwise, product
from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import Replace
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from benchmarks.parts import tokenizers
from bioner.data.tags import tag_set
from bioner.inference.decoding.draft_length import (
    CPU_OVERHEAD,
    DRAFT_LENGTHS,
    GPU_OVERHEADS,
    DraftLength,
    expected_cost,
    overhead_of,
)
from bioner.models.answer_trie import AnswerTrie, Endings
from bioner.models.prompt import lines_ids
from bioner.models.verbalizer import Verbalizer
from tests.unit.inference.decoding.conftest import TYPES


def walked(lines: AnswerTrie, token: str, tag: str) -> list[tuple[str, ...]]:
    """The tags that are left after each decision on the way to a tag."""
    route = lines.routes(*lines.words([token]), "")[tag]
    return [
        list(branch.choices.values())[choice]
        for branch, choice in zip(route.branches, route.choices, strict=True)
    ]


def test_every_tag_is_told_apart_by_its_branches(tokenizer):
    lines = AnswerTrie(tokenizer, tag_set(TYPES))
    for token in ["gout", "C18:1", ":", "(", "TNF-α"]:
        for tag in tag_set(TYPES):
            left = walked(lines, token, tag)
            assert left[-1] == (tag,)
            assert all(set(after) < set(before) for before, after in pairwise(left))


def test_choices_come_in_the_order_of_their_ids():
    tags = ("O", "B-a", "I-a")
    endings = Endings(dict(zip(tags, [(3, 9), (1, 5), (2, 5)], strict=True)))
    assert list(endings.routes(tags)["O"].branches[0].choices) == [1, 2, 3]


def test_of_tags_that_look_the_same_the_first_stands():
    endings = Endings({"O": (3, 9), "B-ä": (1, 0, 5), "B-ö": (1, 0, 5)})
    assert list(endings.routes(("O", "B-ä", "B-ö"))) == ["O", "B-ä"]


def test_ways_are_made_once_for_the_tags_allowed(tokenizer):
    """Whatever the tag before: unless that says which tags may follow."""
    for legal in (False, True):
        lines = AnswerTrie(tokenizer, tag_set(TYPES), legal)
        (word,) = lines.words(["gout"])
        first, outside, inside = (lines.routes(word, tag) for tag in ("", "O", f"B-{TYPES[0]}"))
        assert outside is first
        assert (inside is first) != legal


def drawn_tokens() -> list[str]:
    draw = random.Random(0)
    return ["".join(draw.choices("abzAZ059:-(./α²±é", k=draw.randint(1, 6))) for _ in range(300)]


def joining() -> PreTrainedTokenizerBase:
    """A tokenizer whose pieces join most characters with the colon behind them."""
    made = Tokenizer(BPE(unk_token="<unk>"))
    lines = (f"\n{token[-2:]}:{tag}\n" for token in drawn_tokens() for tag in tag_set(TYPES))
    trainer = BpeTrainer(vocab_size=400, special_tokens=["<unk>"], show_progress=False)
    made.train_from_iterator((line for line in lines if "5:" not in line), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>")


def replacing() -> PreTrainedTokenizerBase:
    """The same, but that it writes another character than the colon behind some words."""
    made = joining()
    made.backend_tokenizer.normalizer = Replace("a5:", "a5.")
    return made


@pytest.mark.parametrize(
    ("speaker", "style"),
    [
        *product(["own", "mistral", "llama", "joining"], ["names", "letters"]),
        ("own", "special_tokens"),
        ("replacing", "names"),
    ],
)
def test_lines_made_of_parts_are_those_tokenized_whole(speaker, style, tokenizer):
    mine = {
        "own": lambda: copy.deepcopy(tokenizer),  # it may get special tokens
        "mistral": tokenizers.mistral,
        "llama": tokenizers.llama,
        "joining": joining,
        "replacing": replacing,
    }[speaker]()
    spelling = Verbalizer(TYPES, style)
    spelling.add_to(mine)
    tokens = [*drawn_tokens(), "http", "a:b", "</s>", "<B-Disease>", "12345", "a5", "don't"]
    lines = AnswerTrie(mine, tag_set(TYPES), verbalizer=spelling)
    pairs = [(token, tag) for token in tokens for tag in tag_set(TYPES)]
    whole = lines_ids(mine, [(token, spelling[tag]) for token, tag in pairs])
    words = dict(zip(tokens, lines.words(tokens), strict=True))
    assert [list(words[token].line(tag)) for token, tag in pairs] == whole
    assert lines.ids >= {id_ for ids in whole for id_ in ids}
    assert len({id(word.endings) for word in words.values()}) < len(words) / 2


@pytest.mark.parametrize("legal", [False, True])
def test_what_may_follow(tokenizer, legal):
    lines = AnswerTrie(tokenizer, tag_set(["a", "b"]), legal)
    everything = ("O", "B-a", "I-a", "B-b", "I-b")
    assert lines.after("") == lines.after("O") == (("O", "B-a", "B-b") if legal else everything)
    assert (
        lines.after("B-a")
        == lines.after("I-a")
        == (("O", "B-a", "I-a", "B-b") if legal else everything)
    )


def test_a_sentence_that_is_drafted_right_costs_one_pass_and_its_ids():
    assert expected_cost(32, 20, 7.0, 50.0, 1.0) == pytest.approx(50 + 20 * 7)
    assert expected_cost(1, 20, 7.0, 50.0, 0.9) == pytest.approx(20 * (50 + 7))
    # Two words, drafted together: a second pass where the first is wrong.
    assert expected_cost(2, 2, 7.0, 50.0, 0.9) == pytest.approx(50 + 14 + 0.1 * (50 + 7))


def test_windows_grow_with_what_a_pass_costs_and_with_how_good_drafts_are():
    def chosen(overhead, rows, right):
        window = DraftLength(None, overhead, 27, 7.0)
        window.learn(round(1000 * right), 1000)
        return window.words(rows)

    assert chosen(100, 1, 0.95) > chosen(100, 16, 0.95) > chosen(100, 512, 0.95) >= 1
    assert chosen(100, 4, 0.99) > chosen(100, 4, 0.8)
    assert chosen(0, 1, 0.95) == 1
    assert chosen(1e6, 1, 0.95) in DRAFT_LENGTHS[-8:]
    assert DraftLength(5, 100.0, 27, 7.0).words(3) == 5


def test_the_cost_of_a_pass_on_a_gpu_follows_from_the_shape_of_the_model():
    def overhead(layers, parameters, device="cuda"):
        config = SimpleNamespace(num_hidden_layers=layers)
        config.get_text_config = lambda: config
        return overhead_of(
            SimpleNamespace(
                device=SimpleNamespace(type=device),
                config=config,
                num_parameters=lambda: parameters,
            )
        )

    assert overhead(32, 7.2e9, "cpu") == CPU_OVERHEAD
    # 32 x 0.42 ms of launches, in which 500 TFLOP/s do 14.4 GFLOP 467 times
    assert overhead(32, 7.2e9) == pytest.approx(467, abs=1)
    assert overhead(30, 135e6) == GPU_OVERHEADS[1]
    assert overhead(80, 70e9) == GPU_OVERHEADS[0]

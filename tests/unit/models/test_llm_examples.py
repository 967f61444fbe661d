"""Training examples of LLMs, id by id: which ids carry the loss, and how long ones are split."""

import copy

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from bioner.data.instances import entity_types
from bioner.data.tags import tag_set
from bioner.models.answer_trie import AnswerTrie
from bioner.models.llm_examples import Counts, Examples
from bioner.models.prompt import prompt_ids, prompt_text
from bioner.models.verbalizer import Verbalizer
from tests.conftest import instance

NOT = -100


@pytest.fixture(scope="module")
def letters() -> PreTrainedTokenizerFast:
    """A tokenizer of bytes, a piece each: the ids of a text can be written down by hand."""
    vocabulary = {
        letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
    }
    vocabulary |= {"<s>": 256, "</s>": 257}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def examples(tokenizer, types, loss, max_length=10_000, style="names") -> Examples:
    verbalizer = Verbalizer(types, style)
    return Examples(
        tokenizer,
        types,
        AnswerTrie(tokenizer, tag_set(types), verbalizer=verbalizer),
        loss,
        max_length,
    )


def carrying(tokenizer, features) -> str:
    """The example with what carries no loss as dots."""
    shown = [
        (
            "."
            if label == NOT
            else "$"
            if label == tokenizer.eos_token_id
            else tokenizer.decode([label])
        )
        for label in features["labels"]
    ]
    return "".join(shown)


# Two types, X and Yz: O, B or I is decided at the first letter of a tag, the type at the third; the
# rest follows.
SENTENCE = instance("s", "gene/B-X of/O rats/B-Yz old/I-Yz")


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("tags", ".....B.X....O......B.Y......I.Y..."),
        ("response", "gene:B-X\nof:O\nrats:B-Yz\nold:I-Yz\n$"),
    ],
)
def test_each_loss_is_on_its_ids(letters, loss, expected):
    features = examples(letters, ["X", "Yz"], loss).example(SENTENCE)
    prompt = len(prompt_ids(letters, SENTENCE.tokens, ["X", "Yz"]))
    assert features["labels"][:prompt] == [NOT] * prompt
    assert carrying(letters, features | {"labels": features["labels"][prompt:]}) == expected
    assert features["attention_mask"] == [1] * len(features["input_ids"])


def test_the_paper_s_loss_is_on_every_id_but_the_first_which_nothing_predicts(letters):
    features = examples(letters, ["X", "Yz"], "all").example(SENTENCE)
    assert features["labels"] == [NOT, *features["input_ids"][1:]]
    assert features["input_ids"][0] == letters.bos_token_id


def test_the_ids_are_the_same_whatever_carries_the_loss(letters):
    text = prompt_text(SENTENCE.tokens, ["X", "Yz"]) + "gene:B-X\nof:O\nrats:B-Yz\nold:I-Yz\n"
    whole = [letters.bos_token_id, *letters(text)["input_ids"], letters.eos_token_id]
    for loss in ("tags", "response", "all"):
        assert examples(letters, ["X", "Yz"], loss).example(SENTENCE)["input_ids"] == whole


def test_one_type_has_one_decision_a_word(letters):
    features = examples(letters, ["X"], "tags").example(instance("s", "a/B-X b/I-X c"))
    labels = [letters.decode([label]) for label in features["labels"] if label != NOT]
    assert labels == ["B", "I", "O"]


def test_a_tag_that_training_does_not_know_is_learned_as_outside(letters):
    features = examples(letters, ["X"], "tags").example(instance("s", "a/B-Other"))
    assert [letters.decode([label]) for label in features["labels"] if label != NOT] == ["O"]


@pytest.mark.parametrize(
    ("style", "answer"), [("letters", "gene:A\nof:O\nrats:B\nold:b\n"), ("special_tokens", None)]
)
def test_tags_may_be_spelled_otherwise(letters, style, answer):
    tokenizer = copy.deepcopy(letters)
    verbalizer = Verbalizer(["X", "Yz"], style)
    pieces = verbalizer.add_to(tokenizer)
    features = examples(tokenizer, ["X", "Yz"], "tags", style=style).example(SENTENCE)
    decided = [label for label in features["labels"] if label != NOT]
    assert len(decided) == len(SENTENCE.tokens), "a tag is one piece"
    text = tokenizer.decode(features["input_ids"], skip_special_tokens=True).rpartition(
        "### Response:\n"
    )[2]
    assert text == (answer or "gene:<B-X>\nof:<O>\nrats:<B-Yz>\nold:<I-Yz>\n")
    assert verbalizer.read(text) == "gene:B-X\nof:O\nrats:B-Yz\nold:I-Yz\n"
    assert [pieces[label] for label in decided] == SENTENCE.tags if pieces else True


LONG = instance(
    "long",
    "The/O first/O gene/B-X is/O here/O ./O A/O second/O one/B-X is/O there/O ./O And/O a/O third/O"
    " protein/B-X complex/I-X ./O",
)


def test_a_long_sentence_is_split_behind_full_stops_and_nothing_is_lost(letters):
    types = entity_types([LONG])
    make = examples(letters, types, "response")
    two = instance(
        "", "The/O first/O gene/B-X is/O here/O ./O A/O second/O one/B-X is/O there/O ./O"
    )
    limit = len(make.example(two)["input_ids"])
    capped = examples(letters, types, "response", limit + 20)  # room for two words more
    made = capped([LONG, SENTENCE])
    rest = instance("", "And/O a/O third/O protein/B-X complex/I-X ./O")
    assert made[:2] == [make.example(two), make.example(rest)]
    assert capped.counts == Counts(examples=3, longest=limit, over_length=1, words_left_out=0)


def test_without_full_stops_entities_are_not_cut_and_without_borders_they_go_on_as_a_beginning(
    letters,
):
    def parts(text, longest):
        make = examples(letters, ["X"], "response")
        whole = instance("s", text)
        limit = len(make.example(instance("", longest))["input_ids"])
        made = examples(letters, ["X"], "response", limit)([whole])
        texts = [letters.decode(part["input_ids"], skip_special_tokens=True) for part in made]
        return [text.rpartition("### Response:\n")[2].splitlines() for text in texts]

    assert parts("aa/O bb/B-X cc/I-X dd/O", "bb/B-X cc/I-X") == [
        ["aa:O"],
        ["bb:B-X", "cc:I-X"],
        ["dd:O"],
    ]
    assert parts("aa/B-X bb/I-X cc/I-X dd/I-X", "aa/B-X bb/I-X") == [
        ["aa:B-X", "bb:I-X"],
        ["cc:B-X", "dd:I-X"],
    ]


def test_a_word_that_fits_nowhere_is_left_out_and_counted(letters):
    make = examples(letters, ["X"], "response")
    limit = len(make.example(instance("", "aa/O bb/O"))["input_ids"])
    capped = examples(letters, ["X"], "response", limit)
    made = capped([instance("s", f"aa/O {'b' * 200}/B-X cc/O")])
    assert [len(part["input_ids"]) <= limit for part in made] == [True, True]
    assert capped.counts.words_left_out == 1


def test_a_sample_of_no_sentences_is_no_example(letters):
    capped = examples(letters, ["X"], "tags", 10)
    assert capped([SENTENCE]) == []
    assert capped.counts.words_left_out == len(SENTENCE.tokens)

"""Prompts and answers of real sentences, by the real tokenizers: line by line they are those of the
whole.

Of every sentence in the slow tests; else of those with which every sign stood once at the border of
a token.
"""

import importlib
import os
import sys
from itertools import pairwise

import pytest

from bioner.data.instances import SPLITS, Instance, entity_types
from bioner.data.tags import tag_set
from bioner.models.answer_trie import AnswerTrie
from bioner.models.llm_examples import Examples
from bioner.models.prompt import prompt_text, response_line
from bioner.settings.repository import REPOSITORY

MIRROR = os.environ.get("BIONER_MIRROR")

pytestmark = pytest.mark.skipif(
    not MIRROR, reason="set BIONER_MIRROR to a folder of raw corpora to run this"
)

CORPORA = ["JNLPBA", "BC5CDR", "BioRED", "ChemProt-standin"]
AT_ONCE = 2000


@pytest.fixture(scope="module")
def tokenizers():
    sys.path.insert(0, str(REPOSITORY / "benchmarks"))
    try:
        return importlib.import_module("parts.tokenizers")
    finally:
        sys.path.pop(0)


@pytest.fixture
def splits(corpora, corpus) -> dict[str, list[Instance]]:
    return corpora(corpus)[0]


def telling(instances: list[Instance]) -> list[Instance]:
    """Those with a sign at the beginning or end of a token that stood there in none before, or a
    new pair of tags.
    """
    seen: set[tuple[object, ...]] = set()
    chosen = []
    for item in instances:
        signs = {("first", token[0]) for token in item.tokens} | {
            ("last", token[-1]) for token in item.tokens
        }
        if not seen >= (new := signs | {("tags", *pair) for pair in pairwise(item.tags)}):
            seen |= new
            chosen.append(item)
    return chosen


@pytest.mark.parametrize(
    ("name", "corpus", "which"),
    [
        *[
            (name, corpus, telling)
            for name, corpus in zip(["mistral", "llama"] * 2, CORPORA, strict=True)
        ],
        *(
            pytest.param(name, corpus, list, marks=pytest.mark.slow)
            for name in ("mistral", "llama")
            for corpus in CORPORA
        ),
    ],
)
def test_ids_of_training_examples_are_those_of_the_whole_text(tokenizers, splits, name, which):
    tokenizer = getattr(tokenizers, name)()
    types = entity_types(splits["train"])
    instances = which([instance for split in SPLITS for instance in splits[split]])
    assert len(instances) > 40
    lines = AnswerTrie(tokenizer, tag_set(types))
    examples = Examples(tokenizer, types, lines, "response", 10**6)
    for start in range(0, len(instances), AT_ONCE):
        some = instances[start : start + AT_ONCE]
        texts = [
            prompt_text(item.tokens, types) + "".join(map(response_line, item.tokens, item.tags))
            for item in some
        ]
        whole = tokenizer(texts, add_special_tokens=False)["input_ids"]
        made = [features["input_ids"] for features in examples(some)]
        for item, ids, ours in zip(some, whole, made, strict=True):
            assert ours == [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id], item.id

"""Requests: how many ids a sentence takes with its answer."""

from dataclasses import replace

from bioner.data.tags import tag_set
from bioner.inference.decoding.requests import make_requests
from bioner.models.answer_trie import AnswerTrie
from bioner.models.llm_examples import Examples
from tests.unit.inference.decoding.conftest import TYPES


def test_a_request_is_as_long_as_the_training_example_of_the_sentence_tagged_o(tokenizer, texts):
    lines = AnswerTrie(tokenizer, tag_set(TYPES))
    examples = Examples(tokenizer, TYPES, lines, "response", 10_000)
    outside = [replace(text, tags=["O"] * len(text.tokens)) for text in texts]
    expected = [len(examples.example(text)["input_ids"]) for text in outside]
    for lengths in (None, lines.lengths("O")):
        requests = make_requests(tokenizer, texts, TYPES, lengths=lengths)
        found = {request.index: request.length for request in requests}
        assert [found[index] for index in range(len(texts))] == expected

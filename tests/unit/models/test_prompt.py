"""The prompt is the paper's, byte for byte, and its ids are those of the whole text."""

import pytest

from bioner.models import prompt
from bioner.models.pretrained import load_tokenizer
from bioner.models.prompt import (
    line_ids,
    lines_ids,
    prompt_ids,
    prompt_text,
    prompts_ids,
    response_line,
)
from bioner.training.scratch import make_pretrained


@pytest.fixture(scope="module")
def tokenizer(tiny_llm, sentences, tmp_path_factory):
    scratch = tiny_llm.source.scratch.model_copy(update={"copy_steps": 0})
    return load_tokenizer(
        make_pretrained(scratch, sentences, 1, tmp_path_factory.mktemp("llm") / "model")
    )


def test_the_prompt_is_the_paper_s_template():
    assert (
        prompt_text(["IL-2", "gene", "."], ["DNA", "protein"])
        == "Below is an instruction that describes a task, paired with an input that provides"
        " further context. Write a response that appropriately completes the request.\n\n###"
        " Instruction:\nYour task is to identify entities within the text and apply the BIO"
        " labeling scheme. Use the following labels to categorize each entity: DNA,"
        " protein.\n\n### Input:\nIL-2 gene .\n\n### Response:\n"
    )


def test_a_response_line_is_token_colon_tag():
    assert response_line("IL-2", "B-DNA") == "IL-2:B-DNA\n"


def test_ids_of_prompt_and_lines_are_the_ids_of_the_whole_text(tokenizer, sentences):
    types = ["Chemical", "Disease", "Gene"]
    for instance in sentences:
        lines = "".join(map(response_line, instance.tokens, instance.tags))
        whole = tokenizer(prompt_text(instance.tokens, types) + lines, add_special_tokens=False)[
            "input_ids"
        ]
        pairs = list(zip(instance.tokens, instance.tags, strict=True))
        pieces = sum(lines_ids(tokenizer, pairs), prompt_ids(tokenizer, instance.tokens, types))
        assert pieces == [tokenizer.bos_token_id, *whole]


def test_what_prompts_begin_with_is_tokenized_once(tokenizer, sentences, monkeypatch):
    words, types = [instance.tokens for instance in sentences], ["Chemical", "Disease", "Gene"]
    one_by_one = [prompt_ids(tokenizer, tokens, types) for tokens in words]
    encoded, tokenized = prompt._encoded, []
    monkeypatch.setattr(
        prompt, "_encoded", lambda *args: tokenized.extend(args[1]) or encoded(*args)
    )
    assert prompts_ids(tokenizer, words, types) == one_by_one
    assert sum("Instruction" in text for text in tokenized) == 1 < len(words)


def test_a_word_that_looks_like_the_end_is_text(tokenizer):
    for word in ("</s>", "<s>"):
        special = {tokenizer.bos_token_id, tokenizer.eos_token_id}
        assert not special & set(line_ids(tokenizer, word, "O"))
        assert not special & set(prompt_ids(tokenizer, [word], ["Gene"])[1:])
        assert tokenizer.decode(line_ids(tokenizer, word, "O")) == f"{word}:O\n"


def test_ids_of_a_line_decode_to_the_line(tokenizer):
    assert tokenizer.decode(line_ids(tokenizer, "TNF-α", "B-Gene")) == "TNF-α:B-Gene\n"

"""The LLM's prompt and response (the paper's Fig. 1), as text and as token ids."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

INSTRUCTION = (
    "Below is an instruction that describes a task, paired with an input that provides further"
    " context. Write a response that appropriately completes the request.\n\n### Instruction:\nYour"
    " task is to identify entities within the text and apply the BIO labeling scheme. Use the"
    " following labels to categorize each entity: {types}.\n\n### Input:\n"
)
FRAME = "{text}\n\n### Response:\n"


def prompt_text(tokens: Sequence[str], types: Sequence[str]) -> str:
    """Return the prompt for one instance, with the entity types in the order given."""
    return INSTRUCTION.format(types=", ".join(types)) + FRAME.format(text=" ".join(tokens))


def response_line(token: str, tag: str) -> str:
    """Return one line of the response, with its line end."""
    return f"{token}:{tag}\n"


def prompt_ids(
    tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str], types: Sequence[str]
) -> list[int]:
    """Return the ids of the prompt, begin-of-sequence first if the tokenizer has one."""
    return prompts_ids(tokenizer, [tokens], types)[0]


def prompts_ids(
    tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]], types: Sequence[str]
) -> list[list[int]]:
    """Return the ids of sentences' prompts; what they begin with is tokenized once."""
    start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    start += _ids(tokenizer, INSTRUCTION.format(types=", ".join(types)))
    frames = [FRAME.format(text=" ".join(tokens)) for tokens in sentences]
    return [start + ids for ids in _behind_line_end(tokenizer, frames)]


def line_ids(tokenizer: PreTrainedTokenizerBase, token: str, tag: str) -> list[int]:
    """Return the ids of one response line as they are inside a response."""
    return lines_ids(tokenizer, [(token, tag)])[0]


def lines_ids(
    tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]]
) -> list[list[int]]:
    """Return the ids of response lines, each as it is inside a response, in one tokenizer call."""
    return _behind_line_end(tokenizer, [response_line(token, tag) for token, tag in pairs])


def _behind_line_end(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Return the ids of texts as they are behind a line end.

    They are tokenized with the line end, whose ids are then removed: tokenizers treat the start of
    a text differently, and pieces such as `:B` cross the border of word and tag.
    """
    if not texts:
        return []
    newline = len(_ids(tokenizer, "\n"))
    return [ids[newline:] for ids in _encoded(tokenizer, ["\n" + text for text in texts])]


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return _encoded(tokenizer, [text])[0]


def _encoded(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Return the ids of texts; a word that looks like a special token (`</s>`) is text.

    The backend gives ids alone; masks and offsets besides take the greater part of a call.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = True  # set anew by every call of the tokenizer itself
    return [encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=False)]

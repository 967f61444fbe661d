"""What a model is asked, sentence by sentence: prompts, how long they get with their answers, who
is asked together.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.data.tags import OUTSIDE
from bioner.models.prompt import prompt_ids, response_ids

log = logging.getLogger(__name__)

# A batch holds as many sentences as asked for up to this many ids each, prompt and answer; fewer of
# longer ones.
ROOM = 2048


@dataclass(frozen=True, slots=True)
class DecodingRequest:
    """The prompt of instance number `index`, and its length in ids with an answer that is O
    throughout.
    """

    index: int
    prompt: list[int]
    length: int


def make_requests(
    tokenizer: PreTrainedTokenizerBase,
    instances: Sequence[Instance],
    types: Sequence[str],
    outside: str = OUTSIDE,
) -> list[DecodingRequest]:
    """A question for every instance, the longest first; `outside` is how O is written."""
    asked = []
    for index, instance in enumerate(instances):
        prompt = prompt_ids(tokenizer, instance.tokens, types)
        answer = response_ids(tokenizer, instance.tokens, [outside] * len(instance.tokens))
        asked.append(DecodingRequest(index, prompt, len(prompt) + len(answer)))
    return sorted(asked, key=lambda question: (-question.length, question.index))


def group_by_length(
    asked: Sequence[DecodingRequest], batch_size: int
) -> Iterator[tuple[list[DecodingRequest], int]]:
    """Questions in groups, longest first, each with how many of them are decoded at once."""
    start = 0
    while start < len(asked):
        rows = min(batch_size, max(1, batch_size * ROOM // asked[start].length))
        end = start
        # Until twice as many would have room.
        while end < len(asked) and (
            rows == batch_size or batch_size * ROOM // asked[end].length < 2 * rows
        ):
            end += 1
        end = max(end, start + 1)
        yield list(asked[start:end]), min(rows, end - start)
        start = end


def beyond_positions(
    model: PreTrainedModel, asked: Sequence[DecodingRequest], instances: Sequence[Instance]
) -> int:
    """How many questions are longer than the model has positions for: what it says there is worth
    little.
    """
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    beyond = [question for question in asked if positions and question.length > positions]
    if beyond:
        first = instances[beyond[0].index].id
        message = (
            "predict: %d sentences need more than the model's %d positions, %r the most (%d):"
            " expect little of them"
        )
        log.warning(message, len(beyond), positions, first, beyond[0].length)
    return len(beyond)

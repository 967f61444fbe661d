"""Prompts of sentences, their lengths with the answers, and which of them are decoded together."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bioner.data.instances import Instance
from bioner.data.raw_outputs import Generated
from bioner.data.tags import OUTSIDE
from bioner.models.positions import positions_of
from bioner.models.prompt import lines_ids, prompts_ids

log = logging.getLogger(__name__)

# A batch holds as many sentences as asked for up to this many ids each, prompt and answer; fewer of
# longer ones.
ROOM = 2048


@dataclass(frozen=True, slots=True)
class DecodingRequest:
    """Instance number `index`, its prompt, and the ids of prompt and an answer of O throughout."""

    index: int
    instance: Instance
    prompt: list[int]
    length: int


def make_requests(
    tokenizer: PreTrainedTokenizerBase,
    instances: Sequence[Instance],
    types: Sequence[str],
    outside: str = OUTSIDE,
    lengths: Mapping[str, int] | None = None,
) -> list[DecodingRequest]:
    """Make a request for every instance, the longest first.

    Args:
        outside: how O is written.
        lengths: ids of each token's line with O, if they are known.
    """
    if lengths is None:
        tokens = list(dict.fromkeys(token for item in instances for token in item.tokens))
        lines = lines_ids(tokenizer, [(token, outside) for token in tokens])
        lengths = dict(zip(tokens, map(len, lines), strict=True))
    requests = []
    prompts = prompts_ids(tokenizer, [instance.tokens for instance in instances], types)
    for index, (instance, prompt) in enumerate(zip(instances, prompts, strict=True)):
        answer = sum(lengths[token] for token in instance.tokens) + 1  # the end of sequence
        requests.append(DecodingRequest(index, instance, prompt, len(prompt) + answer))
    return sorted(requests, key=lambda request: (-request.length, request.index))


def group_by_length(
    requests: Sequence[DecodingRequest], batch_size: int
) -> Iterator[tuple[list[DecodingRequest], int]]:
    """Yield groups of requests, longest first, each with how many of them are decoded at once."""
    start = 0
    while start < len(requests):
        rows = min(batch_size, max(1, batch_size * ROOM // requests[start].length))
        end = start + 1
        # Up to requests so short that twice as many rows would have room.
        while end < len(requests) and (
            rows == batch_size or batch_size * ROOM // requests[end].length < 2 * rows
        ):
            end += 1
        yield list(requests[start:end]), min(rows, end - start)
        start = end


def beyond_positions(
    model: PreTrainedModel, requests: Sequence[DecodingRequest], readable: int
) -> int:
    """Count the requests that need more positions than the model has, and warn of them.

    Args:
        readable: ids that the model can read at once (`positions.readable_ids`).
    """
    positions = positions_of(model.config)
    beyond = [request for request in requests if positions and request.length > positions]
    if beyond:
        log.warning(
            "predict: %d sentences need more than the model's %d positions, %r the most (%d): %s",
            len(beyond),
            positions,
            beyond[0].instance.id,
            beyond[0].length,
            "results may be poor" if positions != readable else "all their words are tagged O",
        )
    return len(beyond)


def split_readable(
    requests: Sequence[DecodingRequest], readable: int
) -> tuple[list[DecodingRequest], dict[int, Generated]]:
    """Return the requests of at most `readable` ids, and what stands for the others' answers."""
    fitting = [request for request in requests if request.length <= readable]
    others = [request for request in requests if request.length > readable]
    return fitting, {request.index: unanswered(request.instance) for request in others}


def unanswered(instance: Instance) -> Generated:
    """Return what stands for the answer to a sentence that the model cannot read to its end."""
    return Generated(instance.id, "", 0, False)

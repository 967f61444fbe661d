"""Whatever a model writes: no exception, one valid tag a token, and counts that add up."""

import random
import string
import time

import pytest

from benchmarks.parts.corruption import corrupted, mangled
from bioner.data.instances import Instance
from bioner.data.raw_outputs import Generated
from bioner.data.tags import spans, tag_set, tags_from_spans, violation
from bioner.realignment.parse_output import parse_answers
from bioner.realignment.realign import realign

TYPES = ["Chemical", "Disease", "Gene"]
LEGAL = frozenset(tag_set(TYPES))
SEED = time.time_ns() % 1_000_000  # another one in every run; a failure tells it


def made_up(draw: random.Random, number: int) -> Instance:
    """A sentence of 1 to 40 words, repeated and odd ones among them."""
    letters = string.ascii_letters + "αβ0123456789"
    words = ["of", ",", "-", ":", "(", "::", "\\", "a:O", "&amp;", "ﬁ", "\u0130"]
    words += ["".join(draw.choices(letters, k=draw.randrange(1, 12))) for _ in range(20)]
    tokens = draw.choices(words, k=draw.randrange(1, 41))
    entities, place = [], 0
    while place < len(tokens):
        end = min(len(tokens), place + draw.randrange(1, 4))
        if draw.random() < 0.3:
            entities.append((place, end, draw.choice(TYPES)))
        place = end
    return Instance(f"m{number}", "m", tokens, tags_from_spans(entities, len(tokens)))


def hold(count: int, seed: int) -> None:
    draw = random.Random(seed)
    for number in range(count):
        if number % 10 == 0:
            instance = made_up(draw, number)
        text = mangled(instance.tokens, instance.tags, draw)
        method = "paper" if number % 5 == 0 else "robust"
        told = f"seed {seed}, output {number}: {instance.tokens} {text!r}"
        try:
            prediction, alignment = realign(
                instance, Generated(instance.id, text, 1, True), LEGAL, method
            )
        except Exception as error:
            raise AssertionError(told) from error
        assert len(prediction.tags) == len(instance.tokens), told
        assert violation(prediction.tags) is None, told
        assert set(prediction.tags) <= LEGAL, told
        assert alignment.exact + alignment.substituted + alignment.dropped == len(
            instance.tokens
        ), told
        assert 0 <= alignment.added <= alignment.output_tokens, told
        assert (
            0
            <= alignment.reachable_entities
            <= alignment.gold_entities
            == len(spans(instance.tags))
        ), told


def test_mangled_answers():
    hold(5_000, SEED)


@pytest.mark.slow
def test_mangled_answers_at_length():
    hold(200_000, SEED)


@pytest.mark.parametrize("rate", [0.0, 0.03, 0.1])
def test_a_perfect_model_s_answer_gives_what_alignment_says_is_reachable(rate):
    """Without lines that stand for several tokens, tags by the gold give exactly the entities
    counted as reachable.
    """
    draw = random.Random(SEED)
    for number in range(300):
        instance = made_up(draw, number)
        text = corrupted(instance.tokens, instance.tags, rate, draw)
        prediction, alignment = realign(instance, Generated(instance.id, text, 1, True), LEGAL)
        found = set(spans(prediction.tags)) & set(spans(instance.tags))
        if rate == 0:
            assert len(found) == alignment.reachable_entities == alignment.gold_entities
        # The corruption's own tags can differ from the pushed ones only where matching took another
        # of equal tokens.
        assert abs(len(found) - alignment.reachable_entities) <= 2, (SEED, number)


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_an_answer_said_again_otherwise_changes_little(rate):
    """The first answer counts, right or slightly wrong, whatever stands behind it."""
    draw = random.Random(SEED)
    once = twice = 0
    for number in range(400):
        instance = made_up(draw, number)
        text = corrupted(instance.tokens, instance.tags, rate, draw)
        again = "".join(line.rpartition(":")[0] + ":O\n" for line in text.splitlines())
        alone, repeated = (
            realign(instance, Generated(instance.id, said, 1, True), LEGAL)[0].tags
            for said in (text, text + again)
        )
        gold = set(spans(instance.tags))
        once, twice = once + len(gold & set(spans(alone))), twice + len(gold & set(spans(repeated)))
    assert twice >= 0.97 * once, SEED


def test_long_lines_take_no_longer_than_their_length():
    def seconds(count: int) -> float:
        start = time.process_time()
        for text in (
            "the : " * count + "x",
            "a: " * count + ":",
            " " * count + ":",
            ":" * count,
            "a:O " * count,
        ):
            parse_answers(text)
        return time.process_time() - start

    assert seconds(80_000) < 40 * min(seconds(8_000) for _ in range(3)), (
        "ten times is linear, a hundred times quadratic"
    )

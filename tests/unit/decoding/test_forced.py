"""Forced decoding gives what token-by-token decoding gives, however much is drafted, cached or done side by side."""

import random

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from benchmarks.parts import tokenizers
from benchmarks.parts.references import by_generate, one_by_one
from bioner.decoding.drafts import Draft, all_outside, draft_of, predicted, tag_table
from bioner.decoding.forced import ForcedDecoder
from bioner.decoding.rows import CachedRows, ReadAgain
from bioner.errors import InputError
from bioner.instances import Prediction
from bioner.models.prompt import response_ids
from bioner.tags import tag_set, violation
from tests.unit.decoding.conftest import TYPES, random_llama
from tests.unit.decoding.reference import assert_same, slowly, tags_of


@pytest.fixture(scope="module")
def slow(model, tokenizer, texts):
    return [slowly(model, tokenizer, text, TYPES) for text in texts]


def drafts(texts, seed=3) -> dict[str, Draft]:
    """Drafts from good to hopeless."""
    draw = random.Random(seed)
    gold = [Prediction(text.id, text.tags) for text in texts]
    drawn = [Prediction(text.id, draw.choices(tag_set(TYPES), k=len(text.tags))) for text in texts]
    return {
        "all-o": all_outside(),
        "table": tag_table(texts),
        "dictionary": draft_of("dictionary", texts, texts),
        "gold": predicted("gold", gold, tag_table(texts)),
        "random": predicted("random", drawn, all_outside()),
    }


@pytest.mark.parametrize("share_prefix", [True, False])
@pytest.mark.parametrize("batch_size", [1, 2, 4, 6])
@pytest.mark.parametrize("window", [1, 2, 3, 7, 100, None])
def test_windows_batches_and_a_shared_prefix_change_no_tag(
    model, tokenizer, texts, slow, window, batch_size, share_prefix
):
    decoder = ForcedDecoder(model, tokenizer, TYPES, tag_table(texts), window=window, share_prefix=share_prefix)
    for output, reference in zip(decoder(texts, batch_size), slow, strict=True):
        assert_same(tags_of(output.text), reference)


@pytest.mark.parametrize("name", ["all-o", "table", "dictionary", "gold", "random"])
def test_drafts_change_no_tag(model, tokenizer, texts, slow, name):
    decoder = ForcedDecoder(model, tokenizer, TYPES, drafts(texts)[name])
    for output, reference in zip(decoder(texts, 3), slow, strict=True):
        assert_same(tags_of(output.text), reference)


def test_a_draft_that_is_right_takes_one_pass(model, tokenizer, texts, slow):
    answers = [Prediction(text.id, reference.tags) for text, reference in zip(texts, slow, strict=True)]
    decoder = ForcedDecoder(model, tokenizer, TYPES, predicted("own", answers, all_outside()), window=100)
    decoder(texts, len(texts))
    assert decoder.counts.passes == 1
    assert decoder.counts.drafts == decoder.counts.drafts_right == sum(len(text.tokens) for text in texts)


def test_a_window_of_one_word_takes_a_pass_a_word(model, tokenizer, texts):
    decoder = ForcedDecoder(model, tokenizer, ["Disease"], all_outside(), window=1)
    for text in texts:
        decoder([text], 1)
        # What is settled of a line is not asked for again; a wrong first piece may leave a second to ask for.
        assert len(text.tokens) <= decoder.counts.passes <= 2 * len(text.tokens)


def test_a_place_that_is_free_is_taken_by_the_next_sentence(model, tokenizer, texts):
    decoder = ForcedDecoder(model, tokenizer, TYPES, tag_table(texts), window=2)
    decoder(texts, 2)
    together = decoder.counts.passes
    alone = 0
    for text in texts:
        decoder([text], 1)
        alone += decoder.counts.passes
    assert together < 0.75 * alone


@pytest.mark.parametrize("name", ["mistral", "llama"])
@pytest.mark.parametrize(("window", "batch_size"), [(1, 1), (1, 4), (3, 3), (None, 6), (100, 1)])
def test_real_tokenizers(name, window, batch_size, texts):
    tokenizer = getattr(tokenizers, name)()
    model = random_llama(len(tokenizer), hidden_size=16)
    decoder = ForcedDecoder(model, tokenizer, TYPES, tag_table(texts), window=window)
    assert decoder.settings["cached"]
    for output, text in zip(decoder(texts, batch_size), texts, strict=True):
        assert_same(tags_of(output.text), slowly(model, tokenizer, text, TYPES))
        assert output.new_tokens == len(response_ids(tokenizer, text.tokens, tags_of(output.text))) - 1


@pytest.mark.parametrize("name", ["mistral", "llama"])
def test_generate_with_a_logits_processor_gives_the_same(name, texts):
    tokenizer = getattr(tokenizers, name)()
    model = random_llama(len(tokenizer), hidden_size=16, seed=5)
    slow = [slowly(model, tokenizer, text, TYPES) for text in texts]
    for way in (by_generate, one_by_one):
        for tags, reference in zip(way(model, tokenizer, texts, TYPES, 4), slow, strict=True):
            assert_same(tags, reference)


def test_of_equal_answers_the_one_of_the_lowest_id_is_taken(tokenizer, texts):
    model = random_llama(len(tokenizer))
    torch.nn.init.zeros_(model.lm_head.weight)
    for window in (1, 3, None):
        for draft in drafts(texts).values():
            decoder = ForcedDecoder(model, tokenizer, TYPES, draft, window=window)
            for output, text in zip(decoder(texts, 2), texts, strict=True):
                assert tags_of(output.text) == slowly(model, tokenizer, text, TYPES).tags
            assert decoder.counts.near_ties >= sum(len(text.tokens) for text in texts)


@pytest.mark.parametrize("window", [1, None])
def test_legal_transitions_leave_nothing_to_repair(model, tokenizer, texts, window):
    decoder = ForcedDecoder(model, tokenizer, TYPES, drafts(texts)["random"], window=window, legal=True)
    free = ForcedDecoder(model, tokenizer, TYPES, all_outside(), window=window)
    assert any(violation(tags_of(output.text)) for output in free(texts, 3)), "or the option is not tried"
    for output, text in zip(decoder(texts, 3), texts, strict=True):
        assert violation(tags_of(output.text)) is None
        assert_same(tags_of(output.text), slowly(model, tokenizer, text, TYPES, legal=True))


@pytest.mark.parametrize("legal", [False, True])
def test_confidence_is_the_probability_among_the_tags_allowed(model, tokenizer, texts, legal):
    decoder = ForcedDecoder(model, tokenizer, TYPES, tag_table(texts), legal=legal)
    for output, text in zip(decoder(texts, 3), texts, strict=True):
        reference = slowly(model, tokenizer, text, TYPES, legal)
        assert output.confidence == pytest.approx(reference.probabilities, abs=2e-4)
        assert output.margin == pytest.approx(reference.margins, abs=2e-4)


def test_without_types_there_is_nothing_to_ask(model, tokenizer, texts):
    decoder = ForcedDecoder(model, tokenizer, [], all_outside())
    outputs = decoder(texts, 2)
    assert [tags_of(output.text) for output in outputs] == [["O"] * len(text.tokens) for text in texts]
    assert decoder.counts.passes == 0
    assert outputs[0].confidence == [1.0] * len(texts[0].tokens)
    assert outputs[0].margin == [None] * len(texts[0].tokens)


def test_no_sentence_is_no_answer(model, tokenizer):
    assert ForcedDecoder(model, tokenizer, TYPES, all_outside())([], 4) == []


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "initializer_range": 0.4}
ARCHITECTURES = {
    "MistralConfig": (SMALL | {"intermediate_size": 48, "num_key_value_heads": 2, "sliding_window": None}, CachedRows),
    "Qwen2Config": (SMALL | {"intermediate_size": 48, "num_key_value_heads": 2}, CachedRows),
    "Gemma2Config": (
        SMALL | {"intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 16},
        ReadAgain,
    ),
    "GPT2Config": ({"n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.4}, CachedRows),
    "GPTNeoXConfig": (SMALL | {"intermediate_size": 48}, CachedRows),
    "OPTConfig": (SMALL | {"ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.4}, CachedRows),
    "BloomConfig": ({"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.4}, CachedRows),
    "MptConfig": (
        {"d_model": 32, "n_layers": 2, "n_heads": 4, "expansion_ratio": 2, "initializer_range": 0.4},
        ReadAgain,
    ),
    "MambaConfig": (SMALL | {"state_size": 4}, ReadAgain),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_any_architecture(name, batch_size, tokenizer, texts):
    """Rotary and learned positions, ALiBi, sliding windows, states: what cannot be cached is read again."""
    settings, rows = ARCHITECTURES[name]
    torch.manual_seed(1)
    config = getattr(transformers, name)(vocab_size=len(tokenizer), **settings)
    model = AutoModelForCausalLM.from_config(config).eval()
    decoder = ForcedDecoder(model, tokenizer, TYPES, tag_table(texts), window=3)
    assert decoder.settings["cached"] is (rows is CachedRows)
    for output, text in zip(decoder(texts, batch_size), texts, strict=True):
        assert_same(tags_of(output.text), slowly(model, tokenizer, text, TYPES))


def test_reading_again_gives_what_caching_gives(model, tokenizer, texts, slow):
    decoder = ForcedDecoder(model, tokenizer, TYPES, all_outside(), window=2, rows=ReadAgain)
    for output, reference in zip(decoder(texts, 3), slow, strict=True):
        assert_same(tags_of(output.text), reference)


def test_a_model_that_gives_no_numbers_says_so(tokenizer, texts):
    model = random_llama(len(tokenizer))
    torch.nn.init.constant_(model.lm_head.weight, float("nan"))
    with pytest.raises(InputError, match="no numbers"):
        ForcedDecoder(model, tokenizer, TYPES, all_outside())(texts, 2)

"""Constrained decoding equals token-by-token decoding, whatever the drafts, cache and batches."""

import copy
import random
import sys
from dataclasses import replace

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from benchmarks.parts import host_before, tokenizers
from benchmarks.parts.host_time import host_time
from benchmarks.parts.references import by_generate, one_by_one
from bioner.data.instances import Prediction, entity_types
from bioner.data.tags import tag_set, violation
from bioner.errors import InputError
from bioner.inference.decoding import requests
from bioner.inference.decoding.constrained import ConstrainedDecoder, balanced_width, shared
from bioner.inference.decoding.draft_length import CPU_OVERHEAD
from bioner.inference.decoding.drafts import Draft, all_outside, draft_of, predicted, tag_table
from bioner.inference.decoding.kv_cache import CachedBatch, RecomputedBatch, batch_class
from bioner.models.answer_trie import AnswerTrie
from bioner.models.prompt import line_ids, lines_ids
from bioner.settings.model_entry import Predict
from tests.conftest import instance
from tests.unit.inference.decoding.conftest import TYPES, random_llama
from tests.unit.inference.decoding.reference import assert_same, slowly, tags_of


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
@pytest.mark.parametrize(
    "batch_size", [1, 2, 6]
)  # alone, one after another in a place, all at once
@pytest.mark.parametrize("window", [1, 3, 100, None])
def test_windows_batches_and_a_shared_prefix_change_no_tag(
    model, tokenizer, texts, slow, window, batch_size, share_prefix
):
    decoder = ConstrainedDecoder(
        model,
        tokenizer,
        TYPES,
        tag_table(texts),
        Predict(draft_length=window),
        share_prefix=share_prefix,
    )
    for output, reference in zip(decoder(texts, batch_size), slow, strict=True):
        assert_same(tags_of(output.text), reference)


@pytest.mark.parametrize("name", ["all-o", "table", "dictionary", "gold", "random"])
def test_drafts_change_no_tag(model, tokenizer, texts, slow, name):
    decoder = ConstrainedDecoder(model, tokenizer, TYPES, drafts(texts)[name])
    for output, reference in zip(decoder(texts, 3), slow, strict=True):
        assert_same(tags_of(output.text), reference)


def test_a_draft_that_is_right_takes_one_pass(model, tokenizer, texts, slow):
    answers = [
        Prediction(text.id, reference.tags) for text, reference in zip(texts, slow, strict=True)
    ]
    decoder = ConstrainedDecoder(
        model, tokenizer, TYPES, predicted("own", answers, all_outside()), Predict(draft_length=100)
    )
    decoder(texts, 1)
    assert decoder.counts.passes == len(texts)
    assert (
        decoder.counts.drafts
        == decoder.counts.drafts_right
        == sum(len(text.tokens) for text in texts)
    )


def test_the_former_decoder_reads_more_ids_for_the_same_tags(texts):
    figures = host_time(tokenizers.mistral(), texts, texts * 4, entity_types(texts), 4, 1)
    assert figures["host_tags_equal"]
    assert figures["host_cost_now"] <= figures["host_cost_before"]


@pytest.mark.parametrize("name", ["all-o", "table", "gold", "random"])
def test_the_frozen_copy_of_the_former_decoder_gives_the_same_answers(
    model, tokenizer, texts, name
):
    options = Predict(draft_length=100)
    draft = drafts(texts)[name]
    now = ConstrainedDecoder(model, tokenizer, TYPES, draft, options, rows=CachedBatch)
    before = host_before.DecoderBefore(model, tokenizer, TYPES, draft, options, rows=CachedBatch)
    for new, old in zip(now(texts, 2), before(texts, 2), strict=True):
        assert (new.text, new.new_tokens) == (old.text, old.new_tokens)
        assert new.confidence == pytest.approx(old.confidence, abs=2e-4)
        assert new.margin == pytest.approx(old.margin, abs=2e-4)
        assert new.alternatives == old.alternatives


def test_a_row_reads_on_only_if_that_is_worth_the_padding_of_other_rows():
    ends = [(10, 20, True)] * 7 + [(10, 100, True)]
    assert balanced_width(ends, 10) == 20
    assert balanced_width(ends, 10_000) == sys.maxsize
    assert balanced_width([(10, 20, True)] * 8, 10) == sys.maxsize
    # Not below what a row needs for its first word, nor if the others can draft on.
    assert balanced_width([*ends, (50, 60, True)], 0) >= 50
    assert balanced_width([(10, 20, False)] * 7 + [(10, 100, True)], 10) == sys.maxsize


def recorded() -> tuple[list[list[list[int]]], type[CachedBatch]]:
    """The blocks of each pass, and the rows that note them."""
    passes = []

    class Recording(CachedBatch):
        def read(self, blocks, wanted, of):
            passes.append([list(block) for block in blocks])
            return super().read(blocks, wanted, of)

    return passes, Recording


def test_what_is_read_and_what_is_padding_is_counted(model, tokenizer, texts):
    passes, rows = recorded()
    decoder = ConstrainedDecoder(model, tokenizer, TYPES, all_outside(), rows=rows)
    decoder(texts, 3)
    read = sum(len(block) for blocks in passes for block in blocks)
    wide = sum(len(blocks) * max(map(len, blocks)) for blocks in passes)
    assert (decoder.counts.ids, decoder.counts.padding) == (read, wide - read)
    assert decoder.counts.padding > 0


def test_what_would_be_padding_is_drafted(model, tokenizer, texts):
    """A short prompt beside a long one: it is read with words of its answer, not with one."""

    def first_pass(sentences):
        passes, rows = recorded()
        options = {"rows": rows, "share_prefix": False}
        one_word = Predict(draft_length=1)
        ConstrainedDecoder(model, tokenizer, TYPES, all_outside(), one_word, **options)(
            sentences, 2
        )
        return passes[0]

    long, short = texts[4], texts[2]
    (_, beside), (alone,) = first_pass([long, short]), first_pass([short])
    assert beside[: len(alone)] == alone
    assert len(beside) > len(alone)


def test_one_id_of_a_shared_prompt_is_left_to_read():
    assert shared([[1, 2, 3]]) == [1, 2]
    assert shared([[1, 2], [1, 2, 3]]) == [1]
    assert shared([[1, 2, 3, 4], [1, 2, 5, 4]]) == [1, 2]


def test_the_cost_of_a_pass_is_recorded(model, tokenizer):
    decoder = ConstrainedDecoder(model, tokenizer, TYPES, all_outside())
    assert decoder.settings["pass_overhead_ids"] == CPU_OVERHEAD


def test_a_window_of_one_word_takes_a_pass_a_word(model, tokenizer, texts):
    decoder = ConstrainedDecoder(
        model, tokenizer, ["Disease"], all_outside(), Predict(draft_length=1)
    )
    for text in texts:
        decoder([text], 1)
        # What is settled of a line is not asked for again; a wrong first piece may leave a second
        # to ask for.
        assert len(text.tokens) <= decoder.counts.passes <= 2 * len(text.tokens)


def test_a_place_that_is_free_is_taken_by_the_next_sentence(model, tokenizer, texts):
    decoder = ConstrainedDecoder(model, tokenizer, TYPES, tag_table(texts), Predict(draft_length=2))
    decoder(texts, 2)
    together = decoder.counts.passes
    alone = 0
    for text in texts:
        decoder([text], 1)
        alone += decoder.counts.passes
    assert together < 0.75 * alone


@pytest.fixture(scope="module", params=["mistral", "llama"])
def real(request, texts):
    """A real tokenizer, a model that speaks it, and the reference of every text."""
    tokenizer = getattr(tokenizers, request.param)()
    model = random_llama(len(tokenizer), hidden_size=16)
    return tokenizer, model, [slowly(model, tokenizer, text, TYPES) for text in texts]


@pytest.mark.parametrize(("window", "batch_size"), [(1, 1), (1, 4), (3, 3), (None, 6), (100, 1)])
def test_real_tokenizers(real, window, batch_size, texts):
    tokenizer, model, slow = real
    decoder = ConstrainedDecoder(
        model, tokenizer, TYPES, tag_table(texts), Predict(draft_length=window)
    )
    assert decoder.settings["cached"]
    for output, text, reference in zip(decoder(texts, batch_size), texts, slow, strict=True):
        assert_same(tags_of(output.text), reference)
        pairs = list(zip(text.tokens, tags_of(output.text), strict=True))
        assert output.new_tokens == sum(map(len, lines_ids(tokenizer, pairs)))


def test_generate_with_a_logits_processor_gives_the_same(real, texts):
    tokenizer, model, slow = real
    for way in (by_generate, one_by_one):
        for tags, reference in zip(way(model, tokenizer, texts, TYPES, 4), slow, strict=True):
            assert_same(tags, reference)


@pytest.fixture(scope="module", params=["own", "mistral", "llama"])
def spoken(request, tokenizer):
    """A tokenizer and a model that speaks it; the real ones have up to three branches a tag."""
    mine = tokenizer if request.param == "own" else getattr(tokenizers, request.param)()
    return mine, random_llama(len(mine), hidden_size=16, seed=2)


def test_real_tokenizers_branch_more_than_once(texts):
    for tokenizer in (tokenizers.mistral(), tokenizers.llama()):
        lines = AnswerTrie(tokenizer, tag_set(TYPES))
        assert len(lines.routes(*lines.words(["cells"]), "")["B-cell_line"].branches) == 3


def test_of_equal_answers_the_one_of_the_lowest_id_is_taken(spoken, texts):
    tokenizer, model = spoken[0], copy.deepcopy(spoken[1])
    torch.nn.init.zeros_(model.lm_head.weight)
    slow = [slowly(model, tokenizer, text, TYPES).tags for text in texts]
    for window in (1, 3, None):
        for name in ("gold", "random"):
            decoder = ConstrainedDecoder(
                model, tokenizer, TYPES, drafts(texts)[name], Predict(draft_length=window)
            )
            assert [tags_of(output.text) for output in decoder(texts, 2)] == slow
            assert decoder.counts.near_ties >= sum(len(text.tokens) for text in texts)


def test_legal_transitions_leave_nothing_to_repair(spoken, texts):
    tokenizer, model = spoken
    free = ConstrainedDecoder(model, tokenizer, TYPES, all_outside())
    assert any(violation(tags_of(output.text)) for output in free(texts, 3)), (
        "or the option is not tried"
    )
    slow = [slowly(model, tokenizer, text, TYPES, legal=True) for text in texts]
    for window in (1, None):
        decoder = ConstrainedDecoder(
            model,
            tokenizer,
            TYPES,
            drafts(texts)["random"],
            Predict(draft_length=window, legal_transitions=True),
        )
        for output, reference in zip(decoder(texts, 3), slow, strict=True):
            assert violation(tags_of(output.text)) is None
            assert_same(tags_of(output.text), reference)


@pytest.mark.parametrize("legal", [False, True])
def test_confidence_is_the_probability_among_the_tags_allowed(spoken, texts, legal):
    tokenizer, model = spoken
    slow = [slowly(model, tokenizer, text, TYPES, legal) for text in texts]
    for window in (1, None):
        decoder = ConstrainedDecoder(
            model,
            tokenizer,
            TYPES,
            drafts(texts)["random"],
            Predict(draft_length=window, legal_transitions=legal),
        )
        for output, reference in zip(decoder(texts, 3), slow, strict=True):
            assert output.confidence == pytest.approx(reference.probabilities, abs=2e-4)
            assert output.margin == pytest.approx(reference.margins, abs=2e-4)


@pytest.mark.parametrize("legal", [False, True])
def test_log_probabilities_of_all_alternatives_are_kept_at_every_branch(spoken, texts, legal):
    tokenizer, model = spoken
    slow = [slowly(model, tokenizer, text, TYPES, legal) for text in texts]
    for window, name in ((1, "gold"), (None, "random")):
        options = Predict(draft_length=window, legal_transitions=legal)
        decoder = ConstrainedDecoder(model, tokenizer, TYPES, drafts(texts)[name], options)
        for output, reference in zip(decoder(texts, 3), slow, strict=True):
            decided = [
                [
                    dict(zip(map(tuple, output.alternatives[number]), values, strict=True))
                    for number, values in decisions
                ]
                for decisions in output.log_probs
            ]
            assert decided == [
                [pytest.approx(branch, abs=1e-3) for branch in decisions]
                for decisions in reference.decisions
            ]


def test_a_prompt_that_is_shared_as_a_whole_is_still_read_to_its_end(model, tokenizer, texts, slow):
    for text, reference in zip(texts, slow, strict=True):
        twice = ConstrainedDecoder(model, tokenizer, TYPES, all_outside())(
            [text, replace(text, id="again")], 2
        )
        for output in (
            *twice,
            *ConstrainedDecoder(model, tokenizer, TYPES, all_outside())([text], 1),
        ):
            assert_same(tags_of(output.text), reference)


def test_what_was_decoded_before_changes_nothing(model, tokenizer, texts):
    """Not even the shape of the passes: a shard has the same bytes whoever made it."""
    decoder = ConstrainedDecoder(model, tokenizer, TYPES, tag_table(texts))
    decoder([instance("x", "a " * 60), instance("y", "Diethylaminoethyl-methylphenidate")], 2)
    again, counts = decoder(texts, 3), decoder.counts
    fresh = ConstrainedDecoder(model, tokenizer, TYPES, tag_table(texts))
    assert fresh(texts, 3) == again
    assert fresh.counts == counts


def test_long_sentences_take_the_room_of_several(
    model, tokenizer, texts, slow, monkeypatch, caplog
):
    monkeypatch.setattr(requests, "ROOM", 40)
    decoder = ConstrainedDecoder(model, tokenizer, TYPES, tag_table(texts))
    asked = requests.make_requests(tokenizer, texts, TYPES)
    groups = list(requests.group_by_length(asked, 4))
    assert [question for group, _ in groups for question in group] == asked
    assert len(groups) > 1
    for group, rows in groups:
        assert rows * group[0].length <= 4 * 40 or rows == 1
    for output, reference in zip(decoder(texts, 4), slow, strict=True):
        assert_same(tags_of(output.text), reference)


def test_sentences_beyond_the_model_s_positions_are_told_of_and_counted(tokenizer, texts, caplog):
    model = random_llama(len(tokenizer), max_position_embeddings=100)
    decoder = ConstrainedDecoder(model, tokenizer, TYPES, all_outside())
    decoder(texts, 2)
    longer = [
        question
        for question in requests.make_requests(tokenizer, texts, TYPES)
        if question.length > 100
    ]
    assert decoder.counts.beyond_positions == len(longer) > 0
    assert f"{len(longer)} sentences need more than the model's 100 positions" in caplog.text


def test_without_types_there_is_nothing_to_ask(model, tokenizer, texts):
    decoder = ConstrainedDecoder(model, tokenizer, [], all_outside())
    outputs = decoder(texts, 2)
    assert [tags_of(output.text) for output in outputs] == [
        ["O"] * len(text.tokens) for text in texts
    ]
    assert decoder.counts.passes == 0
    assert outputs[0].confidence == [1.0] * len(texts[0].tokens)
    assert outputs[0].margin == [None] * len(texts[0].tokens)
    assert outputs[0].log_probs == [[] for _ in texts[0].tokens]


def test_no_sentence_is_no_answer(model, tokenizer):
    assert ConstrainedDecoder(model, tokenizer, TYPES, all_outside())([], 4) == []


SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.4,
}
ARCHITECTURES = {
    "MistralConfig": (
        SMALL | {"intermediate_size": 48, "num_key_value_heads": 2, "sliding_window": None},
        CachedBatch,
    ),
    "Qwen2Config": (SMALL | {"intermediate_size": 48, "num_key_value_heads": 2}, CachedBatch),
    "GraniteConfig": (  # scales its logits, as Gemma 2 caps them
        SMALL | {"intermediate_size": 48, "num_key_value_heads": 2, "logits_scaling": 8.0},
        CachedBatch,
    ),
    "GPT2Config": (
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.4},
        CachedBatch,
    ),
    "GPTNeoXConfig": (SMALL | {"intermediate_size": 48}, CachedBatch),
    "OPTConfig": (SMALL | {"ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.4}, CachedBatch),
    "BloomConfig": (
        {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.4},
        CachedBatch,
    ),
    "MptConfig": (
        {
            "d_model": 32,
            "n_layers": 2,
            "n_heads": 4,
            "expansion_ratio": 2,
            "initializer_range": 0.4,
        },
        RecomputedBatch,
    ),
    "PhiConfig": (SMALL | {"intermediate_size": 48}, CachedBatch),  # its output layer has a bias
    "GPTNeoConfig": (
        {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "initializer_range": 0.4}
        | {"attention_types": [[["global", "local"], 1]], "window_size": 16},
        RecomputedBatch,
    ),
    "MambaConfig": (SMALL | {"state_size": 4}, RecomputedBatch),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_any_architecture(name, tokenizer, texts):
    """Rotary and learned positions, ALiBi, states: without a cache if need be."""
    settings, rows = ARCHITECTURES[name]
    torch.manual_seed(1)
    config = getattr(transformers, name)(vocab_size=len(tokenizer), **settings)
    model = AutoModelForCausalLM.from_config(config).eval()
    decoder = ConstrainedDecoder(model, tokenizer, TYPES, tag_table(texts), Predict(draft_length=3))
    assert decoder.settings["cached"] is (rows is CachedBatch)
    slow = [slowly(model, tokenizer, text, TYPES) for text in texts]
    for batch_size in (1, 3):
        for output, reference in zip(decoder(texts, batch_size), slow, strict=True):
            assert_same(tags_of(output.text), reference)
            assert output.confidence == pytest.approx(reference.probabilities, abs=2e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_trial_at_loading_knows_positions_by_place_in_any_precision(dtype, tokenizer):
    for name, kept in (
        ("MptConfig", RecomputedBatch),
        ("LlamaConfig", CachedBatch),
        ("BloomConfig", CachedBatch),
    ):
        settings = ARCHITECTURES.get(name, (SMALL | {"intermediate_size": 48}, None))[0]
        for seed in range(4):
            torch.manual_seed(seed)
            config = getattr(transformers, name)(
                vocab_size=48 + len(tokenizer) * (seed % 2), **settings
            )
            made = AutoModelForCausalLM.from_config(config).eval().to(dtype)
            assert issubclass(batch_class(made), kept)


@pytest.mark.parametrize("whole", [False, True])
def test_adapters_on_the_output_layer_are_heeded(tokenizer, texts, whole):
    targets = (
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}
        if whole
        else {"target_modules": ["lm_head"]}
    )
    adapters = LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_alpha=16, init_lora_weights=False, **targets
    )
    plain = random_llama(len(tokenizer), seed=4)
    before = ConstrainedDecoder(plain, tokenizer, TYPES, all_outside())(texts, 3)
    model = get_peft_model(plain, adapters).eval()
    if whole:
        torch.nn.init.normal_(model.get_output_embeddings().weight, std=0.4)
    outputs = ConstrainedDecoder(model, tokenizer, TYPES, tag_table(texts))(texts, 3)
    assert outputs != before
    for output, text in zip(outputs, texts, strict=True):
        assert_same(tags_of(output.text), slowly(model, tokenizer, text, TYPES))
    assert "forward" not in vars(model.get_output_embeddings())


def test_reading_again_gives_what_caching_gives(model, tokenizer, texts, slow):
    decoder = ConstrainedDecoder(
        model, tokenizer, TYPES, all_outside(), Predict(draft_length=2), rows=RecomputedBatch
    )
    for output, reference in zip(decoder(texts, 3), slow, strict=True):
        assert_same(tags_of(output.text), reference)


def test_a_model_that_gives_no_numbers_says_so(tokenizer, texts):
    model = random_llama(len(tokenizer))
    with torch.no_grad():
        model.lm_head.weight[line_ids(tokenizer, "gout", "B-Disease")] = float(
            "nan"
        )  # one tag's, not all
    with pytest.raises(InputError, match="NaN or infinite"):
        ConstrainedDecoder(model, tokenizer, TYPES, all_outside())(texts, 2)

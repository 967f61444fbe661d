"""Models with learned positions: what is beyond them stays unanswered, all else is decoded."""

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from benchmarks.parts import tokenizers
from bioner.data.raw_outputs import Generated
from bioner.inference.decoding.constrained import ConstrainedDecoder
from bioner.inference.decoding.drafts import Draft, all_outside
from bioner.inference.decoding.free import FreeDecoder
from bioner.inference.decoding.kv_cache import CachedBatch
from bioner.inference.decoding.requests import make_requests
from bioner.models.positions import readable_ids
from bioner.realignment.realign import realign
from bioner.settings.model_entry import Predict
from tests.unit.inference.decoding.conftest import TYPES, random_llama
from tests.unit.inference.decoding.reference import assert_same, slowly, tags_of

GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.4}
OPT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "init_std": 0.4}
ARCHITECTURES = {
    "GPT2Config": GPT2,
    "GPTJConfig": GPT2 | {"rotary_dim": 8},
    "OPTConfig": OPT | {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "BioGptConfig": OPT | {"intermediate_size": 48, "initializer_range": 0.4},
}


def learned(name, vocabulary, positions):
    torch.manual_seed(1)
    limit = {"n_positions" if name.startswith("GPT") else "max_position_embeddings": positions}
    config = getattr(transformers, name)(vocab_size=vocabulary, **ARCHITECTURES[name], **limit)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.fixture(scope="module")
def lengths(tokenizer, texts):
    """The ids of prompt and answer by sentence, in the sentences' order."""
    requests = make_requests(tokenizer, texts, TYPES)
    return [request.length for request in sorted(requests, key=lambda request: request.index)]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_one_sentence_beyond_the_positions_costs_no_other_its_answer(
    name, tokenizer, texts, lengths, caplog
):
    model = learned(name, len(tokenizer), max(lengths) - 1)
    assert readable_ids(model) == max(lengths) - 1
    beyond = lengths.index(max(lengths))
    for decoder in (
        ConstrainedDecoder(model, tokenizer, TYPES, all_outside()),
        FreeDecoder(model, tokenizer, TYPES, 4),
    ):
        caplog.clear()
        outputs = decoder(texts, 3)
        assert outputs[beyond] == Generated(texts[beyond].id, "", 0, False)
        assert decoder.took["undecodable"] == decoder.took["beyond_positions"] == 1
        assert f"{texts[beyond].id!r} the most ({max(lengths)}): all their words" in caplog.text
        assert all(output.text for place, output in enumerate(outputs) if place != beyond)
    prediction, alignment = realign(texts[beyond], outputs[beyond], None)
    assert set(prediction.tags) == {"O"}
    assert (alignment.dropped, alignment.truncated) == (len(texts[beyond].tokens), True)


def test_a_sentence_that_its_tags_make_too_long_stays_unanswered(texts):
    """With O for every word it would fit; what is answered is right to the last position."""
    tokenizer, text = tokenizers.mistral(), texts[2]
    (request,) = make_requests(tokenizer, [text], TYPES)
    entities = Draft("entities", lambda *_: ("B-cell_line", "I-cell_line"))
    answered = []
    for positions in range(request.length, request.length + 20, 2):
        model = learned("GPT2Config", len(tokenizer), positions)
        for draft in (all_outside(), entities):
            decoder = ConstrainedDecoder(model, tokenizer, TYPES, draft, Predict(draft_length=2))
            outputs = decoder([text], 1)
            answered.append(outputs[0].stopped)
            assert decoder.counts.undecodable == (not answered[-1])
        assert answered[-2] == answered[-1]
        output = outputs[0]
        if output.stopped:
            assert_same(tags_of(output.text), slowly(model, tokenizer, text, TYPES))
        else:
            assert output == Generated(text.id, "", 0, False)
            with pytest.raises(IndexError):
                slowly(model, tokenizer, text, TYPES)
    assert set(answered) == {False, True}


@pytest.mark.parametrize("name", ["GPT2Config", "OPTConfig"])
def test_a_sentence_that_fills_the_last_position_does_not_disturb_its_batch(
    name, tokenizer, texts, lengths
):
    for positions in range(max(lengths), max(lengths) + 16):
        model = learned(name, len(tokenizer), positions)
        decoder = ConstrainedDecoder(model, tokenizer, TYPES, all_outside())
        together = decoder(texts, 3)
        assert [output.text for output in together] == [
            decoder([text], 1)[0].text for text in texts
        ]


def test_a_row_without_positions_left_reads_nothing_while_others_go_on():
    rows = CachedBatch(learned("GPT2Config", 60, 8), 0, 2)
    rows.read([[*range(8)], [1]], [(0, 7)], [5])
    rows.keep(0, 8)
    rows.keep(1, 1)
    assert rows.read([[], [2, 3]], [(1, 1)], [5, 6]).isfinite().all()


def test_free_answers_are_the_same_whoever_s_positions_end_first(tokenizer, texts, lengths):
    model = learned("GPT2Config", len(tokenizer), max(lengths))
    decoder = FreeDecoder(model, tokenizer, TYPES, 24)
    assert decoder(texts, len(texts)) == [decoder([text], 1)[0] for text in texts]


def test_rotary_positions_and_an_equal_number_of_words_are_no_limit(tokenizer):
    model = random_llama(len(tokenizer), max_position_embeddings=len(tokenizer))
    assert readable_ids(model) > 10**6

"""Free decoding: greedy, or with the model's settings and a seed; never over its token budget."""

import pytest
import torch

from bioner.errors import InputError
from bioner.inference.decoding.free import FiniteLogits, FreeDecoder
from bioner.inference.decoding.requests import make_requests
from bioner.models.verbalizer import Verbalizer
from tests.unit.inference.decoding.conftest import TYPES, random_llama
from tests.unit.inference.decoding.test_positions import learned
from tests.unit.inference.decoding.test_windows import SHORT, windowed


@pytest.fixture
def sampling(tokenizer):
    """A model that ships with everything on that changes what is generated."""
    model = random_llama(len(tokenizer))
    model.generation_config.update(
        do_sample=True,
        temperature=5.0,
        top_p=0.99,
        repetition_penalty=1.9,
        no_repeat_ngram_size=1,
        max_length=3,
    )
    return model


def test_greedy_whatever_the_model_ships_with(model, sampling, tokenizer, texts):
    plain = FreeDecoder(model, tokenizer, TYPES, 5)(texts, 3)
    assert FreeDecoder(sampling, tokenizer, TYPES, 5)(texts, 3) == plain
    assert sampling.generation_config.temperature == 5.0, "the model is left as it was"


def test_the_paper_s_way_inherits_the_settings_and_draws_by_the_seed(
    sampling, model, tokenizer, texts
):
    def written(seed):
        return [
            output.text
            for output in FreeDecoder(sampling, tokenizer, TYPES, 5, inherit=True, seed=seed)(
                texts, 3
            )
        ]

    greedy = [output.text for output in FreeDecoder(model, tokenizer, TYPES, 5)(texts, 3)]
    assert written(1) == written(1)
    assert len({tuple(written(seed)) for seed in (1, 2)} | {tuple(greedy)}) == 3


def test_shards_do_not_draw_the_same(sampling, tokenizer, texts):
    decoder = FreeDecoder(sampling, tokenizer, TYPES, 5, inherit=True, seed=1)
    assert decoder(texts, 3, 0) == decoder(texts, 3, 0) != decoder(texts, 3, 1)


def test_settings_and_seed_are_told(sampling, tokenizer):
    told = FreeDecoder(sampling, tokenizer, TYPES, 5, inherit=True, seed=7).settings
    assert told["generation_seed"] == 7
    assert (told["generation"]["temperature"], told["generation"]["top_p"]) == (5.0, 0.99)
    assert FreeDecoder(sampling, tokenizer, TYPES, 5, seed=7).settings["generation_seed"] is None


def test_the_budget_is_a_sentence_s_own_whoever_it_is_decoded_with(model, tokenizer, texts):
    together = FreeDecoder(model, tokenizer, TYPES, 3)
    alone = FreeDecoder(model, tokenizer, TYPES, 3)
    for output, text in zip(together(texts, len(texts)), texts, strict=True):
        assert output == alone([text], 1)[0]
        assert output.new_tokens <= 3 * len(text.tokens)
        assert output.stopped or output.new_tokens == 3 * len(text.tokens)
    assert (
        together.took["truncated"] == sum(not output.stopped for output in together(texts, 2)) > 0
    )


def test_any_of_the_model_s_own_ends_is_an_end(model, tokenizer, texts):
    decoder = FreeDecoder(model, tokenizer, TYPES, 6)
    first = decoder(texts, 1)[0]
    ids = tokenizer(first.text, add_special_tokens=False)["input_ids"]
    other = random_llama(len(tokenizer))
    other.generation_config.eos_token_id = [tokenizer.eos_token_id, ids[3]]
    ended = FreeDecoder(other, tokenizer, TYPES, 6)(texts, 1)[0]
    assert ended.stopped
    assert ended.new_tokens <= 3
    assert first.text.startswith(ended.text)


@pytest.mark.parametrize(
    ("style", "answer"),
    [
        ("letters", "gout:B\n1:4:O\n:A\n"),
        ("letters", "gout: B\n1:4:O \n: A\n"),
        ("names", "gout:B-Disease\n1:4:O\n:A\n"),
    ],
)
def test_answers_hold_tags_by_their_names(model, tokenizer, texts, monkeypatch, style, answer):
    decoder = FreeDecoder(model, tokenizer, TYPES, 24, verbalizer=Verbalizer(TYPES, style))
    ids = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    monkeypatch.setattr(decoder, "_generate", lambda prompts, budget: [ids for _ in prompts])
    expected = "gout:B-Disease\n1:4:O\n" + (":B-Chemical\n" if style == "letters" else ":A\n")
    assert decoder(texts[:1], 1)[0].text == expected


def masked_rows_as_cudnn_has_them(monkeypatch):
    """Attention that gives NaN for padding on the left, whose rows attend to nothing."""
    attention = torch.nn.functional.scaled_dot_product_attention

    def with_nan(query, key, value, attn_mask=None, **options):
        out = attention(query, key, value, attn_mask=attn_mask, **options)
        if attn_mask is None:
            return out
        sees = attn_mask if attn_mask.dtype == torch.bool else attn_mask > -1e30
        return out.masked_fill(~sees.any(-1, keepdim=True), float("nan"))

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", with_nan)


@pytest.mark.parametrize("inherit", [False, True])
def test_a_model_whose_padding_is_nan_is_refused(
    inherit, model, sampling, tokenizer, texts, monkeypatch
):
    masked_rows_as_cudnn_has_them(monkeypatch)
    decoder = FreeDecoder(sampling if inherit else model, tokenizer, TYPES, 5, inherit=inherit)
    assert all(output.text for output in decoder(texts, 1)), "without padding nothing is masked"
    with pytest.raises(InputError, match="NaN or infinite"):
        decoder(texts, 3)


def test_sentences_of_one_length_are_decoded_together(model, tokenizer, texts, monkeypatch):
    decoder, prompts = FreeDecoder(model, tokenizer, TYPES, 5), []

    def generated(batch, budget):
        prompts.extend(batch)
        return [[tokenizer.eos_token_id]] * len(batch)

    monkeypatch.setattr(decoder, "_generate", generated)
    decoder(texts, 2)
    longest_first = make_requests(tokenizer, texts, TYPES)
    assert prompts == [request.prompt for request in longest_first]
    assert prompts != [request.prompt for request in sorted(longest_first, key=lambda r: r.index)]


def test_one_step_without_numbers_is_remembered_to_the_end(tokenizer):
    finite = FiniteLogits(tokenizer, draws=False)
    for value in (1.0, float("nan"), 1.0):
        finite(None, torch.full((2, 3), value))
    with pytest.raises(InputError, match="NaN or infinite"):
        finite.check()


def logits_of_left_padded_rows(model, tokenizer, prompts):
    """The logits behind each prompt of a batch, as `generate` reads it."""
    batch = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt")
    output = model.generate(
        **batch, max_new_tokens=1, output_logits=True, return_dict_in_generate=True
    )
    return output.logits[0]


@pytest.mark.parametrize("name", ["llama", "mistral with a window", "gpt2"])
def test_left_padded_batches_give_the_logits_of_single_sentences(name, tokenizer, texts):
    model = {
        "llama": lambda: random_llama(len(tokenizer)),
        "mistral with a window": lambda: windowed("MistralConfig", len(tokenizer), SHORT),
        "gpt2": lambda: learned("GPT2Config", len(tokenizer), 1024),
    }[name]()
    prompts = [request.prompt for request in make_requests(tokenizer, texts, TYPES)]
    assert len({len(prompt) for prompt in prompts}) > 3
    together = logits_of_left_padded_rows(model, tokenizer, prompts)
    alone = torch.cat([logits_of_left_padded_rows(model, tokenizer, [row]) for row in prompts])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)
    decoder = FreeDecoder(model, tokenizer, TYPES, 6)
    answers = decoder(texts, 1)
    for batch_size in (2, 3, len(texts)):
        assert decoder(texts, batch_size) == answers

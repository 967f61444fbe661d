"""The loss at labelled places is the model's own, whatever it does behind its output layer."""

from types import MethodType

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from bioner.errors import InputError
from bioner.training import loss
from bioner.training.loss import check_loss, summed_loss

SIZES = {
    **{"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32, "vocab_size": 96},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}


def model_of(architecture: str, **settings: object) -> PreTrainedModel:
    """A tiny model whose logits are large enough for a cap to matter."""
    torch.manual_seed(1)
    config = AutoConfig.for_model(architecture, **SIZES | settings)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(20)
    return model


def batch() -> dict[str, torch.Tensor]:
    """Three rows of twenty ids, a part of them labelled."""
    ids = torch.randint(3, 96, (3, 20), generator=torch.Generator().manual_seed(1))
    labels = ids.clone()
    labels[:, :8] = labels[1, 15:] = -100
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def gradients(model: PreTrainedModel, total: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(total, list(model.parameters())))


@pytest.mark.parametrize(
    ("architecture", "settings", "plain"),
    [
        ("llama", {}, True),
        ("granite", {"logits_scaling": 1.0}, True),
        ("granite", {"logits_scaling": 8.0}, False),
        ("cohere", {"logit_scale": 0.0625}, False),
        ("gemma2", {"final_logit_softcapping": 30.0}, False),
        ("gemma3_text", {"final_logit_softcapping": 2.0}, False),
        ("gemma3_text", {}, True),
    ],
)
def test_loss_and_gradients_are_those_of_all_logits(monkeypatch, architecture, settings, plain):
    monkeypatch.setattr(loss, "LOGITS_AT_ONCE", 7)
    model, inputs = model_of(architecture, **settings), batch()
    assert check_loss(model, inputs) is plain
    total, count = summed_loss(model, model, inputs, plain=plain)
    ids, targets = inputs["input_ids"], inputs["labels"][:, 1:].flatten()
    logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, :-1]
    expected = cross_entropy(logits.flatten(0, 1), targets, reduction="sum")
    assert int(count) == int((targets != -100).sum())
    torch.testing.assert_close(total, expected)
    for mine, theirs in zip(gradients(model, total), gradients(model, expected), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_logits_that_depend_on_other_places_are_refused():
    model = model_of("llama")
    forward = model.forward

    def mixed(self, *args, **kwargs):
        output = forward(*args, **kwargs)
        output.logits = output.logits.cumsum(1)
        return output

    model.forward = MethodType(mixed, model)
    with pytest.raises(InputError, match=r"LlamaForCausalLM does not make in its output layer"):
        check_loss(model, batch())

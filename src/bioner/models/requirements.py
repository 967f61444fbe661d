"""What a model must have to be used as its entry says, checked before any work is done."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)
from transformers.models.auto.tokenization_auto import get_tokenizer_config

from bioner.errors import InputError
from bioner.settings.model_entry import Family


def kind_of(config: PreTrainedConfig) -> Literal["encoder", "decoder", "encoder-decoder"] | None:
    """Return what a model is by its configuration; None if transformers lists it as neither.

    BERT and its kin are listed as causal models, too, for those that were trained as decoders and
    say so. XLNet is listed only there, but sees both sides of a word.
    """
    if config.is_encoder_decoder:
        return "encoder-decoder"
    text = config.get_text_config()
    if text.model_type in {*MODEL_FOR_MASKED_LM_MAPPING_NAMES, "xlnet"}:
        return "decoder" if getattr(text, "is_decoder", False) else "encoder"
    return "decoder" if text.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES else None


def check_kind(source: str | Path, family: Family, config: PreTrainedConfig) -> None:
    """Raise InputError if a model is of another kind than the entry's family."""
    wanted = "encoder" if family == "encoder" else "decoder"
    kind = kind_of(config)
    if kind in (wanted, None):
        return
    remedy = {
        "encoder": "Set family: encoder, or choose an LLM.",
        "decoder": "Set family: llm-head, or choose an encoder.",
        "encoder-decoder": f"Choose another model: the family {family!r} has no use for this one.",
    }
    expected = "an encoder" if wanted == "encoder" else "a decoder-only LLM"
    found = f"a {kind}-only LLM" if kind == "decoder" else f"an {kind}"
    raise InputError(source, f"{found} ({config.model_type})", expected, remedy[str(kind)])


def check_tokenizer(source: str | Path, family: Family, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise InputError for a tokenizer that cannot read words, or end an answer."""
    if not tokenizer.is_fast:
        raise InputError(
            source,
            f"a tokenizer in Python only ({type(tokenizer).__name__})",
            "a fast one, which says where each subword stands in the text",
            "Convert it to a tokenizer.json, or choose another model.",
        )
    # If its files are missing, transformers makes one of special tokens, with ▁ at most besides:
    # every word would be unknown.
    special = {*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens}
    if len(tokenizer.get_vocab().keys() - special) <= 1:
        raise InputError(
            source,
            "a tokenizer without a vocabulary",
            "tokenizer.json, or the vocabulary that its class reads",
            "Copy the tokenizer's files from where the model comes from.",
        )
    if family == "llm" and tokenizer.eos_token_id is None:
        raise InputError(
            source,
            "a tokenizer without an end-of-sequence token",
            "one, with which an answer ends",
            "Name it in tokenizer_config.json (eos_token), or choose another model.",
        )


def check_code(source: str, revision: str | None = None, *, trust_remote_code: bool) -> None:
    """Raise InputError if a model's own code lies in another repository, at no fixed commit."""
    if not trust_remote_code:
        return
    config, _ = PreTrainedConfig.get_config_dict(source, revision=revision)
    tokenizer = get_tokenizer_config(source, revision=revision)
    references = json.dumps([config.get("auto_map"), tokenizer.get("auto_map")])
    if elsewhere := set(re.findall(r'"([^"]+)--', references)) - {source}:
        raise InputError(
            source,
            f"code of another repository ({min(elsewhere)}), at no fixed commit",
            "code next to the weights",
            "Copy both into one folder, correct auto_map there, and name it in source.hub.",
        )


@torch.no_grad()
def check_padding(name: str, model: PreTrainedModel, ids: Sequence[int], pad: int) -> None:
    """Raise InputError if padding changes a model's logits: tags would depend on the batch.

    Args:
        name: The model's name, for the message.
        model: A token classifier.
        ids: An example; its first half is padded to its length, which the model can read.
        pad: The padding token's id.
    """
    training, logits = model.training, []
    model.eval()
    half = [*ids[: len(ids) // 2 or 1]]
    for row in (half, half + [pad] * (len(ids) - len(half))):
        mask = [int(place < len(half)) for place in range(len(row))]
        given = torch.tensor([row, mask], device=model.device)[:, None]
        logits.append(model(input_ids=given[0], attention_mask=given[1]).logits[0, : len(half)])
    model.train(training)
    alone, padded = logits
    if (alone - padded).abs().max() > 0.01 * alone.abs().max():
        raise InputError(
            name,
            f"the architecture {model.config.model_type!r}, whose answers depend on padding",
            "one that pays no attention to it",
            "Choose another model: its tags would change with the sentences of a batch.",
        )


def check_logits(tokenizer: PreTrainedTokenizerBase, finite: bool) -> None:
    """Raise InputError, naming the model's folder, unless all its logits were finite."""
    if not finite:
        raise InputError(
            tokenizer.name_or_path,
            "logits that are NaN or infinite",
            "finite numbers",
            "Train again with a lower learning rate, or check the weights.",
        )


def check_ids(model: PreTrainedModel, ids: Iterable[int]) -> None:
    """Raise InputError if an id that occurs in the data has no row in a model's embeddings."""
    rows, highest = model.get_input_embeddings().weight.shape[0], max(ids, default=0)
    if highest >= rows:
        raise InputError(
            model.config.name_or_path,
            f"{rows} rows of embeddings, and the id {highest} in the data",
            "a row for every id that occurs there",
            "Take model and tokenizer of one release.",
        )

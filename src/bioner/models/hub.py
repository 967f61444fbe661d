"""Loading tokenizers and models: hub ids, local folders and from-scratch folders go through the
same calls.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from bioner.errors import InputError
from bioner.models.devices import device_of
from bioner.models.hub_errors import why_not
from bioner.settings.config import Tree

Dtype = torch.dtype | Literal["auto"]

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()


def load_tokenizer(source: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a hub id or folder; it pads behind, with end-of-sequence where it has no
    token for that.
    """
    tokenizer: PreTrainedTokenizerBase = _loaded(AutoTokenizer.from_pretrained, source, revision)
    tokenizer.padding_side = (
        "right"  # Mistral's own is left: labels would be looked for in the wrong places
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token is None:
        found, expected = (
            "a tokenizer without padding and end-of-sequence tokens",
            "one with either",
        )
        raise InputError(source, found, expected, "Copy its tokenizer_config.json again.")
    return tokenizer


def load_token_classifier(
    source: str | Path, revision: str | None = None, **kwargs: Any
) -> PreTrainedModel:
    """An encoder with a token-classification head (`id2label` in `kwargs` for a new head)."""
    # Some checkpoints hold fp16 weights, which would be trained as such; autocast does what is to
    # be done in bf16.
    return _model(AutoModelForTokenClassification, source, revision, dtype=torch.float32, **kwargs)


def check_window(name: str, entry: Tree, model: PreTrainedModel) -> None:
    """InputError where the entry's `max_length` is more than the model has positions for."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions and entry["max_length"] > positions:
        found, expected = (
            f"max_length {entry['max_length']}",
            f"at most {positions}, the model's positions",
        )
        raise InputError(name, found, expected, "Lower max_length.")


def load_causal_lm(
    source: str | Path,
    entry: Tree,
    gpus: int,
    revision: str | None = None,
    dtype: Dtype | None = None,
) -> PreTrainedModel:
    """A decoder, in 4-bit NF4 with double quantisation where the entry says so, on this process's
    device.
    """
    _check_whole(source)
    return _never_repacked(
        _model(AutoModelForCausalLM, source, revision, **_form(entry, gpus, dtype))
    )


def load_llm_classifier(
    source: str | Path,
    entry: Tree,
    gpus: int,
    labels: Sequence[str],
    revision: str | None = None,
    dtype: Dtype | None = None,
) -> PreTrainedModel:
    """A decoder with a token-classification head in place of its output layer, loaded as
    `load_causal_lm` does.

    With the entry's `attention` bidirectional every subword sees the whole sentence, and not what
    is before it alone.
    """
    names = {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    _check_whole(source)
    model = _model(
        AutoModelForTokenClassification, source, revision, **names, **_form(entry, gpus, dtype)
    )
    if entry["attention"] == "bidirectional":
        model.config.is_causal = False
        for module in model.modules():
            if hasattr(
                module, "is_causal"
            ):  # what flash attention asks; the others ask the configuration
                module.is_causal = False
    return _never_repacked(model)


def _never_repacked(model: PreTrainedModel) -> PreTrainedModel:
    """The model, whose 4-bit layers keep their form on every CPU.

    Where a CPU has AVX512-BF16, bitsandbytes repacks them in their first forward pass without
    gradients, rounding their
    scales: from then on results are other than on other machines, and no gradient goes through them
    any more.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def _form(entry: Tree, gpus: int, dtype: Dtype | None) -> dict[str, Any]:
    """How the weights of an LLM are held, and where: by default in the precision of the entry."""
    precision = torch.bfloat16 if entry["train"]["precision"] == "bf16" else torch.float32
    dtype = dtype or precision
    quantization = None
    if entry["quantization"] == "nf4":
        if find_spec("bitsandbytes") is None:
            remedy = "Install it as envs/gpu.txt has it, or set quantization to null."
            raise InputError("quantization", "nf4 and no bitsandbytes", "the package", remedy)
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=precision,
            llm_int8_skip_modules=["lm_head", "score"],  # 4-bit, too, heeds it
        )
    # One whole copy a process: accelerate refuses device_map="auto" in a distributed run, and it
    # would idle one GPU.
    return {
        "dtype": dtype,
        "device_map": {"": device_of(gpus)},
        "quantization_config": quantization,
    }


def _check_whole(source: str | Path) -> None:
    """InputError for an adapter: transformers would load its base, and the adapter as a part of
    it.
    """
    if Path(source, "adapter_config.json").is_file():
        raise InputError(
            source, "an adapter", "a whole model", "Merge it with its base first: `bioner merge`."
        )


HEADS = ("classifier.", "score.")  # what a model that has not been trained for tokens may lack


def _model(kind: Any, source: str | Path, revision: str | None, **kwargs: Any) -> PreTrainedModel:
    """A model with all its weights: transformers would draw at random, without a word, what a file
    lacks.
    """
    model, info = _loaded(
        kind.from_pretrained, source, revision, output_loading_info=True, **kwargs
    )
    if lacking := sorted(name for name in info["missing_keys"] if not name.startswith(HEADS)):
        found = f"weights without {lacking[0]}" + (
            f" and {len(lacking) - 1} others" if lacking[1:] else ""
        )
        raise InputError(
            source, found, "all that config.json asks for", "Download or copy the model again."
        )
    return model


def _loaded(load: Any, source: str | Path, revision: str | None, **kwargs: Any) -> Any:
    if revision and not Path(source).is_dir():
        kwargs["revision"] = revision
    try:
        return load(str(source), **kwargs)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # what libraries raise over a broken file is anybody's guess
        raise InputError(source, *why_not(str(source), revision, error)) from None

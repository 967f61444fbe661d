"""Loading tokenizers and models from the hub or from folders."""

import logging
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from bioner.errors import InputError
from bioner.models import ADAPTER_FILE
from bioner.models.decoder_head import DecoderWithHead
from bioner.models.devices import device_of
from bioner.models.hub_errors import why_not
from bioner.models.requirements import check_code, check_kind, check_tokenizer
from bioner.settings.model_entry import ModelEntry

log = logging.getLogger(__name__)

Dtype = torch.dtype | Literal["auto"]

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()


def precision_of(entry: ModelEntry) -> torch.dtype:
    """Return the number format in which a model is trained."""
    return torch.bfloat16 if entry.train.precision == "bf16" else torch.float32


def load_tokenizer(
    source: str | Path, revision: str | None = None, entry: ModelEntry | None = None
) -> PreTrainedTokenizerBase:
    """Load a tokenizer; it pads on the right, with end-of-sequence if it has no padding token.

    It is the first thing that is read of a model, so a model of the wrong kind is refused here.

    Args:
        source: Hub id or folder.
        revision: Branch, tag or commit on the hub.
        entry: The model's catalogue entry; None to load the tokenizer of any model.

    Raises:
        InputError: The tokenizer cannot be used, or the model is not what the entry's family needs.
    """
    own_code = {"trust_remote_code": bool(entry and entry.source.trust_remote_code)}
    rows = sys.maxsize
    if entry and not Path(source, ADAPTER_FILE).is_file():
        _loaded(check_code, source, revision, **own_code)
        config = load_model_config(source, revision, **own_code)
        check_kind(source, entry.family, config)
        rows = getattr(config.get_text_config(), "vocab_size", rows)
    tokenizer: PreTrainedTokenizerBase = _loaded(
        AutoTokenizer.from_pretrained, source, revision, **own_code
    )
    check_tokenizer(source, entry.family if entry else "encoder", tokenizer)
    # Mistral's own side is left: labels would be looked for in the wrong places.
    tokenizer.padding_side = "right"
    # One that was added may have no row among the embeddings.
    if tokenizer.pad_token is None or tokenizer.pad_token_id >= rows:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token is None:
        raise InputError(
            source,
            "a tokenizer without padding and end-of-sequence tokens",
            "one with either",
            "Copy its tokenizer_config.json again.",
        )
    return tokenizer


def load_token_classifier(
    source: str | Path,
    revision: str | None = None,
    labels: Sequence[str] | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    trust_remote_code: bool = False,
) -> PreTrainedModel:
    """Load an encoder with a token-classification head.

    Args:
        labels: Those of a new head, to be trained; None keeps the head that was trained.
        dtype: Number format of the weights. For training it must be fp32, even if a checkpoint
            holds fp16; a trained model may be rounded.
        trust_remote_code: Run the model's own code.
    """
    return _model(
        AutoModelForTokenClassification,
        source,
        revision,
        new_head=labels is not None,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        **(_names(labels) if labels else {}),
    )


def _names(labels: Sequence[str]) -> dict[str, Any]:
    """Return a head's labels in the form that a configuration wants."""
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def load_model_config(
    source: str | Path, revision: str | None = None, *, trust_remote_code: bool = False
) -> PreTrainedConfig:
    """Load a model's configuration."""
    _refuse_adapter(source)
    load, own_code = AutoConfig.from_pretrained, trust_remote_code
    config: PreTrainedConfig = _loaded(load, source, revision, trust_remote_code=own_code)
    return config


def _refuse_adapter(source: str | Path) -> None:
    if Path(source, ADAPTER_FILE).is_file():
        raise InputError(
            source, "an adapter", "a whole model", "Merge it with its base first: `bioner merge`."
        )


def load_causal_lm(
    source: str | Path,
    entry: ModelEntry,
    gpus: int,
    revision: str | None = None,
    dtype: Dtype | None = None,
) -> PreTrainedModel:
    """Load an LLM onto this process's device, in 4-bit NF4 if the entry says so."""
    return _llm(AutoModelForCausalLM, source, revision, _form(entry, gpus, dtype))


def load_llm_classifier(
    source: str | Path,
    entry: ModelEntry,
    gpus: int,
    labels: Sequence[str],
    revision: str | None = None,
    dtype: Dtype | None = None,
) -> DecoderWithHead:
    """Load an LLM with an untrained token-classification head in place of its output layer.

    If the entry's `attention` is bidirectional, every subword sees the whole sentence.

    Raises:
        InputError: The architecture's attention cannot be bidirectional.
    """
    decoder = _llm(AutoModel, source, revision, _form(entry, gpus, dtype))
    if entry.attention == "bidirectional":
        decoder.config.is_causal = decoder.config.get_text_config().is_causal = False
        for module in decoder.modules():
            if hasattr(module, "is_causal"):  # for flash attention; others ask the configuration
                module.is_causal = False
        if not _sees_what_follows(decoder):
            raise InputError(
                source,
                f"the architecture {decoder.config.model_type!r} with attention bidirectional",
                "one in which it can be switched on",
                "Set attention to causal; with repeat 2 every word still sees the sentence.",
            )
    decoder.config.update(_names(labels))
    return DecoderWithHead(decoder)


@torch.no_grad()
def _sees_what_follows(decoder: PreTrainedModel) -> bool:
    """Return whether another last id changes the hidden states before it, in padded rows, too."""
    ids = torch.tensor([[1, 2, 3, 4, 0], [1, 2, 3, 5, 0]], device=decoder.device)
    mask = torch.tensor([[1, 1, 1, 1, 0]] * 2, device=decoder.device)
    hidden = decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    one, other = hidden[:, :3]
    return not torch.allclose(one, other, atol=1e-4)  # equal rows may be rounded differently


def _llm(
    kind: Any, source: str | Path, revision: str | None, options: dict[str, Any]
) -> PreTrainedModel:
    """Load an LLM, but no adapter: transformers would silently load its base with it."""
    _refuse_adapter(source)
    model = _model(kind, source, revision, **options)
    # On CPUs with AVX512-BF16, bitsandbytes repacks 4-bit layers in the first forward pass without
    # gradients and rounds their scales: results would differ between machines, and no gradient
    # would pass through these layers any more.
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def _form(entry: ModelEntry, gpus: int, dtype: Dtype | None) -> dict[str, Any]:
    """Return how and where an LLM's weights are held, by default in the entry's precision."""
    precision = precision_of(entry)
    quantization = None
    if entry.quantization == "nf4":
        if find_spec("bitsandbytes") is None:
            raise InputError(
                "quantization",
                "nf4 and no bitsandbytes",
                "the package",
                "Install it as envs/gpu.txt has it, or set quantization to null.",
            )
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=precision,
            # 4-bit layers heed it too; the second is the output layer of ModernBERT's decoder.
            llm_int8_skip_modules=["lm_head", "decoder$"],
        )
    # One whole copy per process: accelerate refuses device_map="auto" in a distributed run, and it
    # would idle one GPU.
    return {
        "dtype": dtype or precision,
        "device_map": {"": device_of(gpus)},
        "quantization_config": quantization,
        "trust_remote_code": entry.source.trust_remote_code,
    }


CLASSIFIERS = ("classifier.", "score.")  # the last layers of heads


def _model(
    kind: Any, source: str | Path, revision: str | None, *, new_head: bool = False, **kwargs: Any
) -> PreTrainedModel:
    """Load a model with all its weights: transformers would silently initialise missing ones.

    Args:
        new_head: The head, which is what is not in the base model, may be missing. One that the
            source has been trained with is replaced, whatever its labels.
    """
    model, info = _loaded(
        kind.from_pretrained,
        source,
        revision,
        output_loading_info=True,
        ignore_mismatched_sizes=new_head,
        **kwargs,
    )
    body = f"{model.base_model_prefix}."
    if new_head and not any(name.startswith(body) for name, _ in model.named_parameters()):
        expected, remedy = "its body there, as base_model_prefix says", "Choose another model."
        raise InputError(source, f"no weights under {body!r}", expected, remedy)
    lacking = info["missing_keys"] | {name for name, *_ in info["mismatched_keys"]}
    if new_head:
        lacking = {name for name in lacking if name.startswith(body)}
    if lacking:
        found = f"weights without {min(lacking)}" + (
            f" and {len(lacking) - 1} others" if len(lacking) > 1 else ""
        )
        expected, remedy = "all that config.json asks for", "Download or copy the model again."
        if min(lacking).startswith(CLASSIFIERS):
            expected, remedy = "a trained head", "Name the `model/` of a finished training."
        raise InputError(source, found, expected, remedy)
    if kind is AutoModel and any(key.startswith(CLASSIFIERS) for key in info["unexpected_keys"]):
        log.info("%s: its own classification head is left out", source)
    head = {name for name, _ in model.named_parameters() if not name.startswith(body)}
    if new_head and any(name.startswith(CLASSIFIERS) for name in head - info["missing_keys"]):
        log.info("%s: its classification head is replaced by a new one", source)
        for name, module in model.named_modules():
            if not f"{name}.".startswith(body):
                for part in (module, *module.parameters(recurse=False)):
                    part._is_hf_initialized = False  # the mark of what is left as it is
        model.initialize_weights()
    return model


def _loaded(load: Any, source: str | Path, revision: str | None, **kwargs: Any) -> Any:
    kwargs.setdefault("trust_remote_code", False)  # transformers would ask the terminal
    if revision and not Path(source).is_dir():
        kwargs["revision"] = revision
    try:
        return load(str(source), **kwargs)
    except (torch.OutOfMemoryError, InputError):
        raise
    except Exception as error:  # what libraries raise over a broken file is anybody's guess
        if "trust_remote_code" in str(error):
            raise InputError(
                source,
                "a model that needs its own Python code",
                "permission to run it",
                "Read that code, then set source.trust_remote_code: true, and source.revision to"
                " the commit you have read if it is the hub's.",
            ) from None
        raise InputError(source, *why_not(str(source), revision, error)) from None

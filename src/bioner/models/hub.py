"""Loading tokenizers and models: hub ids, local folders and from-scratch folders go through the same calls."""

import errno
import os
import socket
import ssl
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from json import JSONDecodeError
from pathlib import Path
from typing import Any, Literal

import httpx2
import torch
import transformers
from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from transformers import (
    AutoModelForCausalLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from bioner.config import Tree
from bioner.errors import InputError, reason_of

Dtype = torch.dtype | Literal["auto"]
REFUSED = (401, 403)
NOWHERE = 404
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()


def require_devices(name: str, gpus: int) -> None:
    """Fail before anything is loaded where a model needs GPUs that are not there."""
    found = torch.cuda.device_count()
    if found < gpus:
        remedy = (
            "Run it where there are (`snakemake --profile slurm …`), or lower "
            f"settings.{name}.resources.gpus (and predict_gpus) if you know that it fits."
        )
        raise InputError(name, f"{found} CUDA GPUs", f"{gpus}", remedy)


def load_tokenizer(source: str | Path, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a hub id or folder; it pads behind, with end-of-sequence where it has no token for that."""
    tokenizer: PreTrainedTokenizerBase = _loaded(AutoTokenizer.from_pretrained, source, revision)
    tokenizer.padding_side = "right"  # Mistral's own is left: labels would be looked for in the wrong places
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token is None:
        found, expected = "a tokenizer without padding and end-of-sequence tokens", "one with either"
        raise InputError(source, found, expected, "Copy its tokenizer_config.json again.")
    return tokenizer


def load_token_classifier(source: str | Path, revision: str | None = None, **kwargs: Any) -> PreTrainedModel:
    """An encoder with a token-classification head (`id2label` in `kwargs` for a new head)."""
    # Some checkpoints hold fp16 weights, which would be trained as such; autocast does what is to be done in bf16.
    return _model(AutoModelForTokenClassification, source, revision, dtype=torch.float32, **kwargs)


def device_of(gpus: int) -> torch.device:
    """This process's GPU where the entry asks for GPUs and there are any, else the CPU."""
    if gpus and torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cpu")


def check_window(name: str, entry: Tree, model: PreTrainedModel) -> None:
    """InputError where the entry's `max_length` is more than the model has positions for."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions and entry["max_length"] > positions:
        found, expected = f"max_length {entry['max_length']}", f"at most {positions}, the model's positions"
        raise InputError(name, found, expected, "Lower max_length.")


def load_causal_lm(
    source: str | Path, entry: Tree, gpus: int, revision: str | None = None, dtype: Dtype | None = None
) -> PreTrainedModel:
    """A decoder, in 4-bit NF4 with double quantisation where the entry says so, on this process's device."""
    _check_whole(source)
    return _never_repacked(_model(AutoModelForCausalLM, source, revision, **_form(entry, gpus, dtype)))


def load_llm_classifier(
    source: str | Path,
    entry: Tree,
    gpus: int,
    labels: Sequence[str],
    revision: str | None = None,
    dtype: Dtype | None = None,
) -> PreTrainedModel:
    """A decoder with a token-classification head in place of its output layer, loaded as `load_causal_lm` does.

    With the entry's `attention` bidirectional every subword sees the whole sentence, and not what is before it alone.
    """
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    _check_whole(source)
    model = _model(AutoModelForTokenClassification, source, revision, **names, **_form(entry, gpus, dtype))
    if entry["attention"] == "bidirectional":
        model.config.is_causal = False
        for module in model.modules():
            if hasattr(module, "is_causal"):  # what flash attention asks; the others ask the configuration
                module.is_causal = False
    return _never_repacked(model)


def _never_repacked(model: PreTrainedModel) -> PreTrainedModel:
    """The model, whose 4-bit layers keep their form on every CPU.

    Where a CPU has AVX512-BF16, bitsandbytes repacks them in their first forward pass without gradients, rounding their
    scales: from then on results are other than on other machines, and no gradient goes through them any more.
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
    # One whole copy a process: accelerate refuses device_map="auto" in a distributed run, and it would idle one GPU.
    return {"dtype": dtype, "device_map": {"": device_of(gpus)}, "quantization_config": quantization}


def _check_whole(source: str | Path) -> None:
    """InputError for an adapter: transformers would load its base, and the adapter as a part of it."""
    if Path(source, "adapter_config.json").is_file():
        raise InputError(source, "an adapter", "a whole model", "Merge it with its base first: `bioner merge`.")


HEADS = ("classifier.", "score.")  # what a model that has not been trained for tokens may lack


def _model(kind: Any, source: str | Path, revision: str | None, **kwargs: Any) -> PreTrainedModel:
    """A model with all its weights: transformers would draw at random, without a word, what a file lacks."""
    model, info = _loaded(kind.from_pretrained, source, revision, output_loading_info=True, **kwargs)
    if lacking := sorted(name for name in info["missing_keys"] if not name.startswith(HEADS)):
        found = f"weights without {lacking[0]}" + (f" and {len(lacking) - 1} others" if lacking[1:] else "")
        raise InputError(source, found, "all that config.json asks for", "Download or copy the model again.")
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


def why_not(source: str, revision: str | None, error: Exception) -> tuple[str, str, str]:
    """What was found in place of a model, what was expected, and what to do."""
    reasons = list(_chain(error))
    fetch = f"`hf download {source}" + (f" --revision {revision}`" if revision else "`")
    if Path(source).is_dir():
        reason = reason_of(error)
        expected = "a folder in Hugging Face form: config.json, weights, tokenizer"
        return f"no loadable model or tokenizer in this folder ({reason})", expected, "Make or copy the folder again."
    if source.startswith(("/", ".", "~")) or source.count("/") > 1:
        return "no such folder", "the folder of a model, or a hub id OWNER/NAME", "Correct the path."
    if any(isinstance(reason, GatedRepoError) for reason in reasons):
        remedy = f"Accept its terms at https://huggingface.co/{source}, then `hf auth login`, or set HF_TOKEN."
        return "a gated model, and no leave to read it", "leave to read it", remedy
    if any(isinstance(reason, RevisionNotFoundError) for reason in reasons):
        return f"no revision {revision!r} of this model", "a branch, tag or commit", "Correct source.revision."
    if any(isinstance(reason, RepositoryNotFoundError) for reason in reasons):
        remedy = "Correct the name; for a private model log in with `hf auth login`."
        return "no model of this name on the hub, or a private one", "a hub id or a local folder", remedy
    away = next((said for said in map(_away, reasons) if said), None)
    if any(isinstance(reason, LocalEntryNotFoundError | OfflineModeIsEnabled) for reason in reasons):
        unreachable = "the hub cannot be reached" + (f" ({away})" if away else "")
        where = "hub access is off (HF_HUB_OFFLINE)" if HF_HUB_OFFLINE else unreachable
        remedy = f"Where there is a connection, {fetch} with the same HF_HOME; or name a local folder."
        return f"no model of this name in the cache, and {where}", "a model at hand", remedy
    if away:
        remedy = (
            "Check network, proxy (HTTPS_PROXY) and token (HF_TOKEN); "
            "or `snakemake prefetch` where there is a connection, with the same HF_HOME."
        )
        return f"that the hub cannot be reached ({away})", "its answer", remedy
    if any(isinstance(reason, OSError) and reason.errno in UNWRITABLE for reason in reasons):
        remedy = "Make room there, or set HF_HOME to a folder that you may write in."
        return f"{reason_of(error)} in {HF_HUB_CACHE}", "a cache that can be written to", remedy
    reason = reason_of(error)
    return f"no loadable model or tokenizer ({reason})", "a hub id or a local folder", f"Check the name; try {fetch}."


def _away(error: BaseException) -> str | None:
    """Why there is no answer of the hub, where that is what an error says: none, a proxy's, or a log-in page."""
    if isinstance(error, OfflineModeIsEnabled):
        return None
    if isinstance(error, HfHubHTTPError):
        code = error.response.status_code
        return None if code in (*REFUSED, NOWHERE) else reason_of(error)
    if isinstance(error, JSONDecodeError):
        # A file of the model that is cut short begins as JSON.
        page = error.doc.strip() and not error.doc.lstrip().startswith(("{", "["))
        return "a page in place of its answer" if page else None
    if isinstance(error, UnicodeEncodeError):
        return "a token that is not ASCII" if error.encoding == "ascii" else None
    if isinstance(error, ValueError | ImportError) and "proxy" in str(error):  # of another scheme; SOCKS
        return reason_of(error)
    lost = (httpx2.TransportError, httpx2.InvalidURL, ConnectionError, TimeoutError, socket.gaierror, ssl.SSLError)
    return reason_of(error) if isinstance(error, lost) else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those it was made of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

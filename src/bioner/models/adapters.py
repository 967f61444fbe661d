"""LoRA adapters on models in full or 4-bit precision (QLoRA; paper, section II.C.1)."""

import logging
from collections.abc import Sequence
from functools import partial

from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

from bioner.errors import InputError, reason_of
from bioner.settings.model_entry import ModelEntry

log = logging.getLogger(__name__)

ALL_LINEAR = "all-linear"  # peft's word for every linear layer but the output layer


def with_adapter(
    model: PreTrainedModel,
    entry: ModelEntry,
    *,
    task: str = "CAUSAL_LM",
    pieces: Sequence[int] = (),
) -> PreTrainedModel:
    """Return the model ready to train, with LoRA adapters if the entry has them.

    What is trained is fp32. The rest stays as it was loaded and as prediction will have it: peft's
    `prepare_model_for_kbit_training` would make norms, embeddings and output layer fp32 (2 GB more
    for Llama-3.1).

    Args:
        task: peft's type of task.
        pieces: ids whose input embeddings are trained, since they are new to the model.
    """
    lora = entry.lora
    if lora is None:
        return model
    is_lm = task == "CAUSAL_LM"
    left_out = _tied_layers(model) if is_lm else ["lm_head"]  # a classifier has no such layer
    targets = [name for name in lora.target_modules if not _is_one_of(name, left_out)]
    if is_lm and len(targets) < len(lora.target_modules):
        log.warning(
            "lora: no adapter on %s: output layer and embeddings share their weights",
            " and ".join(sorted(set(lora.target_modules) - set(targets))),
        )
    all_linear = targets == [ALL_LINEAR]
    _check_names(model, "target_modules", [] if all_linear else targets)
    _check_names(model, "modules_to_save", lora.modules_to_save)
    config = LoraConfig(
        task_type=task,
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=ALL_LINEAR if all_linear else targets,
        modules_to_save=list(lora.modules_to_save) or None,
        trainable_token_indices=list(pieces) or None,
        ensure_weight_tying=bool(lora.modules_to_save),
    )
    try:
        adapted = get_peft_model(model, config)
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise InputError(
            "lora",
            f"what makes no adapters ({reason_of(error)})",
            "linear layers under `target_modules`, whole modules that are not in 4 bits under"
            " `modules_to_save`",
            "Correct the entry.",
        ) from None
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    # Else peft saves the fp32 output head with every adapter on it: 2 GB for Llama-3.1, in
    # checkpoints too.
    adapted.save_pretrained = partial(adapted.save_pretrained, save_embedding_layers=False)
    adapted.create_or_update_model_card = _leave_out_card
    return adapted


def _leave_out_card(folder: str) -> None:
    """Write no card: peft would for every checkpoint; bioner.training.model_card writes ours."""


def _is_one_of(name: str, modules: Sequence[str]) -> bool:
    """Return whether a name means one of these modules to peft: it may be the end of theirs."""
    return any(module == name or module.endswith(f".{name}") for module in modules)


def _check_names(model: PreTrainedModel, key: str, wanted: Sequence[str]) -> None:
    """Raise InputError for a name of no module: peft would silently leave it out."""
    modules = [name for name, _ in model.named_modules() if name]
    if absent := [name for name in wanted if not _is_one_of(name, modules)]:
        last = {name.rpartition(".")[2] for name in modules if not name[-1].isdigit()}
        raise InputError(
            f"lora.{key}",
            repr(absent[0]),
            f"names of modules: {', '.join(sorted(last))}",
            "Correct the name.",
        )


def _tied_layers(model: PreTrainedModel) -> list[str]:
    """Return output layer and embeddings if they share weights.

    Merged, an adapter on one would change the other, too.
    """
    head = model.get_output_embeddings()
    if head is None or head.weight is not model.get_input_embeddings().weight:
        return []
    return [
        name
        for name, module in model.named_modules()
        if getattr(module, "weight", None) is head.weight
    ]


def trained_parameters(model: PreTrainedModel) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

"""LoRA adapters on models in full or 4-bit precision (QLoRA; paper, section II.C.1)."""

from collections.abc import Sequence
from functools import partial

from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

from bioner.errors import InputError, reason_of
from bioner.settings.model_entry import ModelEntry


def with_adapter(
    model: PreTrainedModel,
    entry: ModelEntry,
    *,
    task: str = "CAUSAL_LM",
    whole: Sequence[str] = (),
    pieces: Sequence[int] = (),
) -> PreTrainedModel:
    """Return the model ready to train, with LoRA adapters if the entry has them.

    What is trained is fp32. The rest stays as it was loaded and as prediction will have it: peft's
    `prepare_model_for_kbit_training` would make norms, embeddings and output layer fp32 (2 GB more
    for Llama-3.1).

    Args:
        task: peft's type of task.
        whole: modules that are trained themselves (a new head).
        pieces: ids whose input embeddings are trained, since they are new to the model.
    """
    lora = entry.lora
    if lora is None:
        return model
    targets = (
        list(lora.target_modules)
        if task == "CAUSAL_LM"
        else [name for name in lora.target_modules if name != "lm_head"]
    )
    _check_modules(model, targets, lora.modules_to_save)
    config = LoraConfig(
        task_type=task,
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        modules_to_save=[*lora.modules_to_save, *whole] or None,
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


def _check_modules(model: PreTrainedModel, targets: Sequence[str], whole: Sequence[str]) -> None:
    """Raise InputError for names of no module, and for adapters on layers with tied weights."""
    names = [name for name, _ in model.named_modules()]
    for key, wanted in (("target_modules", targets), ("modules_to_save", whole)):
        if absent := [
            one
            for one in wanted
            if not any(name == one or name.endswith(f".{one}") for name in names)
        ]:
            last = sorted(
                {name.rpartition(".")[2] for name in names if name and not name[-1].isdigit()}
            )
            raise InputError(
                f"lora.{key}",
                repr(absent[0]),
                f"names of modules: {', '.join(last)}",
                "Correct the name.",
            )
    if not targets:
        raise InputError("lora.target_modules", "none", "modules that get an adapter", "Name some.")
    if "lm_head" in targets and not whole and getattr(model.config, "tie_word_embeddings", False):
        raise InputError(
            "lora.target_modules",
            "lm_head, which is this model's embeddings, too",
            "layers of their own",
            "Leave lm_head out: merged, it would change the embeddings.",
        )


def trained_parameters(model: PreTrainedModel) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

"""LoRA adapters on models in full or 4-bit precision (QLoRA; paper, section II.C.1)."""

from collections.abc import Sequence
from functools import partial

from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

from bioner.errors import InputError, reason_of
from bioner.settings.config import Tree


def with_adapter(
    model: PreTrainedModel,
    entry: Tree,
    *,
    task: str = "CAUSAL_LM",
    whole: Sequence[str] = (),
    pieces: Sequence[int] = (),
) -> PreTrainedModel:
    """The model ready to train: with LoRA adapters where the entry has them, else as it is.

    Modules in `whole` (a new head) are trained beside them, and the input embeddings of the
    `pieces` that the model did not know. What is trained is fp32. What is not stays as it was
    loaded, and as predictions will have it: peft's `prepare_model_for_kbit_training` would make
    norms, embeddings and output layer fp32 (2 GB more for Llama-3.1).
    """
    lora = entry["lora"]
    if lora is None:
        return model
    targets = (
        lora["target_modules"]
        if task == "CAUSAL_LM"
        else [name for name in lora["target_modules"] if name != "lm_head"]
    )
    saved = [*lora["modules_to_save"], *whole]
    _check_modules(model, targets, lora["modules_to_save"])
    config = LoraConfig(
        task_type=task,
        r=lora["r"],
        lora_alpha=lora["alpha"],
        lora_dropout=lora["dropout"],
        target_modules=targets,
        modules_to_save=saved or None,
        trainable_token_indices=list(pieces) or None,
        ensure_weight_tying=bool(lora["modules_to_save"]),
    )
    try:
        adapted = get_peft_model(model, config)
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        reason = reason_of(error)
        expected = (
            "linear layers under `target_modules`, whole modules that are not in 4 bits under"
            " `modules_to_save`"
        )
        raise InputError(
            "lora", f"what makes no adapters ({reason})", expected, "Correct the entry."
        ) from None
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    # Else peft puts the fp32 output head beside every adapter on it: 2 GB for Llama-3.1, in
    # checkpoints too.
    adapted.save_pretrained = partial(adapted.save_pretrained, save_embedding_layers=False)
    adapted.create_or_update_model_card = _leave_out_card
    return adapted


def _leave_out_card(folder: str) -> None:
    """Write no card: peft would render one per checkpoint, and bioner.training.model_card writes
    the one that stays.
    """


def _check_modules(model: PreTrainedModel, targets: Sequence[str], whole: Sequence[str]) -> None:
    """InputError where a name is that of no module, or an adapter would sit on a layer that is
    another one, too.
    """
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
            expected = f"names of modules: {', '.join(last)}"
            raise InputError(f"lora.{key}", repr(absent[0]), expected, "Correct the name.")
    if not targets:
        raise InputError("lora.target_modules", "none", "modules that get an adapter", "Name some.")
    tied = getattr(model.config, "tie_word_embeddings", False)
    if tied and "lm_head" in targets and not whole:
        found, expected = "lm_head, which is this model's embeddings, too", "layers of their own"
        raise InputError(
            "lora.target_modules",
            found,
            expected,
            "Leave lm_head out: merged, it would change the embeddings.",
        )


def trained_parameters(model: PreTrainedModel) -> int:
    """How many numbers training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

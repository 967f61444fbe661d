"""LoRA adapters on models in full or 4-bit precision (QLoRA; paper, section II.C.1)."""

from collections.abc import Sequence
from functools import partial

from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

from bioner.config import Tree


def with_adapter(
    model: PreTrainedModel,
    entry: Tree,
    *,
    task: str = "CAUSAL_LM",
    whole: Sequence[str] = (),
    pieces: Sequence[int] = (),
) -> PreTrainedModel:
    """The model ready to train: with LoRA adapters where the entry has them, else as it is.

    Modules in `whole` (a new head) are trained beside them, and the input embeddings of the `pieces` that the model did
    not know. What is trained is fp32. What is not stays as it was loaded, and as predictions will have it: peft's
    `prepare_model_for_kbit_training` would make norms, embeddings and output layer fp32 (2 GB more for Llama-3.1).
    """
    lora = entry["lora"]
    if lora is None:
        return model
    if entry["train"]["checkpointing"]:
        model.enable_input_require_grads()
    saved = [*lora["save_whole"], *whole]
    head_less = [name for name in lora["targets"] if name != "lm_head"]
    config = LoraConfig(
        task_type=task,
        r=lora["r"],
        lora_alpha=lora["alpha"],
        lora_dropout=lora["dropout"],
        target_modules=lora["targets"] if task == "CAUSAL_LM" else head_less,
        modules_to_save=saved or None,
        trainable_token_indices=list(pieces) or None,
        ensure_weight_tying=bool(lora["save_whole"]),
    )
    adapted = get_peft_model(model, config)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    # Else peft puts the fp32 output head beside every adapter on it: 2 GB for Llama-3.1, in checkpoints too.
    adapted.save_pretrained = partial(adapted.save_pretrained, save_embedding_layers=False)
    return adapted


def trained_parameters(model: PreTrainedModel) -> int:
    """How many numbers training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

"""Arguments of the Trainer from a catalogue entry, the same for encoders and LLMs."""

from pathlib import Path

import torch
from transformers import Trainer, TrainingArguments
from transformers.training_args import OptimizerNames

from bioner.errors import InputError, reason_of
from bioner.settings.config import Tree
from bioner.training.job import TrainingJob
from bioner.training.trainer import one_gpu_per_process


def training_arguments(job: TrainingJob, folder: Path, eval_batch_size: int) -> TrainingArguments:
    """Trainer arguments of a job; `folder` takes the checkpoints."""
    entry, train = job.entry, job.entry["train"]
    if train["optimizer"] not in set(OptimizerNames):
        names = ", ".join(OptimizerNames)
        raise InputError(
            "train settings",
            f"the optimizer {train['optimizer']!r}",
            f"one of {names}",
            "Correct it.",
        )
    micro, accumulation = job.batches()
    on_gpu = torch.cuda.is_available() and entry["resources"]["gpus"] > 0
    if (
        on_gpu
        and train["precision"] == "bf16"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        found = f"bf16 on a {torch.cuda.get_device_name()}, which has none"
        raise InputError(
            "train settings", found, "a GPU from Ampere on", "Set train.precision to fp32."
        )
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=train["epochs"],
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=eval_batch_size,
        gradient_accumulation_steps=accumulation,
        learning_rate=train["learning_rate"],
        weight_decay=train["weight_decay"],
        warmup_steps=train["warmup_ratio"],
        lr_scheduler_type="linear",
        optim=train["optimizer"],
        bf16=train["precision"] == "bf16",
        activation_checkpointing=train["activation_checkpointing"],
        activation_checkpointing_kwargs={"use_reentrant": False}
        if train["activation_checkpointing"]
        else None,
        ddp_find_unused_parameters=False if job.processes > 1 else None,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="no",
        # it would hide a loss that is no number; Progress looks for one
        logging_nan_inf_filter=False,
        full_determinism=train["deterministic"],
        seed=job.seed,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        report_to="none",
        disable_tqdm=True,
    )
    try:
        Trainer.get_optimizer_cls_and_kwargs(arguments)
    except (ImportError, ValueError, NotImplementedError) as error:
        reason = reason_of(error)
        found = f"the optimizer {train['optimizer']!r}, which cannot be used here ({reason})"
        raise InputError(
            "train settings", found, "one that can", "Take adamw_torch, or install it."
        ) from None
    return one_gpu_per_process(arguments)


def weights_format(entry: Tree) -> torch.dtype:
    """The number format of an LLM's weights in training.

    Weights that stay as they are may be held in the precision of the passes; of those that are
    trained, steps would get lost in it. Adapters are fp32 beside them.
    """
    held = entry["train"]["precision"] if entry["lora"] else entry["train"]["param_dtype"]
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[held]

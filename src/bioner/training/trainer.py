"""The Trainer of encoders and LLMs: its settings, steps with little padding, exact resumption.

Every private interface of transformers that is overridden or set is in this module
(tests/unit/test_private_interfaces.py).
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.trainer_utils import rotate_checkpoints
from transformers.training_args import OptimizerNames

from bioner.errors import InputError, reason_of
from bioner.io.heartbeat import HEARTBEAT_FILE
from bioner.settings.model_entry import ModelEntry
from bioner.training.checkpoints import (
    folder_of,
    newest,
    read_manifest,
    remove_broken,
    write_manifest,
)
from bioner.training.interrupts import Interrupts
from bioner.training.job import TrainingJob
from bioner.training.progress import Diverged, Progress, Row, best_of, step_to_keep
from bioner.training.samplers import EpochSampler, Order, pad_to_full_batches, random_steps

log = logging.getLogger(__name__)


def training_arguments(job: TrainingJob, folder: Path, eval_batch_size: int) -> TrainingArguments:
    """Return the Trainer's arguments for a job, with its checkpoints in `folder`.

    Raises:
        InputError: If the optimiser or the precision is not available here.
    """
    entry, train = job.entry, job.entry.train
    if train.optimizer not in set(OptimizerNames):
        raise InputError(
            "train settings",
            f"the optimizer {train.optimizer!r}",
            f"one of {', '.join(OptimizerNames)}",
            "Correct it.",
        )
    micro, accumulation = job.batches()
    on_gpu = torch.cuda.is_available() and entry.resources.gpus > 0
    if (
        on_gpu
        and train.precision == "bf16"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        raise InputError(
            "train settings",
            f"bf16 on a {torch.cuda.get_device_name()}, which has none",
            "a GPU from Ampere on",
            "Set train.precision to fp32.",
        )
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=train.epochs,
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=eval_batch_size,
        gradient_accumulation_steps=accumulation,
        learning_rate=train.learning_rate,
        weight_decay=train.weight_decay,
        warmup_steps=train.warmup_ratio,
        lr_scheduler_type="linear",
        optim=train.optimizer,
        bf16=train.precision == "bf16",
        activation_checkpointing=train.activation_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False}
        if train.activation_checkpointing
        else None,
        ddp_find_unused_parameters=False if job.processes > 1 else None,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="no",
        # The filter would hide a NaN, which Progress looks for.
        logging_nan_inf_filter=False,
        label_names=["labels"],
        full_determinism=train.deterministic,
        seed=job.seed,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        report_to="none",
        disable_tqdm=True,
    )
    try:
        Trainer.get_optimizer_cls_and_kwargs(arguments)
    except (ImportError, ValueError, NotImplementedError) as error:
        raise InputError(
            "train settings",
            f"the optimizer {train.optimizer!r}, which cannot be used here ({reason_of(error)})",
            "one that can",
            "Take adamw_torch, or install it.",
        ) from None
    # One GPU per process: transformers would use every visible one and multiply the batch.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def weights_format(entry: ModelEntry) -> torch.dtype:
    """Return the number format of an LLM's weights in training.

    Frozen weights may have the precision of the passes (adapters are fp32 anyway); trained weights
    would lose small steps to rounding in it.
    """
    held = entry.train.precision if entry.lora else entry.train.param_dtype
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[held]


@contextmanager
def without_autocast(model: torch.nn.Module) -> Iterator[None]:
    """Run a model's forward passes as prediction does: accelerate has put autocast around them."""
    within = model.forward
    model.forward = getattr(model, "_original_forward", within)
    try:
        yield
    finally:
        model.forward = within


class ResumableTrainer(Trainer):  # type: ignore[misc]
    """A Trainer with complete, sealed checkpoints: resumed, it ends as if never interrupted.

    `kept` is the row of the history whose weights the model holds after `fit`, None if it diverged.
    """

    kept: Row | None = None

    def __init__(
        self,
        *,
        checkpoints: Path,
        progress: Progress,
        interrupts: Interrupts,
        order: Order = random_steps,
        keep: Literal["best", "last"] = "best",
        head_learning_rate: float | None = None,
        may_diverge: bool = False,
        **kwargs: Any,
    ) -> None:
        self.checkpoints, self.progress, self.keep = checkpoints, progress, keep
        self.head_learning_rate, self.may_diverge, self.order = (
            head_learning_rate,
            may_diverge,
            order,
        )
        examples, args = kwargs["train_dataset"], kwargs["args"]
        self.lengths = [len(example["input_ids"]) for example in examples]
        kwargs["train_dataset"] = pad_to_full_batches(
            examples, args.per_device_train_batch_size, args.world_size
        )
        super().__init__(**kwargs, callbacks=[progress, interrupts])
        self.remove_callback(PrinterCallback)  # Progress logs instead

    def fit(self) -> None:
        """Train, or resume from the last sound checkpoint; then load the weights to keep.

        Raises:
            Diverged: If the loss becomes NaN or infinite, unless it may.
        """
        if self.is_world_process_zero():
            remove_broken(self.checkpoints)
            while (last := newest(self.checkpoints)) and (lost := self._lacks(last)):
                log.warning(
                    "%s is of no use without %s, the best so far: going on without it",
                    last,
                    lost.name,
                )
                shutil.rmtree(last)
        self.accelerator.wait_for_everyone()
        if last := newest(self.checkpoints):
            self.progress.restore(read_manifest(last))
            log.info(
                "train %s: going on from step %s",
                self.progress.name,
                last.name.removeprefix("checkpoint-"),
            )
        self.progress.keep_time(self.checkpoints / HEARTBEAT_FILE)
        try:
            if not self.progress.is_over():
                self.train(resume_from_checkpoint=str(last) if last else None)
        except Diverged as error:
            if not self.may_diverge:
                raise
            log.warning("train %s: diverged: %s", self.progress.name, error)
            return
        finally:
            self.progress.close()
        rows = self.progress.rows
        self.kept = best_of(rows) if self.keep == "best" else rows[-1]
        self._load_from_checkpoint(str(folder_of(self.checkpoints, self.kept["step"])), self.model)

    def _lacks(self, checkpoint: Path) -> Path | None:
        """Return the best checkpoint up to this one if it is needed at the end and gone."""
        rows = read_manifest(checkpoint)["rows"]
        if not rows or self.keep == "last":
            return None
        best = folder_of(self.checkpoints, best_of(rows)["step"])
        return None if best.is_dir() else best

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Create the optimiser; the new head may have a learning rate of its own."""
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        if self.head_learning_rate is not None:
            head = {
                id(values)
                for name, values in self.model.named_parameters()
                if self._is_of_head(name)
            }
            for group in list(optimizer.param_groups):
                own = [values for values in group["params"] if id(values) in head]
                group["params"] = [values for values in group["params"] if id(values) not in head]
                optimizer.add_param_group({**group, "params": own, "lr": self.head_learning_rate})
        return optimizer

    def _is_of_head(self, parameter: str) -> bool:
        return not parameter.startswith(f"{self.model.base_model_prefix}.")

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Run a forward and a backward pass, and add the loss to the epoch's mean."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        self.progress.add_loss(loss)
        return loss

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        batch = (
            self.args.train_batch_size
            * self.args.gradient_accumulation_steps
            * self.args.world_size
        )
        fillers = len(self.train_dataset) - len(self.lengths)
        self.sampler = EpochSampler(self.lengths, batch, self.args.seed, self.order, fillers)
        return self.sampler

    def _run_epoch(self, *args: Any, epoch: int, **kwargs: Any) -> None:
        # accelerate's wrappers lose the epoch if several processes resume inside one.
        self.sampler.set_epoch(epoch)
        super()._run_epoch(*args, epoch=epoch, **kwargs)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        self.progress.check_loss(self.state.global_step)
        record = self.progress.record()
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # each process has written its random state
        if self.is_world_process_zero():
            write_manifest(folder_of(self.checkpoints, self.state.global_step), record)
            rows = record["rows"] if self.keep == "best" else []
            second = step_to_keep(rows, self.state.global_step)
            best = None if second is None else str(folder_of(self.checkpoints, second))
            rotate_checkpoints(
                str(self.checkpoints), save_total_limit=2, best_model_checkpoint=best
            )
        self.accelerator.wait_for_everyone()

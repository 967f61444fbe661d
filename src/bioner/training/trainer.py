"""The Trainer of encoders and LLMs: its settings, steps with little padding, exact resumption.

Every private interface of transformers that is overridden or set is in this module
(tests/unit/test_private_interfaces.py).
"""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate.utils import gather_object
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch.utils.hooks import RemovableHandle
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.trainer_utils import rotate_checkpoints
from transformers.training_args import OptimizerNames

from bioner.errors import InputError, reason_of
from bioner.io.heartbeat import HEARTBEAT_FILE
from bioner.models.devices import device_of
from bioner.settings.model_entry import ModelEntry
from bioner.training.checkpoints import (
    folder_of,
    newest,
    read_manifest,
    remove_broken,
    replace_record,
    write_manifest,
)
from bioner.training.interrupts import Interrupts
from bioner.training.job import TrainingJob
from bioner.training.progress import Diverged, Progress, Row, best_of, step_to_keep
from bioner.training.samplers import EpochSampler, Order, pad_to_full_batches, random_steps
from bioner.training.workspace import write_micro_batch

log = logging.getLogger(__name__)


class OutOfMemory(Exception):
    """A forward or backward pass with `micro_batch` sentences did not fit in memory."""

    def __init__(self, micro_batch: int) -> None:
        self.micro_batch = micro_batch
        super().__init__(micro_batch)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error of torch means out of memory, in the words of any library."""
    return (
        isinstance(error, torch.OutOfMemoryError)
        or should_reduce_batch_size(error)
        or any(words in str(error) for words in ("CUDA error: out of memory", "_ALLOC_FAILED"))
    )


def training_arguments(
    job: TrainingJob, folder: Path, eval_batch_size: int = 1
) -> TrainingArguments:
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
    optimizer = train.optimizer
    on_gpu = device_of(entry.resources.gpus).type == "cuda"
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
    if on_gpu and optimizer == "adamw_torch":
        optimizer = "adamw_torch_fused"  # not on the CPU, where it would change results
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
        optim=optimizer,
        bf16=train.precision == "bf16",
        activation_checkpointing=train.activation_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False}
        if train.activation_checkpointing
        else None,
        ddp_find_unused_parameters=False if job.processes > 1 else None,
        eval_strategy="no",  # ResumableTrainer evaluates once the checkpoint is written
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


def has_own_memory(device: torch.device) -> bool:
    """Return whether a device has limited memory of its own, so that passes can be tried."""
    return device.type == "cuda"


def weights_format(entry: ModelEntry) -> torch.dtype:
    """Return the number format of an LLM's weights in training.

    Frozen weights may have the precision of the passes (adapters are fp32 anyway); trained weights
    would lose small steps to rounding in it.
    """
    held = entry.train.precision if entry.lora else entry.train.param_dtype
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[held]


@contextmanager
def predicting(model: torch.nn.Module, held: torch.dtype) -> Iterator[None]:
    """Run forward passes as prediction with the weights as trained does.

    Without the autocast that accelerate adds, and with the whole modules that are trained beside an
    adapter in the number format of the base, in which peft loads them.

    Args:
        held: The number format of the base.
    """
    within = model.forward
    model.forward = getattr(model, "_original_forward", within)
    whole = [values for name, values in model.named_parameters() if ".modules_to_save." in name]
    trained = [values.data for values in whole]
    for values in whole:
        values.data = values.data.to(held)
    try:
        yield
    finally:
        model.forward = within
        for values, data in zip(whole, trained, strict=True):
            values.data = data


class ResumableTrainer(Trainer):  # type: ignore[misc]
    """A Trainer with complete, sealed checkpoints: resumed, it ends as if never interrupted.

    `kept` is the row of the history whose weights the model holds after `fit`, None if it diverged.
    `micro_batches` are sizes of forward passes, largest first; a GPU takes the largest that fits.
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
        micro_batches: Sequence[int] = (),
        **kwargs: Any,
    ) -> None:
        self.micro_batches = micro_batches
        self.checkpoints, self.progress, self.keep = checkpoints, progress, keep
        self.head_learning_rate, self.may_diverge, self.order = (
            head_learning_rate,
            may_diverge,
            order,
        )
        self.examples, args = kwargs["train_dataset"], kwargs["args"]
        self.lengths = [len(example["input_ids"]) for example in self.examples]
        kwargs["train_dataset"] = pad_to_full_batches(
            self.examples, args.per_device_train_batch_size, args.world_size
        )
        self.interrupts, interrupts.progress = interrupts, progress
        # Interrupts first: all processes leave together before Progress sees a NaN in one.
        super().__init__(**kwargs, callbacks=[interrupts, progress])
        self.remove_callback(PrinterCallback)  # Progress logs instead

    def fit(self) -> None:
        """Train, or resume from the last sound checkpoint; then load the weights to keep.

        Raises:
            Diverged: If the loss becomes NaN or infinite, unless it may.
            OutOfMemory: If a pass does not fit in memory.
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
        full = False
        try:
            if not self.progress.is_over():
                self._choose_micro_batch()
                self.args.eval_on_start = self.progress.unscored
                self.train(resume_from_checkpoint=str(last) if last else None)
        except Diverged as error:
            if not self.may_diverge:
                raise
            log.warning("train %s: diverged: %s", self.progress.name, error)
            return
        except RuntimeError as error:
            if not (full := is_out_of_memory(error)):
                raise
        finally:
            self.progress.close()
        if full:  # outside `except`, so that the pass's tensors are freed
            raise OutOfMemory(self.args.per_device_train_batch_size)
        rows = self.progress.rows
        self.kept = best_of(rows) if self.keep == "best" else rows[-1]
        self._load_from_checkpoint(str(folder_of(self.checkpoints, self.kept["step"])), self.model)

    def _choose_micro_batch(self) -> None:
        """Take the largest of `micro_batches` that fits on every GPU, and keep it for resuming.

        On the CPU it is the first, since results there must not depend on free memory.
        """
        if len(self.micro_batches) < 2 or not has_own_memory(self.args.device):
            return
        fitting = next(filter(self._fits, self.micro_batches), self.micro_batches[-1])
        micro, args = min(gather_object([fitting])), self.args
        args.gradient_accumulation_steps *= args.per_device_train_batch_size // micro
        args.per_device_train_batch_size = micro
        self._train_batch_size = args.train_batch_size
        self.train_dataset = pad_to_full_batches(self.examples, micro, args.world_size)
        if self.is_world_process_zero():
            log.info("train %s: %d sentences per forward pass fit", self.progress.name, micro)
            write_micro_batch(self.checkpoints.parent, micro)
        self.accelerator.wait_for_everyone()

    def _fits(self, micro: int) -> bool:
        """Return whether a pass over the longest examples fits beside the optimiser's state."""
        longest = sorted(self.examples, key=lambda example: -len(example["input_ids"]))[:micro]
        trained = [values for values in self.model.parameters() if values.requires_grad]
        # AdamW's two moments and, with several processes, the gradients that they exchange.
        copies = 2 if self.args.world_size == 1 else 3
        if self.args.activation_checkpointing:
            self.model.activation_checkpointing_enable(
                activation_checkpointing_kwargs=self.args.activation_checkpointing_kwargs
            )
        devices = [self.args.device] if self.args.device.type == "cuda" else []
        full = False
        try:
            held = [torch.empty_like(values) for values in trained for _ in range(copies)]
            for values in trained:
                values.grad = torch.zeros_like(values)
            with torch.random.fork_rng(devices), self.accelerator.autocast():
                super().training_step(self.model, self.data_collator(longest), torch.tensor(micro))
            del held
        except RuntimeError as error:
            if not (full := is_out_of_memory(error)):
                raise
        self.model.zero_grad(set_to_none=True)
        clear_device_cache(garbage_collection=True)
        return not full

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
        if self.control.should_training_stop:  # after dev was evaluated on resuming
            return
        # accelerate's wrappers lose the epoch if several processes resume inside one.
        self.sampler.set_epoch(epoch)
        super()._run_epoch(*args, epoch=epoch, **kwargs)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        self.progress.check_loss(self.state.global_step)
        record = self.progress.record()
        checkpoint = folder_of(self.checkpoints, self.state.global_step)
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # each process has written its random state
        if self.is_world_process_zero():
            write_manifest(checkpoint, record)
            rows = record["rows"] if self.keep == "best" else []
            second = step_to_keep(rows, self.state.global_step)
            best = None if second is None else str(folder_of(self.checkpoints, second))
            rotate_checkpoints(
                str(self.checkpoints), save_total_limit=2, best_model_checkpoint=best
            )
        self.accelerator.wait_for_everyone()
        self.interrupts.leave(self.args, self.state, self.control)
        if self.progress.unscored:
            self.evaluate()
            self._load_rng_state(str(checkpoint))  # as in a training that resumes from here

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate dev, and add the scores to the checkpoint of this epoch.

        Raises:
            Interrupted: On a signal; a training that resumes from the checkpoint evaluates first.
        """
        try:
            metrics: dict[str, float] = super().evaluate(*args, **kwargs)
        except RuntimeError:
            # If another process has left on the signal first, waiting for it raises an error.
            self.interrupts.on_prediction_step(self.args, self.state, self.control)
            raise
        record = self.progress.record()
        if self.is_world_process_zero():
            replace_record(folder_of(self.checkpoints, self.state.global_step), record)
        self.accelerator.wait_for_everyone()
        self.interrupts.leave(self.args, self.state, self.control)
        return metrics

    def watched(self, model: torch.nn.Module) -> RemovableHandle:
        """Before each pass of a model, leave on a signal and write heartbeats, until removed."""

        def look(*_: Any) -> None:
            self.callback_handler.on_prediction_step(self.args, self.state, self.control)

        return model.register_forward_pre_hook(look)

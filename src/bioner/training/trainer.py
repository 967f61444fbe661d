"""The Trainer of encoders and LLMs: steps with little padding, and a training that can resume where
it stopped.

Every private interface of transformers that is overridden or set stands here
(tests/unit/test_private_interfaces.py).
"""

import logging
import shutil
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from bioner.errors import Interrupted
from bioner.io.heartbeat import HEARTBEAT_FILE
from bioner.training.checkpoints import (
    folder_of,
    newest,
    read_manifest,
    remove_broken,
    rotate,
    write_manifest,
)
from bioner.training.interrupts import Interrupts
from bioner.training.progress import Diverged, Progress, best_of, step_to_keep
from bioner.training.samplers import EpochSampler, ShuffledSampler, pad_to_full_batches

log = logging.getLogger(__name__)


class ResumableTrainer(Trainer):  # type: ignore[misc]
    """A Trainer whose checkpoints are sealed and hold everything: resumed, it ends as it would have
    undisturbed.
    """

    def __init__(
        self,
        *,
        checkpoints: Path,
        progress: Progress,
        interrupts: Interrupts,
        order: type[EpochSampler] = ShuffledSampler,
        keep: Literal["best", "last"] = "best",
        head_learning_rate: float | None = None,
        may_diverge: bool = False,
        **kwargs: Any,
    ) -> None:
        self.checkpoints, self.progress, self.keep = checkpoints, progress, keep
        self.head_learning_rate, self.may_diverge, self.kind_of_order = (
            head_learning_rate,
            may_diverge,
            order,
        )
        examples, args = kwargs["train_dataset"], kwargs["args"]
        self.lengths = [len(example["input_ids"]) for example in examples]
        kwargs["train_dataset"] = pad_to_full_batches(
            examples, args.per_device_train_batch_size, args.world_size
        )
        self.fillers = len(kwargs["train_dataset"]) - len(examples)
        super().__init__(
            **kwargs, callbacks=[progress, StopOnSignalCallback(progress.name, interrupts)]
        )
        quiet(self)

    def fit(self) -> dict[str, Any] | None:
        """Train, or go on from the last sound checkpoint, and end with the weights that the
        settings ask for.

        Returns the row of the history whose weights the model holds; None where training diverged
        and may.
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
            return None
        finally:
            self.progress.close()
        return self._take_weights()

    def _lacks(self, checkpoint: Path) -> Path | None:
        """The best checkpoint before this one, where it is needed at the end and gone."""
        rows = read_manifest(checkpoint)["rows"]
        if not rows or self.keep == "last":
            return None
        best = folder_of(self.checkpoints, best_of(rows, self.progress.metric)["step"])
        return None if best.is_dir() else best

    def _take_weights(self) -> dict[str, Any]:
        rows = self.progress.rows
        wanted = best_of(rows, self.progress.metric) if self.keep == "best" else rows[-1]
        self._load_from_checkpoint(str(folder_of(self.checkpoints, wanted["step"])), self.model)
        return wanted

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The optimiser, with a learning rate of its own for the new head where the settings have
        one.
        """
        fresh = self.optimizer is None
        optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        if fresh and self.head_learning_rate is not None:
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
        if isinstance(
            self.model, PeftModel
        ):  # the head is what is trained whole beside the adapters
            return ".modules_to_save." in parameter
        return not parameter.startswith(f"{self.model.base_model_prefix}.")

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """A forward and a backward pass; its loss counts for the epoch's mean, resumed or not."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        self.progress.add_loss(loss)
        return loss

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        batch = (
            self.args.train_batch_size
            * self.args.gradient_accumulation_steps
            * self.args.world_size
        )
        self.order = self.kind_of_order(self.lengths, batch, self.args.seed, self.fillers)
        return self.order

    def _run_epoch(self, *args: Any, epoch: int, **kwargs: Any) -> None:
        # Resumed inside an epoch in several processes, accelerate's wrappers do not hand the epoch
        # on.
        self.order.set_epoch(epoch)
        super()._run_epoch(*args, epoch=epoch, **kwargs)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        self.progress.check_loss(self.state.global_step)
        record = self.progress.record()
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # each process has written its random state
        if self.is_world_process_zero():
            write_manifest(folder_of(self.checkpoints, self.state.global_step), record)
            second = step_to_keep(record["rows"], self.state.global_step, self.progress.metric)
            rotate(self.checkpoints, second if self.keep == "best" else None)
        self.accelerator.wait_for_everyone()


class StopOnSignalCallback(TrainerCallback):  # type: ignore[misc]
    """After a signal: a checkpoint at the next step, or at the epoch's end where that is next, then
    out.
    """

    def __init__(self, name: str, interrupts: Interrupts) -> None:
        self.name, self.interrupts = name, interrupts
        self.signal: int | None = None

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Ask for a checkpoint; the last step of an epoch is followed by its evaluation and a
        checkpoint anyway.
        """
        self.signal = self.interrupts.anywhere(args.device)
        if self.signal and state.epoch != int(state.epoch) and state.global_step < state.max_steps:
            control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Leave, now that the checkpoint is sealed."""
        number = self.signal or self.interrupts.anywhere(args.device)
        if number and not control.should_training_stop:
            at = f" at step {state.global_step} of {state.max_steps}. A checkpoint is written"
            raise Interrupted(self.name, number, at)


def one_gpu_per_process(arguments: TrainingArguments) -> TrainingArguments:
    """Keep a process to one GPU: transformers would spread it over every visible one and multiply
    the batch.
    """
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def quiet(trainer: Trainer) -> Trainer:
    """Without the Trainer's own printing of dictionaries; Progress speaks for it."""
    for callback in list(trainer.callback_handler.callbacks):
        if type(callback).__name__ == "PrinterCallback":
            trainer.remove_callback(callback)
    return trainer
